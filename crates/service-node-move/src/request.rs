//! What somebody wants moved, and where to.

/// One move, as it is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The nodes; none: all whose first service node is `source`.
    pub nodes: Option<Vec<String>>,
    /// The old service node, as the management node calls it (`-s`); none: the first of each node's own list.
    pub source: Option<String>,
    /// The old service node, as the nodes call it (`-S`); none: each node's `xcatmaster`.
    pub old_master: Option<String>,
    /// The new service node (`-d`); none: the second of each node's own list.
    pub destination: Option<String>,
    /// The new service node, as the nodes call it (`-D`); none: its address in each node's network.
    pub new_master: Option<String>,
    /// Nothing is done on the nodes (`-i`).
    pub leave_nodes: bool,
    /// Which scripts run again on the nodes.
    pub scripts: Scripts,
    /// Only statelite files are copied (`-l`, AIX).
    pub lite_only: bool,
    /// The destination is looked at before anything is written.
    pub check_destination: bool,
    /// A node whose pool breaks the rules is refused, not only named.
    pub strict_pool: bool,
}

/// Scripts that `updatenode` runs again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scripts {
    /// `syslog`, `setupntp` and `mkresolvconf`, as far as the node has them in its list.
    #[default]
    Usual,
    /// Those and these (`-P LIST`).
    Also(Vec<String>),
    /// The node's whole list (`-P all`).
    All,
}

impl Request {
    /// A move of these nodes, or of all of a service node, with all checks.
    pub fn new(nodes: Option<Vec<String>>, source: Option<String>) -> Request {
        Request {
            nodes,
            source,
            old_master: None,
            destination: None,
            new_master: None,
            leave_nodes: false,
            scripts: Scripts::Usual,
            lite_only: false,
            check_destination: true,
            strict_pool: false,
        }
    }
}
