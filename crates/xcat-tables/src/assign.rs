//! Values for many nodes at once.

use std::collections::BTreeMap;

use crate::resolve::Source;
use crate::{Error, Tables, schema};

/// What hides a group's value from a node: an expression that gives nothing. xCAT's nodech writes
/// the same.
const HIDDEN: &str = "|^.*$||";

/// A column of a table of nodes: `table.column`, or one of xCAT's short names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnName {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

impl ColumnName {
    /// Understands `table.column`, `groups`, `tags` and `mgt`.
    pub fn parse(text: &str) -> Option<ColumnName> {
        let (table, column) = match text {
            "groups" | "tags" => ("nodelist", "groups"),
            "mgt" => ("nodehm", "mgt"),
            other => other.split_once('.')?,
        };
        (!table.is_empty() && !column.is_empty()).then(|| ColumnName {
            table: table.into(),
            column: column.into(),
        })
    }
}

impl std::fmt::Display for ColumnName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

impl Tables {
    /// Stores values in the nodes' own rows, of all tables in one transaction. Rows are added where
    /// a node has none. An empty value takes the node's own away; where a group would then give one,
    /// the node's row hides it. `NULL` takes the node's own away and lets the group's through.
    pub fn assign(&self, nodes: &[String], values: &[(ColumnName, String)]) -> Result<(), Error> {
        let mut by_table: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
        for (name, value) in values {
            // Of two values for one column the last counts.
            let columns = by_table.entry(&name.table).or_default();
            columns.insert(&name.column, value);
        }
        let mut sources = BTreeMap::new();
        for (table, columns) in &by_table {
            let columns: Vec<&str> = columns.keys().copied().collect();
            let source = Source::read(self, table, &columns)?;
            let node_column = schema(table).map_or("node", |schema| schema.node_column());
            if columns.contains(&node_column) {
                return Err(Error::NodeColumn((*table).into()));
            }
            sources.insert(*table, (source, node_column));
        }
        let names: Vec<&str> = by_table.keys().copied().collect();
        self.transaction(&names, |change| {
            for (table, columns) in &by_table {
                let Some((source, node_column)) = sources.get(table) else {
                    continue;
                };
                for node in nodes {
                    let own: Vec<(&str, Option<&str>)> = columns
                        .iter()
                        .map(|(column, value)| (*column, stored(source, node, column, value)))
                        .collect();
                    let key = [(*node_column, node.as_str())];
                    let says_something = own
                        .iter()
                        .any(|(_, value)| value.is_some_and(|v| !v.is_empty()));
                    if says_something {
                        change.put(table, &key, &own)?;
                    } else {
                        change.update(table, &key, &own)?;
                    }
                }
            }
            Ok(())
        })
    }
}

fn stored<'v>(source: &Source, node: &str, column: &str, value: &'v str) -> Option<&'v str> {
    match value {
        "NULL" => None,
        "" if source.has_from_group(node, column) => Some(HIDDEN),
        other => Some(other),
    }
}
