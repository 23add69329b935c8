//! What is different between two states of a table.

use std::collections::BTreeMap;

use crate::{Row, schema};

/// A row that was added, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// The table.
    pub table: String,
    /// The row's key: column and value.
    pub key: Vec<(String, String)>,
    /// What became of it.
    pub kind: Kind,
    /// The columns that differ; of a row that was added or removed, those that hold something, the
    /// key left out.
    pub columns: Vec<ColumnChange>,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was not there.
    Added,
    /// It holds something else.
    Changed,
    /// It is gone.
    Removed,
}

/// A column of such a row; none is NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnChange {
    /// The column.
    pub column: String,
    /// As it was.
    pub old: Option<String>,
    /// As it is.
    pub new: Option<String>,
}

/// Changes sorted by key, so that they come in one order from every engine.
pub(crate) fn differences(table: &str, old: &[Row], new: &[Row]) -> Vec<RowChange> {
    let (mut old, new) = (by_key(table, old), by_key(table, new));
    let mut changes = Vec::new();
    for (key, rows) in new {
        let before = old.remove(&key).unwrap_or_default();
        // Keys that are NULL do not exclude each other: then the order decides which row is which.
        let most = rows.len().max(before.len());
        for at in 0..most {
            changes.extend(change(
                table,
                &key,
                before.get(at).copied(),
                rows.get(at).copied(),
            ));
        }
    }
    for (key, rows) in old {
        for row in rows {
            changes.extend(change(table, &key, Some(row), None));
        }
    }
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

type Key = Vec<(String, String)>;

fn by_key<'r>(table: &str, rows: &'r [Row]) -> BTreeMap<Key, Vec<&'r Row>> {
    let keys = schema(table).map(|schema| schema.keys.as_slice());
    let mut by_key: BTreeMap<Key, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        let cells = row
            .iter()
            .filter(|(column, _)| keys.is_none_or(|keys| keys.iter().any(|key| key == column)));
        let key = cells
            .map(|(column, value)| (column.to_string(), value.unwrap_or_default().to_string()))
            .collect();
        by_key.entry(key).or_default().push(row);
    }
    by_key
}

fn change(table: &str, key: &Key, old: Option<&Row>, new: Option<&Row>) -> Option<RowChange> {
    let kind = match (old, new) {
        (None, Some(_)) => Kind::Added,
        (Some(_), None) => Kind::Removed,
        _ => Kind::Changed,
    };
    let mut columns = Vec::new();
    for (column, _) in new.or(old)?.iter() {
        let value = |row: Option<&Row>| row.and_then(|row| row.raw(column)).map(String::from);
        let (old, new) = (value(old), value(new));
        if old != new && !key.iter().any(|(name, _)| name == column) {
            let column = column.into();
            columns.push(ColumnChange { column, old, new });
        }
    }
    (kind != Kind::Changed || !columns.is_empty()).then(|| RowChange {
        table: table.into(),
        key: key.clone(),
        kind,
        columns,
    })
}
