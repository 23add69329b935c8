//! Work in forked children that report by pipe.
//!
//! The parent owns all state; a child does one blocking step, says what came of it, and ends. A
//! [`Crew`] owns the children of one piece of work, and any number of crews live side by side:
//! nothing here waits for "any child", keeps a signal handler or starts a thread.
//!
//! The pipe tells what happened, the wait status tells how it ended, and only both together are
//! believed: a good verdict counts with exit status 0, and with nothing else. A child may parse what
//! the network sent, so the parent takes every byte of a report as hostile: lines and totals are
//! bounded, and what does not fit ends that child only.
//!
//! Beside the crew: [`command`] runs one program without leaks and without deadlocks, [`veto`] asks
//! the site's hooks, [`inherited`] takes over descriptors that came through exec, [`confine`] takes
//! all rights from a child that talks to strangers, [`privilege`] is for a program with more rights than
//! its caller, [`block`] asks a disk for what has no call of its own.
//!
//! This is the workspace's door to the kernel: together with the ethtool module of adapter-facts the
//! only code that says `unsafe`. It depends on nothing but libc and nix.

pub mod block;
mod child;
mod clock;
pub mod command;
pub mod confine;
mod crew;
mod descriptors;
pub mod inherited;
mod job;
mod launch;
mod orphans;
mod outcome;
pub mod privilege;
mod report;
mod running;
pub mod veto;
mod wire;

pub use crew::{Crew, Ready};
pub use descriptors::above;
pub use job::{Job, Limits};
pub use orphans::Orphans;
pub use outcome::{ChildId, Event, Failure, What};
pub use report::Report;
