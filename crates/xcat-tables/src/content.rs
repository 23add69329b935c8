//! What is stored, as it is stored: the same from every engine.

use std::sync::Arc;

use crate::{Error, Row};

/// A value as it is stored, bytes and all.
pub(crate) type Cell = Option<Vec<u8>>;

/// The whole of a table, or some of it, in the table's order.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl Content {
    /// As text.
    pub(crate) fn into_rows(self) -> Vec<Row> {
        let columns: Arc<[String]> = self.columns.into();
        let text = |cell: Cell| {
            cell.map(|bytes| {
                String::from_utf8(bytes)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
            })
        };
        self.rows
            .into_iter()
            .map(|cells| Row::new(columns.clone(), cells.into_iter().map(text).collect()))
            .collect()
    }

    /// As text, without the disabled ones.
    pub(crate) fn into_enabled_rows(self) -> Vec<Row> {
        let mut rows = self.into_rows();
        rows.retain(Row::is_enabled);
        rows
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
