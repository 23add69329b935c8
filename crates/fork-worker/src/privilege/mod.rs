//! For a program that has more rights than its caller, by the setuid bit or by sudo.
//!
//! Whatever a process inherits was chosen by the caller: descriptors, limits, signals, timers,
//! priorities, environment. These functions put each to a known state, in the order in which
//! [`settle`] and its neighbours are described; they are for the first lines of main of a program with
//! one thread, before anything is opened.

mod ids;
mod inheritance;
mod limits;
mod priorities;
mod session;

pub use ids::{Ids, new_privileges_are_off, user_name};
pub use inheritance::{clear_environment, settle};
pub use session::{Errand, run};
