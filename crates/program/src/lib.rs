//! What every program shares: messages, exit codes, standard output, escaping of outside text,
//! syslog, progress on a terminal, where files live, what a site sets for all of them.
//!
//! A program is a front (`main.rs`: arguments, one call, exit) and a library. This crate is the only
//! one that prints or exits.

mod escape;
mod front;
mod guard;
mod interrupt;
mod output;
pub mod paths;
mod progress;
mod site;
pub mod syslog;
mod tree;

pub use escape::escape;
pub use front::{Usage, VERSION, complain, exit, run};
pub use guard::{ask, guard};
pub use interrupt::Interrupt;
pub use output::{Output, StatusFd, close_stdout, listed, may_write, write_failed};
pub use progress::Progress;
pub use site::{Site, SiteError};
pub use tree::Tree;
