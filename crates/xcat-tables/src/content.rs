//! What is stored, as it is stored: the same from every engine.

use std::sync::Arc;

use crate::{Error, Row};

/// A value as it is stored, bytes and all.
pub(crate) type Cell = Option<Vec<u8>>;

/// The whole of a table, or some of it, in the table's order. All values lie in one text: a table of
/// 100,000 rows has a million of them, and most are NULL.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) columns: Vec<String>,
    bytes: Vec<u8>,
    /// Where each value ends in `bytes`, row by row.
    ends: Vec<usize>,
    /// Which values are NULL.
    nulls: Vec<bool>,
}

impl Content {
    pub(crate) fn new(columns: Vec<String>) -> Content {
        Content {
            columns,
            ..Content::default()
        }
    }

    /// Adds the next value of the last row, or the first of a new one.
    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.ends.push(self.bytes.len());
        self.nulls.push(value.is_none());
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len() / self.columns.len().max(1)
    }

    /// A row's values.
    pub(crate) fn row(&self, row: usize) -> Vec<Option<&[u8]>> {
        let width = self.columns.len();
        let cells = row * width..(row + 1) * width;
        let value = |at: usize| {
            let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
            (!self.nulls[at]).then(|| &self.bytes[start..self.ends[at]])
        };
        cells.map(value).collect()
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Vec<Option<&[u8]>>> {
        (0..self.len()).map(|row| self.row(row))
    }

    /// Some of the rows.
    pub(crate) fn only(&self, keep: impl Fn(&[Option<&[u8]>]) -> bool) -> Content {
        let mut kept = Content::new(self.columns.clone());
        for row in self.rows().filter(|row| keep(row)) {
            row.into_iter().for_each(|value| kept.push(value));
        }
        kept
    }

    /// As text.
    pub(crate) fn into_rows(self) -> impl Iterator<Item = Row> {
        let columns: Arc<[String]> = self.columns.clone().into();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (0..self.len()).map(move |row| {
            let values = self.row(row).into_iter();
            Row::new(columns.clone(), values.map(|v| v.map(text)).collect())
        })
    }

    /// As text, without the disabled ones.
    pub(crate) fn into_enabled_rows(self) -> impl Iterator<Item = Row> {
        self.into_rows().filter(Row::is_enabled)
    }
}

/// A name in a statement.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Table names become file names: letters, digits and `_` only.
pub(crate) fn checked(table: &str) -> Result<(), Error> {
    let fits = !table.is_empty()
        && table.len() <= 64
        && table
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits {
        Ok(())
    } else {
        Err(Error::TableName(table.into()))
    }
}
