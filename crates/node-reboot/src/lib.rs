//! Power and rebooting of nodes.
//!
//! [`start`] reboots a set of nodes and returns a [`Handle`]; [`wait`] gives each node's [`Status`].
//! Any number of handles at once; what a caller of the originals did with a process id and a hash of
//! results is done with these. Inside, one supervising child keeps every node's state (the ladder:
//! gentle first, power last), and its children do one step each; what they find out comes back as
//! `node,status` lines over one pipe.
//!
//! Beside that the steps alone, for who scans adapters: nodes off, arm them, nodes on; a site's own
//! boot command in the place of all three; which nodes run a system that must not be rebooted unasked.

mod climber;
mod controller;
mod controllers;
mod error;
mod evidence;
pub mod genesis;
mod handle;
mod hold;
mod hook;
mod ladder;
mod limits;
mod line;
mod outlet;
mod pace;
mod partition;
pub mod permission;
mod plan;
mod power;
pub mod privileged;
mod request;
mod route;
mod rpower;
mod shell;
mod ssh;
mod status;
mod step;
mod supervisor;
mod tools;
mod verdict;
mod virsh;
mod words;

pub use bmc::Trust;
pub use controllers::Controllers;
pub use error::{Error, Refused};
pub use handle::{Handle, Heard, Results, carry_out, conduct, start, wait};
pub use hook::Hook;
pub use limits::Limits;
pub use plan::{Plan, known};
pub use power::Power;
pub use request::{
    BATCH, BootDevice, COMMAND_FANOUT, Caller, MaxFail, Options, PAUSE, POWER_FANOUT, Request, WAIT,
};
pub use rpower::{Failed, Patience, Rpower};
pub use shell::ssh_to;
pub use ssh::answers_ssh;
pub use status::{RUNNING, running};
pub use supervisor::termination;
pub use verdict::{NodeResult, Status};

/// The blocking form: starts a reboot and waits for it.
///
/// # Errors
/// As [`start`].
pub fn reboot(tables: &xcat_tables::Tables, request: &Request) -> Result<Results, Refused> {
    start(tables, request).map(wait)
}
