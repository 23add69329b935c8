//! Changes as nodech and chtab make them, all of them or none, and what they would change.

use std::collections::{BTreeMap, HashSet};

use crate::assign::{Assignment, How};
use crate::differences::{RowChange, differences};
use crate::engine::{existing, missing};
use crate::resolve::Source;
use crate::{Error, Row, Tables, Transaction, schema, table_names};

/// The table whose rows make nodes.
const NODES: &str = "nodelist";
/// What hides a group's value from a node: an expression that gives nothing. xCAT's nodech writes
/// the same.
const HIDDEN: &str = "|^.*$||";

/// Which rows are changed.
#[derive(Debug, Clone)]
pub enum Subject {
    /// The own rows of these nodes, in every table that is named.
    Nodes(Vec<String>),
    /// The same, of names that become nodes: the edit sets `nodelist.groups`. It is an error if one is
    /// a node already, disabled or not, or a group.
    New(Vec<String>),
    /// The rows, disabled ones too, that hold all of these values.
    Rows(Vec<(String, String)>),
}

/// What becomes of them.
#[derive(Debug, Clone)]
pub enum Edit {
    /// Columns get values; rows that do not exist are added, unless they would hold nothing.
    ///
    /// Of nodes, an empty value takes the node's own away, and where a group would then give one the
    /// node's row hides it; the present value, for [`How::Append`] and its like, is the one that the
    /// node has from its groups too. [`How::Clear`] takes the node's own away and lets the group's
    /// through.
    ///
    /// A row that would make a node of a group's name is not added: the node would hide the group.
    Assign(Vec<Assignment>),
    /// Rows of these tables are removed.
    Remove(Vec<String>),
}

impl Edit {
    /// The tables that it may change, sorted.
    pub fn tables(&self) -> Vec<&str> {
        let mut tables: Vec<&str> = match self {
            Edit::Assign(list) => list.iter().map(|one| one.name.table.as_str()).collect(),
            Edit::Remove(tables) => tables.iter().map(String::as_str).collect(),
        };
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}

impl Tables {
    /// The tables that exist and are kept by node: with [`Edit::Remove`] all that they say of it goes.
    pub fn kept_by_node(&self) -> Result<Vec<String>, Error> {
        let by_node = |table: &&str| {
            schema(table).is_some_and(|schema| schema.keys.iter().any(|key| key == "node"))
        };
        let names: Vec<&str> = table_names().filter(by_node).collect();
        Ok(existing(self.location(), &names)?.into_iter().collect())
    }

    /// Changes rows, in one transaction.
    pub fn edit(&self, subject: &Subject, edit: &Edit) -> Result<(), Error> {
        self.transaction(&edit.tables(), |change| run(self, change, subject, edit))
    }

    /// As [`Tables::edit`]; says what is different now.
    pub fn edit_and_tell(&self, subject: &Subject, edit: &Edit) -> Result<Vec<RowChange>, Error> {
        self.transaction(&edit.tables(), |change| {
            watched(self, change, subject, edit)
        })
    }

