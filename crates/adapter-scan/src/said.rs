//! What a scan says while it runs, and in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use node_report::Answer;

/// Something that happened, for whoever shows it.
#[derive(Debug)]
pub enum Said<'a> {
    /// A node has answered.
    Answered(&'a Answer),
    /// A node is on its way into genesis.
    Booting(&'a str),
    /// A node failed.
    Failed(&'a str, &'a str),
    /// For the log, or for people who want to know more.
    Remark(&'a str),
    /// For an administrator, always: something around the nodes does not work. Said once.
    Trouble(&'a str),
    /// Something was counted; about once a second and at each answer.
    Progress(Progress<'a>),
}

/// How far the scan is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Nodes that answered.
    pub answered: usize,
    /// Nodes that are booting.
    pub booting: usize,
    /// Nodes that have not begun to boot.
    pub queued: usize,
    /// The node that has been booting longest, and for how long.
    pub slowest: Option<(&'a str, Duration)>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Answered, in the order of their answers.
    pub answered: Vec<String>,
    /// Failed, each with what is known.
    pub failed: BTreeMap<String, String>,
}
