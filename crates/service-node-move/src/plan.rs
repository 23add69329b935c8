//! A plan: what will happen to whom. Data only; it is printed, stored, applied and undone.

use serde::{Deserialize, Serialize};

use crate::facts::NODERES;

/// Newest form of stored plans that this program writes and reads.
pub const FORMAT: u32 = 1;

/// What a move will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The form of this record.
    pub format: u32,
    /// What was asked for: the same request finds an unfinished move of its own by it.
    pub asked: String,
    /// Each node goes to the second service node of its own list: nobody said where to.
    pub by_pool: bool,
    /// The nodes that move.
    pub moves: Vec<Move>,
    /// The nodes that are there already.
    pub settled: Vec<String>,
    /// All changes of rows, in the order of nodes; one transaction.
    pub changes: Vec<Change>,
    /// What is done after that, in this order.
    pub steps: Vec<Step>,
    /// What somebody should know before it happens.
    pub warnings: Vec<String>,
    /// What will be reported as failed although the move goes on.
    pub failures: Vec<String>,
    /// What still names the old service node afterwards.
    pub stays: Vec<String>,
}

/// One node's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Which node.
    pub node: String,
    /// Its service node now; none: the management node.
    pub from: Option<String>,
    /// Its service node afterwards.
    pub to: String,
    /// Its `xcatmaster` now.
    pub old_master: Option<String>,
    /// Its `xcatmaster` afterwards.
    pub new_master: String,
}

/// A value of a node's own row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The node.
    pub node: String,
    /// The node has a row of its own now.
    pub row: bool,
    /// What that row holds now; none is NULL.
    pub old: Option<String>,
    /// What is in effect now, if it comes from a group.
    pub inherited: Option<String>,
    /// What it will hold.
    pub new: String,
}

/// Something done after the tables have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What.
    pub verb: Verb,
    /// For which nodes.
    pub nodes: Vec<String>,
}

/// The kinds of steps. Never a command's text: a stored plan is not a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// The console server's configuration is made again.
    Conserver,
    /// Boot files are made on the new service node for this state (`osimage=NAME`, `install`, ...).
    BootFiles(String),
    /// The new service node's DHCP server learns the nodes.
    Dhcp,
    /// The old service node's DHCP server forgets them, if it still answers.
    ForgetDhcp(String),
    /// The nodes get this default route.
    Route {
        /// The new gateway.
        new: String,
        /// The one that it replaces, if it is known.
        old: Option<String>,
    },
    /// The nodes' DHCP clients ask the new server.
    Rebind,
    /// The nodes learn their new master (`updatenode -s`), then run these scripts.
    Scripts(Vec<String>),
}

impl Plan {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// Why this plan cannot be one of ours: a stored one may write no other places, and no name in it may be more
    /// than a name.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), String> {
        let steps = self.steps.iter().flat_map(|step| &step.nodes);
        let changes = self.changes.iter().map(|change| &change.node);
        let moves = self.moves.iter().map(|each| &each.node);
        let old = self.steps.iter().filter_map(|step| match &step.verb {
            Verb::ForgetDhcp(old) => Some(old),
            _ => None,
        });
        let mut names = steps.chain(changes).chain(moves).chain(old);
        if let Some(name) = names.find(|name| !boot_target::is_plain(name)) {
            return Err(format!("{}: is no name of a node", program::escape(name)));
        }
        let is_ours = |change: &&Change| match change.table.as_str() {
            "noderes" => NODERES.contains(&change.column.as_str()),
            "nodehm" => change.column == "conserver",
            _ => false,
        };
        if let Some(change) = self.changes.iter().find(|change| !is_ours(change)) {
            let place = format!("{}.{}", change.table, change.column);
            return Err(format!(
                "{}: is never changed by a move",
                program::escape(&place)
            ));
        }
        let is_address = |text: &str| text.parse::<std::net::Ipv4Addr>().is_ok();
        for step in &self.steps {
            if let Verb::Route { new, old } = &step.verb
                && !(is_address(new) && old.as_deref().is_none_or(is_address))
            {
                return Err(format!("{}: is no gateway", program::escape(new)));
            }
        }
        Ok(())
    }

    /// Of a plan that was carried out: all its nodes are there, nothing is to be done.
    pub fn clear(&mut self) {
        let moved = std::mem::take(&mut self.moves);
        *self = Plan {
            format: self.format,
            asked: std::mem::take(&mut self.asked),
            by_pool: self.by_pool,
            settled: moved.into_iter().map(|each| each.node).collect(),
            moves: Vec::new(),
            changes: Vec::new(),
            steps: Vec::new(),
            warnings: Vec::new(),
            failures: Vec::new(),
            stays: Vec::new(),
        };
    }

    /// The nodes that move.
    pub fn nodes(&self) -> Vec<String> {
        self.moves.iter().map(|each| each.node.clone()).collect()
    }
}

impl Verb {
    /// What is said before it, as the original does.
    pub fn announcement(&self) -> Option<&'static str> {
        match self {
            Verb::Route { .. } => Some("Checking the default routes on the nodes."),
            Verb::Scripts(_) => Some("Running postscripts on the nodes."),
            _ => None,
        }
    }

    /// xCAT's commands that carry it out.
    pub fn commands(&self) -> &'static [&'static str] {
        match self {
            Verb::Conserver => &["makeconservercf"],
            Verb::BootFiles(_) => &["nodeset"],
            Verb::Dhcp => &["makedhcp"],
            Verb::ForgetDhcp(_) | Verb::Route { .. } => &["xdsh"],
            Verb::Rebind => &[],
            Verb::Scripts(_) => &["updatenode"],
        }
    }
}
