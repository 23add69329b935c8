//! One BMC and the host behind it.

use std::net::SocketAddrV4;
use std::sync::{Mutex, MutexGuard};

use crate::certificates::Shown;
use crate::dialect::Dialect;
use crate::events::Happened;
use crate::machine::{Change, Machine, Pace};
use crate::phase::{Away, Phase};
use crate::rules::Rules;
use crate::sessions::Sessions;
use crate::updater::{Trouble, Updater};
use crate::{Fault, Flavour, Group, Order, Timing};

/// What never changes, and behind a lock what does.
#[derive(Debug)]
pub(crate) struct Bmc {
    pub(crate) number: usize,
    pub(crate) address: SocketAddrV4,
    pub(crate) flavour: Flavour,
    pub(crate) dialect: &'static Dialect,
    pub(crate) shown: Shown,
    /// Longest image.
    pub(crate) limit: Option<u64>,
    pub(crate) machine_name: String,
    state: Mutex<State>,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) machine: Machine,
    pub(crate) sessions: Sessions,
    pub(crate) rules: Rules,
    pub(crate) updater: Updater,
    pub(crate) away: Option<Away>,
    /// Reboots of the BMC so far: a connection of an earlier life is cut.
    pub(crate) lives: u64,
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    /// Whether the host came up in this life (some resources show it).
    pub(crate) since: f64,
}

impl Bmc {
    pub(crate) fn new(number: usize, address: SocketAddrV4, group: &Group) -> Bmc {
        Bmc {
            number,
            address,
            flavour: group.flavour,
            dialect: group.flavour.dialect(),
            shown: Shown::new(group.certificates.clone()),
            limit: group.image_limit.or(group.flavour.dialect().image_limit),
            machine_name: group.machine_name.clone(),
            state: Mutex::new(State {
                machine: Machine::new(group.on),
                sessions: Sessions::default(),
                rules: Rules::default(),
                updater: Updater::new(
                    number,
                    group.flavour.dialect().salted,
                    &group.bmc_version,
                    &group.host_version,
                ),
                away: None,
                lives: 0,
                connections: 0,
                requests: 0,
                since: 0.0,
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// Does what is due by `now`; what happened comes back.
    pub(crate) fn advance(
        &mut self,
        dialect: &Dialect,
        now: f64,
        timing: &Timing,
    ) -> Vec<Happened> {
        let trouble = self.trouble();
        let changes = self.machine.advance(now);
        if changes
            .iter()
            .any(|change| matches!(change, Change::Boot(_)))
        {
            self.updater.booted("Host", &trouble);
        }
        if self.updater.advance(now, timing.activate, &trouble) {
            self.reboot(dialect, now, timing.bmc_reboot);
        }
        let mut happened: Vec<Happened> = changes
            .into_iter()
            .map(|change| match change {
                Change::Power(power) => Happened::Power { power },
                Change::Boot(from) => Happened::Boot { from },
            })
            .collect();
        if let Some(away) = self.away
            && away.phase(dialect.course, now) == Phase::Up
        {
            self.away = None;
            self.updater.forget();
            self.updater.booted("BMC", &trouble);
            self.since = now;
            happened.push(Happened::BmcUp);
        }
        happened
    }

    /// When something is due next.
    pub(crate) fn due(&self, dialect: &Dialect, now: f64) -> Option<f64> {
        let away = self.away.and_then(|away| away.due(dialect.course, now));
        let dues = [self.machine.due(), away, self.updater.due(now)];
        dues.into_iter().flatten().min_by(f64::total_cmp)
    }

    pub(crate) fn phase(&self, dialect: &Dialect, now: f64) -> Phase {
        self.away
            .map_or(Phase::Up, |away| away.phase(dialect.course, now))
    }

    /// The listening socket is there.
    pub(crate) fn listens(&self, dialect: &Dialect, now: f64) -> bool {
        self.phase(dialect, now) != Phase::Refused && !self.rules.has(&Fault::Dead)
    }

    /// Takes an order for the host, as the faults will have it.
    pub(crate) fn order(&mut self, order: Order, now: f64, timing: &Timing) {
        let ignored = |fault: &Fault| match fault {
            Fault::SoftOffIgnored => order == Order::GracefulShutdown,
            Fault::OffIgnored => matches!(order, Order::GracefulShutdown | Order::ForceOff),
            Fault::OnIgnored => matches!(order, Order::On | Order::ForceOn),
            _ => false,
        };
        if self
            .rules
            .standing(|fault| ignored(fault).then_some(()))
            .is_some()
        {
            return;
        }
        let off = self.rules.standing(|fault| match fault {
            Fault::OffTakes { seconds } => Some(*seconds),
            _ => None,
        });
        let on = self.rules.standing(|fault| match fault {
            Fault::OnTakes { seconds } => Some(*seconds),
            _ => None,
        });
        let pace = Pace {
            notice: timing.notice,
            on: on.unwrap_or(timing.on),
            hard_off: off.unwrap_or(timing.hard_off),
            soft_off: off.unwrap_or(timing.soft_off),
            pause: timing.pause,
        };
        self.machine.order(order, now, &pace);
    }

    fn trouble(&self) -> Trouble {
        let percent = |pick: fn(&Fault) -> Option<u8>| self.rules.standing(pick);
        Trouble {
            fails_at: percent(|fault| match fault {
                Fault::ActivationFails { at } => Some(*at),
                _ => None,
            }),
            stuck_at: percent(|fault| match fault {
                Fault::ProgressStuck { at } => Some(*at),
                _ => None,
            }),
            invalid: self.rules.has(&Fault::ImageInvalid),
            old_version_returns: self.rules.has(&Fault::OldVersionReturns),
        }
    }

    /// The BMC goes down now.
    pub(crate) fn reboot(&mut self, dialect: &Dialect, now: f64, seconds: f64) {
        let ending = |fault: &Fault| match fault {
            Fault::RebootTakes { seconds } => Some(*seconds),
            Fault::RebootNeverEnds => Some(1e9),
            _ => None,
        };
        let seconds = self.rules.standing(ending).unwrap_or(seconds);
        self.away = Some(Away {
            since: now,
            seconds: seconds.max(1e-6),
        });
        self.lives += 1;
        if !dialect.sessions_survive {
            self.sessions.clear();
        }
    }
}
