//! A change to several tables at once: all of it or nothing, whatever dies.

use std::collections::BTreeMap;

use crate::content::{Content, quoted};
use crate::engine::{Open, Work};
use crate::{Error, Row, schema};

/// The tables of one transaction, locked against every other writer until it ends. After an error of
/// the database nothing more can be done in it: PostgreSQL ends it there.
#[derive(Debug)]
pub struct Transaction<'a> {
    work: &'a dyn Work,
    tables: &'a BTreeMap<String, Open>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(work: &'a dyn Work, tables: &'a BTreeMap<String, Open>) -> Transaction<'a> {
        Transaction { work, tables }
    }

    /// The table's enabled rows, in insertion order.
    pub fn rows(&self, table: &str) -> Result<Vec<Row>, Error> {
        self.rows_where(table, &[])
    }

    /// The table's rows, disabled ones too.
    pub fn all_rows(&self, table: &str) -> Result<Vec<Row>, Error> {
        Ok(self.content(table, &[])?.into_rows().collect())
    }

    /// The enabled rows that hold all these values.
    pub fn rows_where(&self, table: &str, wanted: &[(&str, &str)]) -> Result<Vec<Row>, Error> {
        Ok(self.content(table, wanted)?.into_enabled_rows().collect())
    }

    /// The rows that hold all these values, disabled ones too.
    pub fn matching(&self, table: &str, wanted: &[(&str, &str)]) -> Result<Vec<Row>, Error> {
        Ok(self.content(table, wanted)?.into_rows().collect())
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
        if values.is_empty() || never(table, keys) {
            return Ok(self.content(table, keys)?.len());
        }
        numbers(
            table,
            values.iter().map(|(c, v)| (*c, v.map(str::as_bytes))),
        )?;
        let set = equations(values.iter().map(|(column, _)| *column), 1);
        let text = format!(
            "UPDATE {} SET {} {}",
            open.target,
            set.join(", "),
            condition(keys, values.len() + 1)
        );
        let given = values.iter().map(|(_, value)| value.map(str::as_bytes));
        let given = given.chain(keys.iter().map(|(_, value)| Some(value.as_bytes())));
        self.work.execute(open, &text, &given.collect::<Vec<_>>())
    }

    /// Removes every row that holds all `keys`, all rows if there are no keys; says how many.
    pub fn delete(&self, table: &str, keys: &[(&str, &str)]) -> Result<usize, Error> {
        let open = self.table(table)?;
        open.check(keys.iter().map(|(column, _)| *column))?;
        if never(table, keys) {
            return Ok(0);
        }
        let text = format!("DELETE FROM {} {}", open.target, condition(keys, 1));
        let given = keys.iter().map(|(_, value)| Some(value.as_bytes()));
        self.work.execute(open, &text, &given.collect::<Vec<_>>())
    }

    /// Seconds since 1970 by the database's clock: the one clock that all hosts of a cluster share.
    pub fn now(&self) -> Result<i64, Error> {
        self.work.now()
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
        numbers(table, row.iter().copied())?;
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
            format!("INSERT INTO {} DEFAULT VALUES", open.target)
        } else {
            let marks: Vec<String> = (1..=columns.len()).map(|at| format!("${at}")).collect();
            let (columns, marks) = (columns.join(", "), marks.join(", "));
            format!("INSERT INTO {} ({columns}) VALUES ({marks})", open.target)
        };
        self.work.execute(open, &text, &values).map(drop)
    }

    /// After rows came in with numbers in a column that the database numbers.
    pub(crate) fn renumber(&self, table: &str) -> Result<(), Error> {
        let open = self.table(table)?;
        let Some(schema) = schema(table) else {
            return Ok(());
        };
        let numbered = schema.keys.iter().filter(|key| schema.is_numbered(key));
        for column in numbered.filter(|key| open.columns.contains(key)) {
            self.work.renumber(open, column)?;
        }
        Ok(())
    }

    pub(crate) fn content(&self, table: &str, keys: &[(&str, &str)]) -> Result<Content, Error> {
        let open = self.table(table)?;
        open.check(keys.iter().map(|(column, _)| *column))?;
        if never(table, keys) {
            return Ok(Content::new(open.columns.clone()));
        }
        let given: Vec<&str> = keys.iter().map(|(_, value)| *value).collect();
        self.work.select(open, &condition(keys, 1), &given)
    }

    fn table(&self, table: &str) -> Result<&'a Open, Error> {
        // A table that was not named at the start is not locked: that is a bug of the caller's.
        self.tables
            .get(table)
            .ok_or_else(|| Error::UnknownTable(table.into()))
    }
}

impl Open {
    fn check<'c>(&self, mut columns: impl Iterator<Item = &'c str>) -> Result<(), Error> {
        match columns.find(|column| !self.columns.iter().any(|known| known == column)) {
            None => Ok(()),
            Some(column) => Err(Error::UnknownColumn {
                table: self.table.clone(),
                column: column.into(),
            }),
        }
    }
}

/// True if no row can hold the key: no number, where the database numbers the rows. SQLite finds none
/// by itself, PostgreSQL ends the transaction.
fn never(table: &str, keys: &[(&str, &str)]) -> bool {
    schema(table).is_some_and(|schema| {
        let numbered = |column: &str| schema.is_numbered(column);
        keys.iter()
            .any(|(column, value)| numbered(column) && value.parse::<i64>().is_err())
    })
}

/// An error if such a column is to hold something else than a number.
fn numbers<'c>(
    table: &str,
    mut cells: impl Iterator<Item = (&'c str, Option<&'c [u8]>)>,
) -> Result<(), Error> {
    let Some(schema) = schema(table) else {
        return Ok(());
    };
    let number = |value: &[u8]| std::str::from_utf8(value).is_ok_and(|v| v.parse::<i64>().is_ok());
    let wrong =
        cells.find(|(column, value)| schema.is_numbered(column) && !value.is_none_or(number));
    match wrong {
        None => Ok(()),
        Some((column, _)) => Err(Error::Constraint {
            table: table.into(),
            why: format!("{column}: not a number"),
        }),
    }
}

/// `"column" = $1`, numbered from `first`.
fn equations<'c>(columns: impl Iterator<Item = &'c str>, first: usize) -> Vec<String> {
    columns
        .enumerate()
        .map(|(at, column)| format!("{} = ${}", quoted(column), first + at))
        .collect()
}

fn condition(keys: &[(&str, &str)], first: usize) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let tests = equations(keys.iter().map(|(column, _)| *column), first);
    format!("WHERE {}", tests.join(" AND "))
}
