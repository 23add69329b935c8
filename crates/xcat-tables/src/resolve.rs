//! What a node gets from its own rows and from those of its groups (spec xcat-tables section 4).

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use crate::row::is_defined;
use crate::stored::{Groups, Stored, Texts};
use crate::value::Evaluator;
use crate::{Error, Row, Tables, schema};

/// At the end of a value: the next group's value follows.
const NEXT: &str = "+=NEXTRECORD";

/// What several tables say of nodes, read once.
#[derive(Debug)]
pub struct Attributes {
    sources: BTreeMap<String, Source>,
    evaluator: Evaluator,
}

impl Attributes {
    pub(crate) fn read(tables: &Tables, wanted: &[(&str, Vec<&str>)]) -> Result<Attributes, Error> {
        let names = wanted.iter().map(|(table, _)| table.to_string());
        Ok(Attributes {
            sources: names.zip(Source::read_all(tables, wanted)?).collect(),
            evaluator: Evaluator::default(),
        })
    }

    /// The node's rows in one of the tables that were read, completed and evaluated; none in others.
    pub fn rows(&self, table: &str, node: &str) -> Vec<Row> {
        let source = self.sources.get(table);
        let mut rows = source
            .map(|source| source.resolve(node))
            .unwrap_or_default();
        for row in &mut rows {
            evaluate(&self.evaluator, row, node);
        }
        rows
    }
}

