//! Nodes move from one service node to another.
//!
//! [`plan`] is pure: tables and names in, row changes and steps out. [`write`] puts all rows into the tables in
//! one transaction, each with its old value as a condition; [`take`] takes the steps after it. [`mover`] does both
//! and notes in a [`journal`] how far it came, so that a killed run can be finished and a finished one taken back.
//! [`verify`] asks afterwards, over the network only, whether the service nodes serve their nodes.

mod apply;
mod build;
mod changes;
mod checks;
mod children;
mod destination;
mod error;
mod facts;
mod installed;
mod interfaces;
pub mod journal;
mod memo;
pub mod mover;
mod plan;
mod remarks;
mod remote;
mod request;
mod run;
mod steps;
pub mod verify;
mod world;

pub use apply::{is_written, take_back, write};
pub use build::{asked, plan};
pub use error::Error;
pub use facts::{Facts, Node};
pub use installed::Installed;
pub use interfaces::{Interface, interfaces};
pub use plan::{Change, FORMAT, Move, Plan, Step, Verb};
pub use remarks::Remarks;
pub use request::{Request, Scripts};
pub use run::{Commands, Outcome, Said, take};
pub use world::{ThisHost, World};
