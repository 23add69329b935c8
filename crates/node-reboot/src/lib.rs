//! Power and rebooting of nodes.
//!
//! The steps, not their order: who scans adapters has nodes off, arms them, has them on. A site's own
//! boot command takes the place of all three. Beside power: which nodes run a system that must not be
//! rebooted unasked.

mod error;
mod hook;
mod power;
mod rpower;
mod ssh;
mod status;
mod words;

pub use error::Error;
pub use hook::Hook;
pub use power::Power;
pub use rpower::{Failed, Patience, Rpower};
pub use ssh::answers_ssh;
pub use status::{RUNNING, running};
