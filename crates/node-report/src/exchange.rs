//! What a connection's child and its parent say to each other: one JSON line each way. The parent
//! believes the child no more than the wire: every value passes its type's checks again.

use adapter_facts::Facts;
use serde::{Deserialize, Serialize};
use xcat_request::load::Told;

/// From the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Ask {
    /// A report to be stored before anything is acknowledged.
    Report {
        /// As the node gave it.
        nonce: Option<String>,
        /// Usable adapters, and what was not, named.
        facts: Facts,
    },
    /// What an agent does with a disk, to be stored like a report if its claim is there.
    Load {
        /// The claim's.
        nonce: String,
        /// Set-up or verdict.
        told: Told,
    },
    /// What the node shall do; `next` moves its chain on first.
    Destiny {
        /// True for `nextdestiny`.
        next: bool,
    },
    /// A user's request for an inspection, as xCAT's client sends it.
    New {
        /// The nodes.
        noderange: String,
        /// Options.
        arguments: Vec<String>,
    },
}

/// From the parent.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Reply {
    /// The report is on disk.
    Stored,
    /// Not now; the node tries again.
    Busy(String),
    /// Never.
    Refused(String),
    /// What the node shall do.
    Destiny {
        /// The node.
        node: String,
        /// As the `chain` table has it, e.g. `runcmd=getadapter`.
        destiny: String,
    },
    /// What a new request printed.
    Lines(Vec<String>),
}
