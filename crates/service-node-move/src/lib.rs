//! Nodes move from one service node to another.
//!
//! [`plan`] is pure: tables and names in, row changes and steps out. [`write`] puts all rows into the tables in
//! one transaction, each with its old value as a condition; [`take`] takes the steps after it. [`mover`] does both
//! and notes in a [`journal`] how far it came, so that a killed run can be finished and a finished one taken back.

mod apply;
mod build;
mod changes;
mod checks;
mod destination;
mod error;
mod facts;
mod interfaces;
pub mod journal;
mod memo;
pub mod mover;
mod network;
mod plan;
mod rebind;
mod request;
mod run;
mod steps;
mod world;

pub use apply::{is_written, take_back, write};
pub use build::{asked, plan};
pub use error::Error;
pub use facts::{Facts, Node};
pub use interfaces::{Interface, interfaces};
pub use network::{Network, narrowest};
pub use plan::{Change, FORMAT, Move, Plan, Step, Verb};
pub use request::{Request, Scripts};
pub use run::{Commands, Installed, Outcome, Said, take};
pub use world::{ThisHost, World};