    /// What [`Tables::edit`] would change. It is done and taken back in a transaction: the answer is
    /// the database's own. Nothing is stored and no file is made.
    pub fn preview(&self, subject: &Subject, edit: &Edit) -> Result<Vec<RowChange>, Error> {
        let tables = edit.tables();
        let there = existing(self.location(), &tables)?;
        // Even taskstate, which a transaction may make.
        if let Some(table) = tables.iter().find(|table| !there.contains(**table)) {
            return Err(missing(table));
        }
        let undone = self.transaction(&tables, |change| {
            Err::<(), _>(Undo::Seen(watched(self, change, subject, edit)?))
        });
        match undone {
            Ok(()) => Ok(Vec::new()),
            Err(Undo::Seen(changes)) => Ok(changes),
            Err(Undo::Failed(error)) => Err(error),
        }
    }
}

/// Why a preview's transaction is rolled back.
enum Undo {
    Seen(Vec<RowChange>),
    Failed(Error),
}

impl From<Error> for Undo {
    fn from(error: Error) -> Undo {
        Undo::Failed(error)
    }
}

fn watched(
    tables: &Tables,
    change: &Transaction<'_>,
    subject: &Subject,
    edit: &Edit,
) -> Result<Vec<RowChange>, Error> {
    let snapshot = || -> Result<Vec<(&str, Vec<Row>)>, Error> {
        let rows = edit.tables().into_iter();
        rows.map(|table| Ok((table, change.all_rows(table)?)))
            .collect()
    };
    let before = snapshot()?;
    run(tables, change, subject, edit)?;
    let after = snapshot()?;
    let pairs = before.iter().zip(&after);
    Ok(pairs
        .flat_map(|((table, old), (_, new))| differences(table, old, new))
        .collect())
}

fn run(
    tables: &Tables,
    change: &Transaction<'_>,
    subject: &Subject,
    edit: &Edit,
) -> Result<(), Error> {
    match (subject, edit) {
        (Subject::Nodes(nodes), Edit::Assign(list)) => assign_nodes(tables, change, nodes, list),
        (Subject::New(nodes), Edit::Assign(list)) => add_nodes(tables, change, nodes, list),
        (Subject::Rows(keys), Edit::Assign(list)) => {
            let new = list.iter().any(|one| one.name.table == NODES)
                && change.matching(NODES, &borrowed(keys))?.is_empty();
            let node = keys.iter().find(|(column, _)| new && column == "node");
            no_groups(tables, node.into_iter().map(|(_, node)| node))?;
            assign_rows(change, keys, list)
        }
        (Subject::Nodes(nodes) | Subject::New(nodes), Edit::Remove(names)) => {
            for table in names {
                let column = node_column(change, table)?;
                for node in nodes {
                    change.delete(table, &[(column, node)])?;
                }
            }
            Ok(())
        }
        (Subject::Rows(keys), Edit::Remove(names)) => {
            for table in names {
                change.delete(table, &borrowed(keys))?;
            }
            Ok(())
        }
    }
}

/// By table and column; of two assignments to one column the last counts.
fn by_table(list: &[Assignment]) -> BTreeMap<&str, BTreeMap<&str, &Assignment>> {
    let mut by_table: BTreeMap<&str, BTreeMap<&str, &Assignment>> = BTreeMap::new();
    for one in list {
        let columns = by_table.entry(&one.name.table).or_default();
        columns.insert(&one.name.column, one);
    }
    by_table
}

fn node_column(change: &Transaction<'_>, table: &str) -> Result<&'static str, Error> {
    let column = schema(table).map_or("node", |schema| schema.node_column());
    if change.columns(table)?.iter().any(|name| name == column) {
        Ok(column)
    } else {
        Err(Error::NotByNode(table.into()))
    }
}

fn borrowed(keys: &[(String, String)]) -> Vec<(&str, &str)> {
    keys.iter()
        .map(|(column, value)| (column.as_str(), value.as_str()))
        .collect()
}

fn assign_nodes(
    tables: &Tables,
    change: &Transaction<'_>,
    nodes: &[String],
    list: &[Assignment],
) -> Result<(), Error> {
    // What is there is read now, when nobody else can write any more, and before anything is written:
    // a second connection reads what is committed.
    let mut present = Vec::new();
    for (table, columns) in by_table(list) {
        let names: Vec<&str> = columns.keys().copied().collect();
        let source = Source::read(tables, table, &names)?;
        let node_column = schema(table).map_or("node", |schema| schema.node_column());
        if names.contains(&node_column) {
            return Err(Error::NodeColumn(table.into()));
        }
        let extended: Vec<&str> = columns
            .iter()
            .filter(|(_, one)| one.how.extends())
            .map(|(column, _)| *column)
            .collect();
        let values = if extended.is_empty() {
            BTreeMap::new()
        } else {
            tables.attributes(table, &extended, nodes)?
        };
        present.push((table, columns, source, node_column, values));
    }
    for (table, columns, source, node_column, values) in present {
        for node in nodes {
            let rows = values.get(node).map_or(&[][..], Vec::as_slice);
            let mut own: Vec<(&str, Option<String>)> = Vec::with_capacity(columns.len());
            for one in columns.values() {
                let value = if one.how.extends() {
                    extended(one, node, rows)?
                } else {
                    Some(one.value.clone())
                };
                let Some(value) = value else { continue };
                let value = if one.how == How::Clear {
                    None
                } else if value.is_empty() && source.has_from_group(node, &one.name.column) {
                    Some(HIDDEN.to_string())
                } else {
                    Some(value)
                };
                own.push((&one.name.column, value));
            }
            store(change, table, &[(node_column, node)], &own)?;
        }
    }
    Ok(())
}

/// The value with items put in or taken out; none if that makes no difference.
fn extended(one: &Assignment, node: &str, rows: &[Row]) -> Result<Option<String>, Error> {
    let column = one.name.column.as_str();
    let refused = |why: &str| Error::Value {
        table: one.name.table.clone(),
        column: column.into(),
        node: node.into(),
        why: why.into(),
    };
    if let Some(why) = rows.iter().find_map(|row| row.failure(column)) {
        return Err(refused(why));
    }
    let row = rows.iter().find(|row| row.get(column).is_some());
    let present = row.and_then(|row| row.get(column));
    let value = one.apply(present);
    if Some(value.as_str()) == present || value.is_empty() && present.is_none() {
        return Ok(None);
    }
    if value.is_empty() && row.is_some_and(|row| row.group(column).is_some()) {
        return Err(refused(
            "all of its value comes from a group; an empty value hides that",
        ));
    }
    Ok(Some(value))
}

fn add_nodes(
    tables: &Tables,
    change: &Transaction<'_>,
    nodes: &[String],
    list: &[Assignment],
) -> Result<(), Error> {
    let rows = change.all_rows(NODES)?;
    let there: HashSet<&str> = rows.iter().filter_map(|row| row.raw("node")).collect();
    if let Some(node) = nodes.iter().find(|node| there.contains(node.as_str())) {
        return Err(Error::NotNew(node.clone(), "is a node already"));
    }
    no_groups(tables, nodes)?;
    for node in nodes {
        for (table, columns) in by_table(list) {
            let key = (node_column(change, table)?.to_string(), node.clone());
            let values: Vec<Assignment> = columns.into_values().cloned().collect();
            assign_rows(change, &[key], &values)?;
        }
    }
    Ok(())
}

/// An error if one of the names is a group's.
fn no_groups<'n>(
    tables: &Tables,
    names: impl IntoIterator<Item = &'n String>,
) -> Result<(), Error> {
    let mut names = names.into_iter().peekable();
    if names.peek().is_none() {
        return Ok(());
    }
    let known = tables.names()?;
    let groups: HashSet<&str> = known.group_names().into_iter().collect();
    match names.find(|name| groups.contains(name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Error::NotNew(
            name.clone(),
            "is a group, which a node of that name would hide",
        )),
    }
}

fn assign_rows(
    change: &Transaction<'_>,
    keys: &[(String, String)],
    list: &[Assignment],
) -> Result<(), Error> {
    let keys = borrowed(keys);
    for (table, columns) in by_table(list) {
        let rows = change.matching(table, &keys)?;
        let values: Vec<(&str, Option<String>)> = columns
            .iter()
            .map(|(column, one)| {
                let value = one.apply(rows.first().and_then(|row| row.get(column)));
                (*column, (one.how != How::Clear).then_some(value))
            })
            .collect();
        store(change, table, &keys, &values)?;
    }
    Ok(())
}

/// A row that would hold nothing is not added.
fn store(
    change: &Transaction<'_>,
    table: &str,
    keys: &[(&str, &str)],
    values: &[(&str, Option<String>)],
) -> Result<(), Error> {
    let values: Vec<(&str, Option<&str>)> = values
        .iter()
        .map(|(column, value)| (*column, value.as_deref()))
        .collect();
    let something = |(_, value): &(&str, Option<&str>)| value.is_some_and(|text| !text.is_empty());
    if change.update(table, keys, &values)? > 0 || !values.iter().any(something) {
        return Ok(());
    }
    // A key that is also given a value has that value in the new row.
    let keys = keys
        .iter()
        .filter(|(key, _)| !values.iter().any(|(column, _)| column == key))
        .map(|(column, value)| (*column, Some(*value)));
    let row: Vec<_> = keys.chain(values.iter().copied()).collect();
    change.insert(table, &row)
}
