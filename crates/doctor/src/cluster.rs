//! What several checks need, read once.

use std::collections::{BTreeSet, HashSet};

use noderange::Names;
use xcat_tables::{Error, NodeNames, Row, Tables};

/// The nodes and groups.
pub(crate) struct Cluster {
    /// Enabled nodes, as the table has them.
    pub(crate) nodes: Vec<String>,
    /// All rows of `nodelist`, disabled ones too.
    pub(crate) rows: Vec<Row>,
    pub(crate) names: NodeNames,
    known: HashSet<String>,
}

impl Cluster {
    pub(crate) fn read(tables: &Tables) -> Result<Cluster, Error> {
        let rows = tables.all_rows("nodelist")?;
        let names = tables.names()?;
        let mut known: HashSet<String> = names
            .group_names()
            .iter()
            .map(ToString::to_string)
            .collect();
        for row in &rows {
            known.extend(row.get("node").map(String::from));
            // A group of disabled nodes is one all the same.
            known.extend(
                row.get("groups")
                    .unwrap_or_default()
                    .split(',')
                    .map(String::from),
            );
        }
        Ok(Cluster {
            nodes: names.nodes().map(String::from).collect(),
            rows,
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
