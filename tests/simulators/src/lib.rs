//! Simulators for tests. [`Bmcs`] starts `bmc-simulator`, one process for any number of BMCs: real
//! TLS sockets with an address each, Redfish and OpenBMC REST of several generations, power,
//! boot device, sessions, faults on demand ([`Fault`]), and beside each BMC, if wanted, the light
//! stand-in of its node (a port that is open while the node is up). [`SimNode`] is a heavier node: a
//! real sshd in namespaces of its own. [`real`] starts servers that are not ours.
//!
//! The simulator process uses threads; a test that forks uses it only through the control socket.
//! Everything is deterministic, and all times are simulated seconds: the real ones divided by
//! [`Config::scale`].

mod bmc;
mod certificates;
mod client;
mod clock;
mod config;
mod connection;
mod control;
mod dialect;
mod dialects;
mod doors;
mod effects;
mod events;
mod fault;
mod http;
mod machine;
mod message;
mod multipart;
mod nodes;
pub mod parts;
mod phase;
pub mod real;
mod respond;
mod rules;
mod server;
mod sessions;
mod sim_net;
mod sim_node;
pub mod strace;
mod tar_scan;
mod timer;
mod updater;
mod world;

pub use client::Bmcs;
pub use config::{Certificates, Config, Group, Nodes, Timing};
pub use control::{Ask, BmcState, NodeState};
pub use dialect::Flavour;
pub use events::{Event, Happened};
pub use fault::{Fault, Rule};
pub use machine::{Order, Power};
pub use server::serve;
pub use sim_net::SimNet;
pub use sim_node::{NodeFault, NodeNow, SimNode};
pub use tar_scan::digest;
pub use updater::{Activation, Image, Upload};
