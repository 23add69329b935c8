//! Values that are expressions and cannot be evaluated.

use std::collections::{BTreeMap, BTreeSet};

use xcat_tables::{Tables, schema, table_names};

use crate::cluster::{Cluster, fold};
use crate::shell::word;
use crate::{Check, Finding, Host, said};

pub(crate) fn look(
    tables: &Tables,
    _: &Host,
    cluster: &Cluster,
    check: &mut Check,
) -> Result<(), String> {
    for table in table_names() {
        let Some(schema) = schema(table) else {
            continue;
        };
        let node_column = schema.node_column();
        if !schema.columns.iter().any(|column| column == node_column) {
            continue;
        }
        let rows = tables.rows(table).map_err(said)?;
        let columns: BTreeSet<&str> = rows
            .iter()
            .flat_map(|row| row.iter())
            .filter(|(_, value)| value.is_some_and(|value| value.starts_with(['|', '/'])))
            .map(|(column, _)| column)
            .filter(|column| *column != node_column)
            .collect();
        if columns.is_empty() {
            continue;
        }
        let columns: Vec<&str> = columns.into_iter().collect();
        let found = tables
            .attributes(table, &columns, &cluster.nodes)
            .map_err(said)?;
        // By column, reason and row: a group's value fails for all of its nodes alike.
        let mut failed: BTreeMap<(&str, String, Option<String>), Vec<String>> = BTreeMap::new();
        for (node, rows) in &found {
            for (row, column) in rows
                .iter()
                .flat_map(|row| columns.iter().map(move |c| (row, *c)))
            {
                if let Some(why) = row.failure(column) {
                    let group = row.group(column).map(String::from);
                    let nodes = failed.entry((column, why.to_string(), group)).or_default();
                    nodes.push(node.clone());
                }
            }
        }
        for ((column, why, group), nodes) in failed {
            let nodes = fold(&nodes);
            let (row, rows) = match &group {
                Some(group) => (
                    format!("row of group {group}, for {nodes}"),
                    format!("-k {}", word(&format!("{node_column}={group}"))),
                ),
                None => (format!("row of {nodes}"), word(&nodes)),
            };
            let fix = format!("xtab set {rows} {table}.{column}=VALUE");
            check
                .findings
                .push(Finding::new(format!("{table}.{column}, {row}"), why, fix));
        }
    }
    Ok(())
}
