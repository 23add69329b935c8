//! The rows of a node that name its old service node, and what they will name.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::World;
use crate::destination::Destination;
use crate::facts::{Node, pool};
use crate::plan::Change;

/// The old service node, by all that is known of it: names and addresses, on both of its sides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Old {
    names: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl Old {
    pub(crate) fn new<'n>(names: impl IntoIterator<Item = &'n str>, world: &dyn World) -> Old {
        let mut old = Old::default();
        for name in names {
            old.addresses.extend(world.addresses(name));
            old.names.insert(name.to_string());
        }
        old
    }

    /// True if the value names it, by any of its names or addresses.
    pub(crate) fn is(&self, value: &str, world: &dyn World) -> bool {
        let value = value.trim();
        self.names.contains(value)
            || world
                .addresses(value)
                .iter()
                .any(|address| self.addresses.contains(address))
    }

    /// An address, to compare routes with.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.addresses
            .iter()
            .find(|address| address.is_ipv4())
            .copied()
    }
}

/// What came of one node's rows; the texts are about that node.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) changes: Vec<Change>,
    /// Values that were left as they are although somebody may expect otherwise.
    pub(crate) stays: Vec<String>,
    pub(crate) warnings: Vec<String>,
    /// Texts of the original, for values that it calls not valid.
    pub(crate) failures: Vec<String>,
}

/// The changes for one node (spec snmove section 3, step 5): values of groups and patterns are copied down to the
/// node's own row, and only what differs is written.
pub(crate) fn changes(
    name: &str,
    node: &Node,
    to: &Destination,
    old: &Old,
    world: &dyn World,
) -> Changed {
    let mut changed = Changed::default();
    let mut order = vec![to.service_node.clone()];
    order.extend(
        node.pool
            .iter()
            .filter(|other| **other != to.service_node)
            .cloned(),
    );
    change(
        &mut changed,
        name,
        node,
        ("noderes", "servicenode"),
        order.join(","),
    );
    change(
        &mut changed,
        name,
        node,
        ("noderes", "xcatmaster"),
        to.master.clone(),
    );
    for column in ["tftpserver", "nfsserver"] {
        match node.value("noderes", column) {
            Some(value) if old.is(value, world) => {
                change(
                    &mut changed,
                    name,
                    node,
                    ("noderes", column),
                    to.master.clone(),
                );
            }
            Some(value) if value.trim() != to.master => {
                changed.stays.push(format!(
                    "noderes.{column}={value}: not known to be the old service node"
                ));
            }
            _ => {}
        }
    }
    monitor(&mut changed, name, node, to, old, world);
    if node
        .value("nodehm", "conserver")
        .is_some_and(|value| old.is(value, world))
    {
        change(
            &mut changed,
            name,
            node,
            ("nodehm", "conserver"),
            to.service_node.clone(),
        );
    }
    for (table, column) in [("ppc", "hcp"), ("mp", "mpa")] {
        if let Some(value) = node
            .value(table, column)
            .filter(|value| old.is(value, world))
        {
            changed.stays.push(format!(
                "{table}.{column}={value}: its hardware control point is the old service node"
            ));
        }
    }
    changed
}

fn monitor(
    changed: &mut Changed,
    name: &str,
    node: &Node,
    to: &Destination,
    old: &Old,
    world: &dyn World,
) {
    let Some(value) = node.value("noderes", "monserver") else {
        return;
    };
    let elements = pool(value);
    match elements.first() {
        Some(first) if elements.len() > 1 => {
            if old.is(first, world) {
                let both = format!("{},{}", to.service_node, to.master);
                change(changed, name, node, ("noderes", "monserver"), both);
            }
        }
        _ => {
            let text =
                "The current value of the monserver attribute is not valid.  It will not be reset.";
            changed.failures.push(text.to_string());
        }
    }
}

fn change(
    changed: &mut Changed,
    name: &str,
    node: &Node,
    place: (&'static str, &'static str),
    new: String,
) {
    let (table, column) = place;
    let now = node.value(table, column);
    if now == Some(new.as_str()) {
        return;
    }
    let row = node.own.get(table);
    let old = row.and_then(|row| row.raw(column)).map(str::to_string);
    if row.is_some_and(|row| !row.is_enabled()) {
        let text = format!("its row in {table} is disabled: what is written there has no effect");
        if !changed.warnings.contains(&text) {
            changed.warnings.push(text);
        }
    }
    changed.changes.push(Change {
        table: table.to_string(),
        column: column.to_string(),
        node: name.to_string(),
        row: row.is_some(),
        inherited: now
            .filter(|now| old.as_deref() != Some(*now))
            .map(str::to_string),
        old,
        new,
    });
}
