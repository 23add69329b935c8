//! What several checks need, read once.

use std::collections::{BTreeSet, HashSet};

use noderange::Names;
use xcat_tables::{Error, NodeNames, Tables};

/// The nodes and groups.
pub(crate) struct Cluster {
    /// Enabled nodes, as the table has them.
    pub(crate) nodes: Vec<String>,
    /// Management nodes: nothing boots or resets them, and xCAT's own commands run there.
    pub(crate) masters: HashSet<String>,
    pub(crate) names: NodeNames,
    known: HashSet<String>,
}

/// The group of management nodes.
const MASTERS: &str = "__mgmtnode";

impl Cluster {
    pub(crate) fn read(tables: &Tables) -> Result<Cluster, Error> {
        let names = tables.names()?;
        let mut known: HashSet<String> = names
            .group_names()
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut masters = HashSet::new();
        // Disabled ones too: a group of disabled nodes is one all the same.
        for row in tables.all_rows("nodelist")? {
            let node = row.get("node").map(String::from);
            let groups = row.get("groups").unwrap_or_default().split(',');
            if groups.clone().any(|group| group == MASTERS) {
                masters.extend(node.clone());
            }
            known.extend(node);
            known.extend(groups.map(String::from));
        }
        Ok(Cluster {
            nodes: names.nodes().map(String::from).collect(),
            masters,
            names,
            known,
        })
    }

    /// True for a node or a group, disabled ones too.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    pub(crate) fn is_node(&self, name: &str) -> bool {
        self.names.is_node(name)
    }
}

/// Names as a range for messages.
pub(crate) fn fold<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: BTreeSet<&str> = names.into_iter().map(String::as_str).collect();
    noderange::fold(names)
}
