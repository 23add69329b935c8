//! What a run says while it goes on.

use std::collections::BTreeMap;

use crate::node::Node;

/// Something that happened, for whoever shows it.
pub enum Said<'a> {
    /// A text of a node.
    Text(&'a str, &'a str),
    /// A text of a node for `-V`.
    Detail(&'a str, &'a str),
    /// A node's host changes its power: what `nodelist.status` is to say.
    Power(&'a str, &'static str),
    /// A node has its verdict.
    Settled(&'a Node),
    /// A signal came; so many nodes are still waited for.
    Stopping(usize),
    /// Before each sleep: all nodes, and what those that are going on are at.
    Tick(&'a BTreeMap<String, Node>, &'a dyn Fn(&str) -> Option<Live>),
}

/// How far a running node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Live {
    /// Bytes of the archive that were sent.
    pub sent: u64,
    /// Of its activation.
    pub percent: Option<u8>,
}
