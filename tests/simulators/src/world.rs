//! All BMCs and nodes, the clock, and what leads from one to the other.

use std::io;
use std::net::SocketAddrV4;
use std::sync::mpsc::Sender;

use crate::bmc::{Bmc, State};
use crate::certificates::Store;
use crate::clock::Clock;
use crate::config::address;
use crate::doors::{Door, Doors};
use crate::events::{Events, Happened};
use crate::nodes::Node;
use crate::tar_scan::Manifest;
use crate::timer::{Timer, Wake};
use crate::updater::Wish;
use crate::{Config, Fault, Power, Rule};

/// Everything that is simulated.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) bmcs: Vec<Bmc>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) events: Events,
    pub(crate) timer: Timer,
    pub(crate) doors: Doors,
    pub(crate) store: Store,
    /// Ends the process, well or with a reason.
    pub(crate) end: Sender<io::Result<()>>,
}

impl World {
    /// Makes it; nothing listens yet.
    pub(crate) fn new(
        config: Config,
        store: Store,
        end: Sender<io::Result<()>>,
    ) -> io::Result<World> {
        let mut bmcs = Vec::new();
        for group in &config.groups {
            for i in 0..group.count {
                let at = SocketAddrV4::new(address(group.first, i), group.port);
                bmcs.push(Bmc::new(bmcs.len(), at, group));
            }
        }
        let nodes = config.nodes.map_or(Vec::new(), |nodes| {
            let node = |bmc: &Bmc| {
                let at = SocketAddrV4::new(address(nodes.first, bmc.number), nodes.port);
                Node::new(bmc.number, at, bmc.lock().machine.power == Power::On)
            };
            bmcs.iter().map(node).collect()
        });
        Ok(World {
            clock: Clock::new(config.scale),
            events: Events::new(config.log_requests),
            bmcs,
            nodes,
            timer: Timer::default(),
            doors: Doors::new()?,
            store,
            end,
            config,
        })
    }

    /// Sets the faults of the configuration and opens all doors.
    pub(crate) fn open(&self) -> io::Result<()> {
        for (bmc, rules) in &self.config.faults {
            for rule in rules {
                self.fault(*bmc, rule.clone());
            }
        }
        let now = self.clock.now();
        for bmc in &self.bmcs {
            if bmc.lock().listens(bmc.dialect, now) {
                self.doors.open(Door::Bmc(bmc.number), bmc.address)?;
            }
        }
        for node in &self.nodes {
            if node.lock().up {
                self.doors.open(Door::Node(node.number), node.address)?;
            }
        }
        Ok(())
    }

    /// The BMC's state as it is now, for the caller to look at and to change; then everything that
    /// follows from the change.
    pub(crate) fn with<T>(
        &self,
        number: usize,
        work: impl FnOnce(&Bmc, &mut State) -> T,
    ) -> Option<T> {
        let bmc = self.bmcs.get(number)?;
        let now = self.clock.now();
        let mut state = bmc.lock();
        let mut happened = {
            let before = state.lives;
            let mut happened = state.advance(bmc.dialect, now, &self.config.timing);
            if state.lives != before {
                happened.push(Happened::BmcReboot);
            }
            happened
        };
        let lives = state.lives;
        let done = work(bmc, &mut state);
        if state.lives != lives {
            happened.push(Happened::BmcReboot);
        }
        if happened.contains(&Happened::BmcReboot)
            && state.rules.has(&Fault::CertificateChangesAtReboot)
        {
            bmc.shown.change();
        }
        if let Some(due) = state.due(bmc.dialect, now) {
            self.timer.at(self.clock.at(due), Wake::Bmc(number));
        }
        // Under the lock, so that an older view of the door never wins.
        self.doors.set(
            Door::Bmc(number),
            bmc.address,
            state.listens(bmc.dialect, now),
        );
        let mut follow = Vec::new();
        for what in happened {
            follow.push(what.clone());
            self.events.add(now, number, what);
        }
        drop(state);
        for what in follow {
            self.follow(number, &what);
        }
        Some(done)
    }

    /// Sets a fault, or does at once what is done once.
    pub(crate) fn fault(&self, number: usize, rule: Rule) {
        let now = self.clock.now();
        self.with(number, |bmc, state| match &rule.fault {
            Fault::Away { seconds } => state.reboot(bmc.dialect, now, *seconds),
            Fault::SessionLost => state.sessions.clear(),
            Fault::CertificateChange => bmc.shown.change(),
            Fault::ForeignImage { version, purpose } => {
                let manifest = Manifest {
                    version: version.clone(),
                    purpose: purpose.clone(),
                    machine: None,
                };
                let wish = Wish {
                    by_itself: false,
                    immediate: false,
                    seen_after: 0.0,
                };
                state.updater.add(&manifest, now, &wish);
            }
            _ => state.rules.add(rule),
        });
    }

    pub(crate) fn wake(&self, wake: Wake) {
        match wake {
            Wake::Bmc(number) => {
                self.with(number, |_, _| ());
            }
            Wake::Node(number) => self.advance_node(number),
        }
    }
}
