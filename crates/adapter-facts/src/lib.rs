//! What a node says of its network adapters: from the kernel, to XML, to the nics column.
//!
//! Three ways in: [`kernel`] reads the node it runs on, [`from_request`] what a node sent, and
//! [`column::parse`] what a table holds. Three ways out: [`to_request`], [`record`] for people and
//! scripts, and [`column::format`]. Between them stands [`Adapter`], whose values exist only if they
//! fit their field: what a node (or its firmware, or whoever plays the node) made up does not get
//! past this crate.

mod adapter;
pub mod column;
mod diff;
mod ethtool;
mod facts;
pub mod kernel;
mod record;
mod request;
#[cfg(test)]
mod strategies;
mod value;

pub use adapter::Adapter;
pub use diff::{Change, Port, diff};
pub use facts::{ADAPTERS_LIMIT, Facts};
pub use record::record;
pub use request::{from_request, is_update, to_request};
pub use value::{
    Candidates, Driver, Firmware, Guid, Interface, Label, LinkState, Location, Mac, Mtu, NumaNode,
    PciId, Refused, Speed,
};
