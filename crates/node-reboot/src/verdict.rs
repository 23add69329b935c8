//! What became of a node, as a number that does not change between versions.

use std::fmt;

/// A node's number on the pipe and behind `--status-fd`. Zero is good; callers that know no more than
/// that are right. 7 to 9 are an image's: nodereboot never says them, `osload` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub i32);

/// One node's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeResult {
    /// The node.
    pub node: String,
    /// Its number.
    pub status: Status,
    /// How it went, or why it failed; empty if the other side said only the number.
    pub why: String,
}

impl Status {
    /// Rebooted; with a wait: and up again.
    pub const DONE: Status = Status(0);
    /// The reboot could not be started.
    pub const NOT_STARTED: Status = Status(1);
    /// Not allowed: policy, or a site's veto.
    pub const REFUSED: Status = Status(2);
    /// A power command failed.
    pub const POWER_FAILED: Status = Status(3);
    /// It did not go down.
    pub const STILL_UP: Status = Status(4);
    /// It did not come up in time.
    pub const NOT_UP: Status = Status(5);
    /// It came up and says that it failed.
    pub const FAILURE: Status = Status(6);
    /// Left out on purpose: its host reboots, or it is in use and the request was for idle nodes.
    pub const SKIPPED: Status = Status(10);
    /// Stopped before it was settled.
    pub const CANCELLED: Status = Status(11);

    /// True unless the node is where it was asked to be, or was left out on purpose.
    pub fn is_failure(self) -> bool {
        self != Status::DONE && self != Status::SKIPPED
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Status::DONE => "rebooted",
            Status::NOT_STARTED => "could not be started",
            Status::REFUSED => "refused",
            Status::POWER_FAILED => "power command failed",
            Status::STILL_UP => "did not go down",
            Status::NOT_UP => "did not come up in time",
            Status::FAILURE => "came up in a failure state",
            Status::SKIPPED => "left out",
            Status::CANCELLED => "cancelled",
            Status(other) => return write!(f, "status {other}"),
        };
        f.write_str(text)
    }
}

impl NodeResult {
    /// A result in full.
    pub fn new(node: &str, status: Status, why: impl Into<String>) -> NodeResult {
        NodeResult {
            node: node.into(),
            status,
            why: why.into(),
        }
    }
}
