//! What a node gets from its own rows and from those of its groups (spec xcat-tables section 4).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::row::is_defined;
use crate::tables::setting;
use crate::value::Evaluator;
use crate::{Error, Row, Tables, schema};

/// At the end of a value: the next group's value follows.
const NEXT: &str = "+=NEXTRECORD";

/// See [`Tables::attributes`].
pub(crate) fn attributes(
    tables: &Tables,
    table: &str,
    columns: &[&str],
    nodes: &[String],
) -> Result<BTreeMap<String, Vec<Row>>, Error> {
    let source = Source::read(tables, table, columns)?;
    let evaluator = Evaluator::default();
    let mut found = BTreeMap::new();
    for node in nodes {
        let mut rows = source.resolve(node);
        if rows.is_empty() {
            continue;
        }
        for row in &mut rows {
            evaluate(&evaluator, row, node);
        }
        found.insert(node.clone(), rows);
    }
    Ok(found)
}

/// The values of one column by node, for choosing nodes by them: there a value that cannot be
/// evaluated is an error, since neither answer would be right.
pub(crate) fn values(
    tables: &Tables,
    table: &str,
    column: &str,
    nodes: &[String],
) -> Result<HashMap<String, Vec<String>>, Error> {
    let mut found = HashMap::new();
    for (node, rows) in attributes(tables, table, &[column], nodes)? {
        let failure = rows.iter().find_map(|row| row.failure(column));
        if let Some(why) = failure {
            return Err(Error::Value {
                table: table.into(),
                column: column.into(),
                node,
                why: why.into(),
            });
        }
        let values: Vec<String> = rows
            .iter()
            .filter_map(|row| row.get(column).map(String::from))
            .collect();
        if !values.is_empty() {
            found.insert(node, values);
        }
    }
    Ok(found)
}

/// The groups of every enabled node, in the order of `nodelist`; names are not trimmed.
pub(crate) fn groups(rows: &[Row]) -> HashMap<String, Vec<String>> {
    let named = rows.iter().filter_map(|row| {
        let groups = row.get("groups")?.split(',').map(String::from).collect();
        Some((row.raw("node")?.to_string(), groups))
    });
    named.collect()
}

/// A table and what decides who inherits from whom in it, read once for all nodes.
pub(crate) struct Source {
    columns: Arc<[String]>,
    node_column: String,
    /// By the node column: nodes and groups alike.
    rows: HashMap<String, Vec<Row>>,
    groups: HashMap<String, Vec<String>>,
    /// Columns whose values are collected from the node and all of its groups, with the text
    /// between them.
    collected: BTreeMap<String, String>,
}

impl Source {
    pub(crate) fn read(tables: &Tables, table: &str, columns: &[&str]) -> Result<Source, Error> {
        // Of one moment, and with one connection.
        let [content, nodes, site] = tables.contents([table, "nodelist", "site"])?;
        let known = |column: &str| {
            content.columns.iter().any(|name| name == column)
                || schema(table).is_some_and(|schema| schema.columns.iter().any(|c| c == column))
        };
        if let Some(column) = columns.iter().find(|column| !known(column)) {
            return Err(Error::UnknownColumn {
                table: table.into(),
                column: (*column).into(),
            });
        }
        let node_column = schema(table).map_or("node", |schema| schema.node_column());
        if !known(node_column) {
            return Err(Error::NotByNode(table.into()));
        }
        let mut rows = content.into_enabled_rows();
        by_key(table, &mut rows);
        let (groups, collected) = if table == "nodelist" {
            Default::default()
        } else {
            let setting = setting(&site.into_enabled_rows(), "hierarchicalattrs");
            (
                groups(&nodes.into_enabled_rows()),
                collected(setting.as_deref()),
            )
        };
        let columns: Arc<[String]> = columns.iter().map(ToString::to_string).collect();
        let mut by_node: HashMap<String, Vec<Row>> = HashMap::new();
        for row in rows {
            if let Some(name) = row.raw(node_column)
                && let Some(part) = part(&row, &columns)
            {
                by_node.entry(name.to_string()).or_default().push(part);
            }
        }
        Ok(Source {
            columns,
            node_column: node_column.into(),
            rows: by_node,
            groups,
            collected,
        })
    }

    /// The node's rows, completed, expressions not yet evaluated.
    pub(crate) fn resolve(&self, node: &str) -> Vec<Row> {
        let mut rows = self.rows.get(node).cloned().unwrap_or_default();
        for (column, between) in &self.collected {
            for row in &mut rows {
                if let Some(open) = row.get(column).map(|value| open_end(value, between)) {
                    row.set(column, Some(open));
                }
            }
        }
        let settled = |column: &String| {
            rows.iter()
                .any(|row| row.get(column).is_some_and(|value| !value.ends_with(NEXT)))
        };
        let mut missing: Vec<String> = self
            .columns
            .iter()
            .filter(|c| !settled(c))
            .cloned()
            .collect();
        let Some(groups) = self.groups.get(node) else {
            return rows;
        };
        if missing.is_empty() {
            return rows;
        }
        for group in groups {
            let Some(given) = self.rows.get(group) else {
                continue;
            };
            rows = self.inherit(rows, given, group, node, &mut missing);
            if missing.is_empty() {
                break;
            }
        }
        for row in &mut rows {
            self.close(row);
        }
        rows
    }

