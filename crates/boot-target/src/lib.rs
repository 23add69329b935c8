//! What a node boots next. Nothing here powers a node.
//!
//! [`arm`] makes a set of nodes boot an action once (genesis with `runcmd=getadapter`), [`release`] puts
//! them back to what they booted before. Where xCAT is installed its `nodeset` and `rsetboot` do it,
//! once per set; elsewhere the chain row and an iPXE file in the tftp directory are ours, and so is the
//! word to the BMC. What was there
//! is on disk before anything changes, so that a crash at any moment leaves the way back.
//!
//! [`run`] is how every xCAT command that speaks of nodes is called, here and for power.

mod answers;
mod arm;
mod back;
mod bootparams;
mod chain;
mod controllers;
mod durable;
mod error;
mod image;
mod ipxe;
mod line;
mod master;
mod name;
mod own;
mod place;
mod present;
mod saved;
mod stock;
mod target;
mod xcat;

pub use answers::Answers;
pub use arm::{Results, arm, release, release_to_disk};
pub use error::Error;
pub use master::{Master, masters};
pub use name::is_plain;
pub use target::Target;
pub use xcat::{Ending, run};
