//! A change to several tables at once: all of it or nothing, whatever dies.

use std::cell::Cell as Flag;
use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::sqlite::{Content, Place, quoted};
use crate::{Error, Row, schema};

/// The tables of one transaction, locked against every other writer until it ends.
#[derive(Debug)]
pub struct Transaction<'a> {
    connection: &'a Connection,
    tables: &'a BTreeMap<String, Open>,
    changed: Flag<usize>,
}

/// A table inside a transaction.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) place: Place,
    pub(crate) columns: Vec<String>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(
        connection: &'a Connection,
        tables: &'a BTreeMap<String, Open>,
    ) -> Transaction<'a> {
        Transaction {
            connection,
            tables,
            changed: Flag::new(0),
        }
    }

    /// The table's enabled rows, in insertion order.
    pub fn rows(&self, table: &str) -> Result<Vec<Row>, Error> {
        self.rows_where(table, &[])
    }

    /// The table's rows, disabled ones too.
    pub fn all_rows(&self, table: &str) -> Result<Vec<Row>, Error> {
        Ok(self.content(table, &[])?.into_rows())
    }

    /// The enabled rows that hold all these values.
    pub fn rows_where(&self, table: &str, wanted: &[(&str, &str)]) -> Result<Vec<Row>, Error> {
        let mut rows = self.content(table, wanted)?.into_rows();
        rows.retain(Row::is_enabled);
        Ok(rows)
    }

    /// Changes every row that holds all `keys`; if there is none, adds one (`setAttribs` of
    /// `xCAT::Table`). Disabled rows count as rows.
    pub fn put(
        &self,
        table: &str,
        keys: &[(&str, &str)],
        values: &[(&str, Option<&str>)],
    ) -> Result<(), Error> {
        if self.update(table, keys, values)? > 0 {
            return Ok(());
        }
        let keys = keys.iter().map(|(column, value)| (*column, Some(*value)));
        let row: Vec<_> = keys.chain(values.iter().copied()).collect();
        self.insert(table, &row)
    }

    /// Adds a row. A key column that is not given becomes the empty string, as xCAT has it, unless
    /// the database numbers it.
    pub fn insert(&self, table: &str, row: &[(&str, Option<&str>)]) -> Result<(), Error> {
        let row: Vec<_> = row
            .iter()
            .map(|(column, value)| (*column, value.map(str::as_bytes)))
            .collect();
        self.insert_bytes(table, &row)
    }

    /// Changes every row that holds all `keys`; says how many there are.
    pub fn update(
        &self,
        table: &str,
        keys: &[(&str, &str)],
        values: &[(&str, Option<&str>)],
    ) -> Result<usize, Error> {
        let open = self.table(table)?;
        open.check(keys.iter().map(|(column, _)| *column))?;
        open.check(values.iter().map(|(column, _)| *column))?;
        if values.is_empty() {
            return Ok(self.content(table, keys)?.rows.len());
        }
        let set: Vec<String> = values
            .iter()
            .map(|(column, _)| format!("{} = ?", quoted(column)))
            .collect();
        let text = format!(
            "UPDATE {} SET {} {}",
            open.place.target(),
            set.join(", "),
            condition(keys)
        );
        let given = values.iter().map(|(_, value)| value.map(str::as_bytes));
        let given = given.chain(keys.iter().map(|(_, value)| Some(value.as_bytes())));
        self.execute(open, &text, given)
    }

    /// Removes every row that holds all `keys`, all rows if there are no keys; says how many.
    pub fn delete(&self, table: &str, keys: &[(&str, &str)]) -> Result<usize, Error> {
        let open = self.table(table)?;
        open.check(keys.iter().map(|(column, _)| *column))?;
        let text = format!("DELETE FROM {} {}", open.place.target(), condition(keys));
        let given = keys.iter().map(|(_, value)| Some(value.as_bytes()));
        self.execute(open, &text, given)
    }

    /// Seconds since 1970 by the database's clock: the one clock that all hosts of a cluster share.
    pub fn now(&self) -> Result<i64, Error> {
        let table = self.tables.keys().next().map_or("tables", String::as_str);
        self.connection
            .query_row("SELECT CAST(strftime('%s', 'now') AS INTEGER)", [], |row| {
                row.get(0)
            })
            .map_err(Error::sql(table))
    }

    /// The table's columns, as the database has them.
    pub fn columns(&self, table: &str) -> Result<&[String], Error> {
        Ok(&self.table(table)?.columns)
    }

    pub(crate) fn insert_bytes(
        &self,
        table: &str,
        row: &[(&str, Option<&[u8]>)],
    ) -> Result<(), Error> {
        let open = self.table(table)?;
        open.check(row.iter().map(|(column, _)| *column))?;
        let mut columns: Vec<String> = row.iter().map(|(column, _)| quoted(column)).collect();
        let mut values: Vec<Option<&[u8]>> = row.iter().map(|(_, value)| *value).collect();
        if let Some(schema) = schema(table) {
            for key in &schema.keys {
                let given = row.iter().any(|(column, _)| column == key);
                if !given && !schema.is_numbered(key) && open.columns.contains(key) {
                    columns.push(quoted(key));
                    values.push(Some(b""));
                }
            }
        }
        let text = if columns.is_empty() {
            format!("INSERT INTO {} DEFAULT VALUES", open.place.target())
        } else {
            let marks = vec!["?"; columns.len()].join(", ");
            let columns = columns.join(", ");
            format!(
                "INSERT INTO {} ({columns}) VALUES ({marks})",
                open.place.target()
            )
        };
        self.execute(open, &text, values.into_iter()).map(drop)
    }

    pub(crate) fn content(&self, table: &str, keys: &[(&str, &str)]) -> Result<Content, Error> {
        let open = self.table(table)?;
        open.check(keys.iter().map(|(column, _)| *column))?;
        let given = keys.iter().map(|(_, value)| *value);
        open.place.content(
            self.connection,
            &condition(keys),
            rusqlite::params_from_iter(given),
        )
    }

    fn table(&self, table: &str) -> Result<&'a Open, Error> {
        // A table that was not named at the start is not locked: that is a bug of the caller's.
        self.tables
            .get(table)
            .ok_or_else(|| Error::UnknownTable(table.into()))
    }

    fn execute<'v>(
        &self,
        open: &Open,
        text: &str,
        values: impl Iterator<Item = Option<&'v [u8]>>,
    ) -> Result<usize, Error> {
        let error = Error::sql(&open.place.table);
        let values =
            values.map(|value| ToSqlOutput::Borrowed(value.map_or(ValueRef::Null, ValueRef::Text)));
        let count = self
            .connection
            .prepare_cached(text)
            .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(values)))
            .map_err(error)?;
        self.changed.set(self.changed.get() + count);
        Ok(count)
    }
}

impl Open {
    fn check<'c>(&self, mut columns: impl Iterator<Item = &'c str>) -> Result<(), Error> {
        match columns.find(|column| !self.columns.iter().any(|known| known == column)) {
            None => Ok(()),
            Some(column) => Err(Error::UnknownColumn {
                table: self.place.table.clone(),
                column: column.into(),
            }),
        }
    }
}

fn condition(keys: &[(&str, &str)]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let tests: Vec<String> = keys
        .iter()
        .map(|(column, _)| format!("{} = ?", quoted(column)))
        .collect();
    format!("WHERE {}", tests.join(" AND "))
}
