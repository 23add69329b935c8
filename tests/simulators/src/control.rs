//! The control socket: one JSON document per line each way.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddrV4;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::events::Event;
use crate::timer::Wake;
use crate::world::World;
use crate::{Flavour, Image, Order, Power, Rule, Upload};

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Set a fault at these BMCs.
    Fault {
        /// Their numbers.
        bmcs: Vec<usize>,
        /// What.
        rule: Rule,
    },
    /// Take all faults away from these BMCs.
    Clear {
        /// Their numbers.
        bmcs: Vec<usize>,
    },
    /// How a BMC is now.
    State {
        /// Its number.
        bmc: usize,
    },
    /// Tell a host something, past its BMC's dialect: a button is pressed.
    Order {
        /// The BMC's number.
        bmc: usize,
        /// What.
        order: Order,
    },
    /// The stand-in of a node reboots by itself.
    NodeReboot {
        /// Its number.
        node: usize,
    },
    /// All events from this number on, at once.
    Events {
        /// The first that is wanted.
        since: u64,
    },
    /// Events from this number on, one per line, for as long as the connection lasts.
    Follow {
        /// The first that is wanted.
        since: u64,
    },
    /// How often each request was answered how.
    Counts,
    /// End.
    Quit,
}

/// A BMC as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BmcState {
    /// Where it listens.
    pub address: SocketAddrV4,
    /// What it speaks.
    pub flavour: Flavour,
    /// The true power state.
    pub power: Power,
    /// How often the host has booted.
    pub boots: u64,
    /// What it booted from last, in Redfish's words.
    pub booted_from: String,
    /// What the next boot alone is from.
    pub boot_once: Option<String>,
    /// What every boot is from.
    pub boot_always: Option<String>,
    /// Reboots of the BMC.
    pub bmc_reboots: u64,
    /// True: it does not answer as it should, for it starts.
    pub away: bool,
    /// Its images.
    pub images: Vec<Image>,
    /// Images that were received whole.
    pub uploads: Vec<Upload>,
    /// Sessions that are open.
    pub sessions: usize,
    /// Connections so far.
    pub connections: u64,
    /// Requests so far.
    pub requests: u64,
    /// The stand-in of its node, if there is one.
    pub node: Option<NodeState>,
}

/// The stand-in of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeState {
    /// Where it listens when it is up.
    pub address: SocketAddrV4,
    /// Its port is open.
    pub up: bool,
    /// Its boot id.
    pub boot_id: String,
}

/// Serves the socket until told to quit.
pub(crate) fn listen(world: &Arc<World>, listener: &UnixListener) -> io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        let world = Arc::clone(world);
        std::thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(move || {
                // The other side has gone: nothing is left to say.
                let _ = talk(&world, &stream);
            })?;
    }
    Ok(())
}

fn talk(world: &World, stream: &UnixStream) -> io::Result<()> {
    let mut out = stream;
    for line in BufReader::new(stream).lines() {
        let answer = match serde_json::from_str(&line?) {
            Ok(Ask::Follow { since }) => return follow(world, out, since),
            Ok(Ask::Quit) => {
                let _ = world.end.send(Ok(()));
                return Ok(());
            }
            Ok(ask) => answer(world, ask),
            Err(why) => Err(format!("not understood: {why}")),
        };
        let value = match answer {
            Ok(value) => value,
            Err(why) => serde_json::json!({"error": why}),
        };
        say(&mut out, &value)?;
    }
    Ok(())
}

fn answer(world: &World, ask: Ask) -> Result<serde_json::Value, String> {
    let json =
        |value: Result<serde_json::Value, serde_json::Error>| value.map_err(|why| why.to_string());
    let no_such = |number: usize| format!("there is no BMC {number}");
    match ask {
        Ask::Fault { bmcs, rule } => {
            for bmc in bmcs {
                world.bmcs.get(bmc).ok_or_else(|| no_such(bmc))?;
                world.fault(bmc, rule.clone());
            }
        }
        Ask::Clear { bmcs } => {
            for bmc in bmcs {
                let cleared = world.with(bmc, |_, state| state.rules.clear());
                cleared.ok_or_else(|| no_such(bmc))?;
                // What stood still may go on.
                world.wake(Wake::Bmc(bmc));
            }
        }
        Ask::Order { bmc, order } => {
            let now = world.clock.now();
            let done = world.with(bmc, |_, state| {
                state.order(order, now, &world.config.timing);
            });
            done.ok_or_else(|| no_such(bmc))?;
        }
        Ask::NodeReboot { node } => {
            if !world.node_reboots(node) {
                return Err(format!("node {node} is not up"));
            }
        }
        Ask::State { bmc } => {
            return json(serde_json::to_value(
                state(world, bmc).ok_or_else(|| no_such(bmc))?,
            ));
        }
        Ask::Events { since } => return json(serde_json::to_value(world.events.since(since))),
        Ask::Counts => {
            let counts: BTreeMap<String, u64> = world.events.counts();
            return json(serde_json::to_value(counts));
        }
        Ask::Follow { .. } | Ask::Quit => {}
    }
    Ok(serde_json::json!({}))
}

fn state(world: &World, number: usize) -> Option<BmcState> {
    let now = world.clock.now();
    let node = world.nodes.get(number).map(|node| {
        let state = node.lock();
        NodeState {
            address: node.address,
            up: state.up,
            boot_id: state.boot_id(number),
        }
    });
    world.with(number, |bmc, state| BmcState {
        address: bmc.address,
        flavour: bmc.flavour,
        power: state.machine.power,
        boots: state.machine.boots,
        booted_from: state.machine.booted_from.clone(),
        boot_once: state.machine.boot.once.clone(),
        boot_always: state.machine.boot.always.clone(),
        bmc_reboots: state.lives,
        away: state.phase(bmc.dialect, now) != crate::phase::Phase::Up,
        images: state.updater.images.clone(),
        uploads: state.updater.uploads.clone(),
        sessions: state.sessions.len(),
        connections: state.connections,
        requests: state.requests,
        node,
    })
}

fn follow(world: &World, mut out: &UnixStream, since: u64) -> io::Result<()> {
    let mut next = since;
    loop {
        let events: Vec<Event> = world.events.wait(next);
        next += events.len() as u64;
        for event in events {
            say(&mut out, &event)?;
        }
    }
}

fn say(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)
}