/// See [`Tables::attributes`].
pub(crate) fn attributes(
    tables: &Tables,
    table: &str,
    columns: &[&str],
    nodes: &[String],
) -> Result<BTreeMap<String, Vec<Row>>, Error> {
    let found = Attributes::read(tables, &[(table, columns.to_vec())])?;
    let rows = nodes
        .iter()
        .map(|node| (node.clone(), found.rows(table, node)));
    Ok(rows.filter(|(_, rows)| !rows.is_empty()).collect())
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

/// A table and what decides who inherits from whom in it, read once for all nodes.
#[derive(Debug)]
pub(crate) struct Source {
    columns: Arc<[String]>,
    node_column: String,
    /// By the node column: nodes and groups alike.
    rows: Stored,
    groups: Rc<Groups>,
    /// What nodes without rows of their own have, by their groups.
    inherited: RefCell<HashMap<Rc<str>, Vec<Row>>>,
    /// Columns whose values are collected from the node and all of its groups, with the text
    /// between them.
    collected: BTreeMap<String, String>,
}

impl Source {
    pub(crate) fn read(tables: &Tables, table: &str, columns: &[&str]) -> Result<Source, Error> {
        let mut sources = Source::read_all(tables, &[(table, columns.to_vec())])?;
        sources
            .pop()
            .ok_or_else(|| Error::UnknownTable(table.into()))
    }

    /// Of one moment, and with one connection: the rows of these tables, and who is in which group.
    fn read_all(tables: &Tables, wanted: &[(&str, Vec<&str>)]) -> Result<Vec<Source>, Error> {
        let mut scanned = vec![
            ("nodelist", vec!["node", "groups"]),
            ("site", vec!["key", "value"]),
        ];
        scanned.extend(wanted.iter().map(|(table, columns)| {
            let mut all = vec![node_column(table)];
            all.extend(columns.iter().copied());
            all.extend(compound_key(table).iter().map(String::as_str));
            (*table, all)
        }));
        let (mut texts, mut groups, mut hierarchical) = (Texts::default(), Groups::default(), None);
        let mut gathered: Vec<Gathered> = wanted
            .iter()
            .map(|(_, columns)| Gathered::new(columns))
            .collect();
        let found = tables.scan(&scanned, &mut |at, cells| match (at, cells) {
            (0, [Some(node), Some(names)]) if is_defined(names) => {
                groups.put(&mut texts, node, names);
            }
            (1, [Some("hierarchicalattrs"), value]) => {
                let value = value.filter(|value| is_defined(value));
                hierarchical.get_or_insert(value.map(String::from));
            }
            (0 | 1, _) => {}
            (at, cells) => gathered[at - 2].put(&mut texts, cells),
        })?;
        let groups = Rc::new(groups);
        let collected = collected(hierarchical.flatten().as_deref());
        let sources = wanted.iter().zip(gathered).zip(&found[2..]);
        let sources = sources.map(|(((table, columns), gathered), has)| {
            let known = |column: &str| {
                has.iter().any(|name| name == column)
                    || schema(table)
                        .is_some_and(|schema| schema.columns.iter().any(|c| c == column))
            };
            if let Some(column) = columns.iter().find(|column| !known(column)) {
                return Err(Error::UnknownColumn {
                    table: (*table).into(),
                    column: (*column).into(),
                });
            }
            if !known(node_column(table)) {
                return Err(Error::NotByNode((*table).into()));
            }
            let rows = gathered.finish(&mut texts);
            let alone = *table == "nodelist";
            Ok(Source {
                columns: rows.columns().clone(),
                node_column: node_column(table).into(),
                rows,
                groups: if alone { Rc::default() } else { groups.clone() },
                inherited: RefCell::default(),
                collected: if alone {
                    BTreeMap::new()
                } else {
                    collected.clone()
                },
            })
        });
        sources.collect()
    }

    /// The node's rows, completed, expressions not yet evaluated.
    pub(crate) fn resolve(&self, node: &str) -> Vec<Row> {
        let mut rows = self.rows.rows(node);
        for (column, between) in &self.collected {
            for row in &mut rows {
                if let Some(open) = row.get(column).map(|value| open_end(value, between)) {
                    row.set(column, Some(open));
                }
            }
        }
        let Some(groups) = self.groups.of(node) else {
            return rows;
        };
        if !rows.is_empty() || self.columns.contains(&self.node_column) {
            return self.completed(rows, groups, node);
        }
        if let Some(known) = self.inherited.borrow().get(groups) {
            return known.clone();
        }
        let found = self.completed(rows, groups, node);
        self.inherited
            .borrow_mut()
            .insert(groups.clone(), found.clone());
        found
    }

    /// A node's own rows with what its groups say where they say nothing.
    fn completed(&self, mut rows: Vec<Row>, groups: &str, node: &str) -> Vec<Row> {
        let settled = |column: &str| {
            rows.iter()
                .any(|row| row.get(column).is_some_and(|value| !value.ends_with(NEXT)))
        };
        let columns = self.columns.iter().map(String::as_str);
        let mut missing: Vec<&str> = columns.filter(|column| !settled(column)).collect();
        if missing.is_empty() {
            return rows;
        }
        for group in groups.split(',') {
            let given = self.rows.rows(group);
            rows = self.inherit(rows, &given, group, node, &mut missing);
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
        let groups = self.groups.of(node).into_iter();
        groups
            .flat_map(|groups| groups.split(','))
            .flat_map(|group| self.rows.rows(group))
            .any(|row| row.get(column).is_some())
    }

    /// Extends each row by each row of the group, in the columns that are still missing.
    fn inherit(
        &self,
        rows: Vec<Row>,
        given: &[Row],
        group: &str,
        node: &str,
        missing: &mut Vec<&str>,
    ) -> Vec<Row> {
        let mut extended = Vec::new();
        let mut settled: Vec<&str> = Vec::new();
        for from in given {
            let offered: Vec<(&str, &str)> = missing
                .iter()
                .filter_map(|column| Some((*column, from.get(column)?)))
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
                    settled.push(column);
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
    // All others are literal.
    let may_be_expression = |value: &&str| value.starts_with(['/', '|']);
    let cells: Vec<(String, String)> = row
        .iter()
        .filter_map(|(column, value)| {
            let value = value.filter(may_be_expression)?;
            Some((column.to_string(), value.to_string()))
        })
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

/// The rows of one table as they are read: the node column, the wanted ones, the parts of a key.
struct Gathered {
    stored: Stored,
    /// Several rows of one node come in the order of the key; so these wait for the last.
    waiting: Vec<Waiting>,
}

/// The parts of a key, the name, the wanted columns.
type Waiting = (Vec<Option<String>>, String, Vec<Option<String>>);

impl Gathered {
    fn new(columns: &[&str]) -> Gathered {
        Gathered {
            stored: Stored::new(columns.iter().map(ToString::to_string).collect()),
            waiting: Vec::new(),
        }
    }

    /// A row in which all wanted columns are undefined does not count.
    fn put(&mut self, texts: &mut Texts, cells: &[Option<&str>]) {
        let Some((Some(name), cells)) = cells.split_first() else {
            return;
        };
        let (wanted, key) = cells.split_at(self.stored.columns().len());
        let wanted: Vec<Option<&str>> = wanted
            .iter()
            .map(|value| value.filter(|value| is_defined(value)))
            .collect();
        if wanted.iter().all(Option::is_none) {
            return;
        }
        if key.is_empty() {
            return self.stored.put(texts, name, &wanted);
        }
        let owned = |cells: &[Option<&str>]| -> Vec<Option<String>> {
            cells.iter().map(|cell| cell.map(String::from)).collect()
        };
        self.waiting
            .push((owned(key), name.to_string(), owned(&wanted)));
    }

    fn finish(mut self, texts: &mut Texts) -> Stored {
        self.waiting.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        for (_, name, wanted) in &self.waiting {
            let cells: Vec<Option<&str>> = wanted.iter().map(Option::as_deref).collect();
            self.stored.put(texts, name, &cells);
        }
        self.stored
    }
}

fn node_column(table: &str) -> &'static str {
    schema(table).map_or("node", |schema| schema.node_column())
}

/// The columns of the key, if there are several.
fn compound_key(table: &str) -> &'static [String] {
    match schema(table) {
        Some(schema) if schema.keys.len() > 1 => &schema.keys,
        _ => &[],
    }
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
