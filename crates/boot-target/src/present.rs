//! What the tables say of a set of nodes at this moment, read by set.

use std::collections::BTreeMap;

use xcat_tables::{Row, Tables};

use crate::error::Error;
use crate::saved::Before;
use crate::target::{has_words, without_words};

/// One node, before we change anything (or after a crash, with some of it changed).
#[derive(Debug, Clone, Default)]
pub(crate) struct Present {
    /// As a record wants it, without boot scripts. Words of ours are not in `applied`.
    pub before: Before,
}

/// Reads all that arm and release decide by.
pub(crate) fn read(tables: &Tables, nodes: &[String]) -> Result<BTreeMap<String, Present>, Error> {
    let mut present: BTreeMap<String, Present> = nodes
        .iter()
        .map(|node| (node.clone(), Present::default()))
        .collect();
    own(tables, "chain", &mut present, |one, row| {
        one.before.currstate = value(row, "currstate");
        one.before.currchain = value(row, "currchain");
    })?;
    own(tables, "nodetype", &mut present, |one, row| {
        one.before.own_provmethod = value(row, "provmethod");
    })?;
    own(tables, "bootparams", &mut present, |one, row| {
        one.before.has_bootparams = true;
        // Words of ours can only be those of a run whose record is lost.
        one.before.addkcmdline =
            value(row, "addkcmdline").and_then(|line| match has_words(&line) {
                true => Some(without_words(&line)).filter(|line| !line.is_empty()),
                false => Some(line),
            });
    })?;
    for (node, provmethod) in tables.attribute("nodetype", "provmethod", nodes)? {
        if let Some(one) = present.get_mut(&node) {
            one.before.provmethod = Some(provmethod);
        }
    }
    for (node, line) in tables.attribute("bootparams", "addkcmdline", nodes)? {
        if let Some(one) = present.get_mut(&node) {
            one.before.applied = Some(without_words(&line)).filter(|line| !line.is_empty());
        }
    }
    Ok(present)
}

/// Calls `take` with each row that is a node's own, by name.
fn own(
    tables: &Tables,
    table: &str,
    present: &mut BTreeMap<String, Present>,
    mut take: impl FnMut(&mut Present, &Row),
) -> Result<(), Error> {
    for row in tables.rows(table)? {
        if let Some(one) = row.get("node").and_then(|node| present.get_mut(node)) {
            take(one, &row);
        }
    }
    Ok(())
}

fn value(row: &Row, column: &str) -> Option<String> {
    row.get(column).map(str::to_string)
}
