//! The write: all rows in one transaction, each with its old value as a condition.

use std::collections::BTreeMap;

use xcat_tables::{Row, Tables, Transaction};

use crate::Error;
use crate::plan::{Change, Plan};

/// Writes a plan's changes: all of them or none. A row that does not hold what the plan saw is a conflict; one that
/// holds the new value already counts as written, so that a run that was killed between the write and its note in
/// the journal can be finished.
///
/// # Errors
/// [`Error::Conflict`] with every such row; else what the tables say.
pub fn write(tables: &Tables, plan: &Plan) -> Result<(), Error> {
    tables.transaction(&names(&plan.changes), |transaction| {
        let rows = own_rows(transaction, &plan.changes)?;
        let mut conflicts = Vec::new();
        let mut waiting: Vec<&Change> = Vec::new();
        for change in &plan.changes {
            let row = rows.get(&(change.table.as_str(), change.node.as_str()));
            let now = row.and_then(|row| row.raw(&change.column));
            if now == Some(change.new.as_str()) {
                continue;
            }
            if now != change.old.as_deref() {
                conflicts.push(place(change));
            }
            waiting.push(change);
        }
        if !conflicts.is_empty() {
            return Err(Error::Conflict(conflicts));
        }
        waiting
            .into_iter()
            .try_for_each(|change| put(transaction, change, Some(&change.new)))
    })
}

/// Puts back what a plan changed, where the rows still hold what it wrote; the others are left and returned, as
/// `table.column of node`. A row that the plan added goes away if nobody else has written to it.
///
/// # Errors
/// What the tables say; then nothing was put back.
pub fn take_back(tables: &Tables, plan: &Plan) -> Result<Vec<String>, Error> {
    tables.transaction(&names(&plan.changes), |transaction| {
        let rows = own_rows(transaction, &plan.changes)?;
        let mut left = Vec::new();
        let mut added: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for change in &plan.changes {
            let row = rows.get(&(change.table.as_str(), change.node.as_str()));
            let now = row.and_then(|row| row.raw(&change.column));
            if now != Some(change.new.as_str()) {
                if now != change.old.as_deref() {
                    left.push(place(change));
                }
                continue;
            }
            put(transaction, change, change.old.as_deref())?;
            if !change.row {
                added
                    .entry((&change.table, &change.node))
                    .or_default()
                    .push(&change.column);
            }
        }
        for ((table, node), columns) in added {
            let row = rows.get(&(table, node));
            let is_ours = |(column, value): (&str, Option<&str>)| {
                column == "node" || value.is_none_or(str::is_empty) || columns.contains(&column)
            };
            if row.is_some_and(|row| row.iter().all(is_ours)) {
                transaction.delete(table, &[("node", node)])?;
            }
        }
        Ok(left)
    })
}

/// True if every row holds what the plan would write.
///
/// # Errors
/// What the tables say.
pub fn is_written(tables: &Tables, plan: &Plan) -> Result<bool, Error> {
    for table in names(&plan.changes) {
        let rows = by_node(tables.all_rows(table)?);
        let of_table = plan.changes.iter().filter(|change| change.table == table);
        for change in of_table {
            let now = rows
                .get(&change.node)
                .and_then(|row| row.raw(&change.column));
            if now != Some(change.new.as_str()) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn put(transaction: &Transaction<'_>, change: &Change, value: Option<&str>) -> Result<(), Error> {
    let key = [("node", change.node.as_str())];
    Ok(transaction.put(&change.table, &key, &[(&change.column, value)])?)
}

fn place(change: &Change) -> String {
    format!("{}.{} of {}", change.table, change.column, change.node)
}

/// The tables of these changes.
fn names(changes: &[Change]) -> Vec<&str> {
    let mut names: Vec<&str> = changes.iter().map(|change| change.table.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn own_rows<'c>(
    transaction: &Transaction<'_>,
    changes: &'c [Change],
) -> Result<BTreeMap<(&'c str, &'c str), Row>, Error> {
    let mut rows = BTreeMap::new();
    for table in names(changes) {
        let mut of_table = by_node(transaction.all_rows(table)?);
        for change in changes.iter().filter(|change| change.table == table) {
            if let Some(row) = of_table.remove(&change.node) {
                rows.insert((table, change.node.as_str()), row);
            }
        }
    }
    Ok(rows)
}

fn by_node(rows: Vec<Row>) -> BTreeMap<String, Row> {
    let named = rows.into_iter();
    named
        .filter_map(|row| Some((row.raw("node")?.to_string(), row)))
        .collect()
}