    /// True if some group of the node's defines the column.
    pub(crate) fn has_from_group(&self, node: &str, column: &str) -> bool {
        let groups = self.groups.get(node).into_iter().flatten();
        groups
            .filter_map(|group| self.rows.get(group))
            .flatten()
            .any(|row| row.get(column).is_some())
    }

    /// Extends each row by each row of the group, in the columns that are still missing.
    fn inherit(
        &self,
        rows: Vec<Row>,
        given: &[Row],
        group: &str,
        node: &str,
        missing: &mut Vec<String>,
    ) -> Vec<Row> {
        let mut extended = Vec::new();
        let mut settled: Vec<String> = Vec::new();
        for from in given {
            let offered: Vec<(&String, &str)> = missing
                .iter()
                .filter_map(|column| Some((column, from.get(column)?)))
                .collect();
            if offered.is_empty() {
                continue;
            }
            let bare = [Row::new(
                self.columns.clone(),
                vec![None; self.columns.len()],
            )];
            let bases = if rows.is_empty() { &bare[..] } else { &rows };
            for base in bases {
                let mut row = base.clone();
                for (column, value) in &offered {
                    self.extend(&mut row, column, value, group, node);
                }
                extended.push(row);
            }
            for (column, value) in offered {
                if !value.ends_with(NEXT) && !self.collected.contains_key(column) {
                    settled.push(column.clone());
                }
            }
        }
        if extended.is_empty() {
            return rows;
        }
        missing.retain(|column| !settled.contains(column));
        extended
    }

    fn extend(&self, row: &mut Row, column: &str, value: &str, group: &str, node: &str) {
        if column == self.node_column {
            row.set(column, Some(node.to_string()));
            return;
        }
        let value = match self.collected.get(column) {
            Some(between) => open_end(value, between),
            None => value.to_string(),
        };
        let value = match row.get(column) {
            None => value,
            Some(mine) => match mine.strip_suffix(NEXT) {
                Some(mine) => format!("{mine}{value}"),
                None => return,
            },
        };
        row.set(column, Some(value));
        row.note_group(column, group);
    }

    /// Takes the marks out, and what a collected value holds twice.
    fn close(&self, row: &mut Row) {
        for column in self.columns.iter() {
            let Some(value) = row.get(column).filter(|value| value.contains(NEXT)) else {
                continue;
            };
            let mut value = value.replace(NEXT, "");
            if let Some(between) = self.collected.get(column).filter(|text| !text.is_empty()) {
                let mut seen: Vec<&str> = Vec::new();
                for item in value
                    .trim_end_matches(between.as_str())
                    .split(between.as_str())
                {
                    if !seen.contains(&item) {
                        seen.push(item);
                    }
                }
                value = seen.join(between);
            }
            row.set(column, Some(value));
        }
    }
}

fn evaluate(evaluator: &Evaluator, row: &mut Row, node: &str) {
    let cells: Vec<(String, String)> = row
        .iter()
        .filter_map(|(column, value)| Some((column.to_string(), value?.to_string())))
        .collect();
    for (column, value) in cells {
        match evaluator.evaluate(&value, node) {
            Ok(result) if result == value => {}
            Ok(result) => row.set(&column, Some(result)),
            Err(why) => {
                row.set(&column, None);
                row.note_failure(&column, why.to_string());
            }
        }
    }
}

/// The wanted columns; none if all of them are undefined: such a row does not count.
fn part(row: &Row, columns: &Arc<[String]>) -> Option<Row> {
    let values: Vec<Option<String>> = columns
        .iter()
        .map(|column| row.get(column).map(String::from))
        .collect();
    let any = values.iter().flatten().any(|value| is_defined(value));
    any.then(|| Row::new(columns.clone(), values))
}

/// Several rows of one node come in the order of the key, as the index gives them to xCAT.
pub(crate) fn by_key(table: &str, rows: &mut [Row]) {
    let Some(schema) = schema(table).filter(|schema| schema.keys.len() > 1) else {
        return;
    };
    rows.sort_by(|a, b| {
        let key = |row: &Row| -> Vec<Option<String>> {
            let values = schema.keys.iter();
            values.map(|key| row.raw(key).map(String::from)).collect()
        };
        key(a).cmp(&key(b))
    });
}

/// `site.hierarchicalattrs`: `attr[:separator],...`.
fn collected(setting: Option<&str>) -> BTreeMap<String, String> {
    let items = setting.unwrap_or_default().split(',');
    items
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| match item.split_once(':') {
            Some((column, between)) => (column.trim().to_string(), between.trim().to_string()),
            None => (item.to_string(), ",".to_string()),
        })
        .collect()
}

/// The value, ready for the next one to be put behind it.
fn open_end(value: &str, between: &str) -> String {
    let value = value.strip_suffix(NEXT).unwrap_or(value);
    format!("{value}{between}{NEXT}")
}
