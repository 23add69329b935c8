//! A change to several tables at once: all of it or nothing, whatever dies.

use std::cell::Cell as Flag;
use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::sqlite::{self, Content, Place, quoted};
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

/// Which missing tables a transaction makes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Make<'a> {
    /// None but the table of claims, which is ours to make (design section 4).
    Claims,
    /// All that xCAT's schema knows, and these others, by name and declarations of columns.
    Known(&'a BTreeMap<String, String>),
}

/// Made on demand: no xCAT needs it, every program of ours does.
const CLAIMS: &str = "taskstate";

/// A connection with all files of a transaction, locked.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    tables: BTreeMap<String, Open>,
}

impl Session {
    /// Opens the tables' files and locks them, bytewise sorted: programs that need some of the same
    /// tables meet at the first one, not crosswise. The main database is the first of them: with an
    /// in-memory or temporary one SQLite would not make a super-journal, and a crash could leave one
    /// file changed and another not.
    pub(crate) fn begin(
        directory: &std::path::Path,
        names: &[&str],
        make: Make<'_>,
    ) -> Result<Session, Error> {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        let Some((first, others)) = names.split_first() else {
            return Err(Error::TooMany(0));
        };
        for table in &names {
            let path = sqlite::path(directory, table)?;
            if path.symlink_metadata().is_err() {
                if statement(&Place::main(table), make).is_none() {
                    return Err(missing(table));
                }
                sqlite::make_file(directory, table)?;
            }
        }
        let Some(mut connection) = sqlite::open(directory, first)? else {
            return Err(Error::MissingTable((*first).into()));
        };
        let limit = connection
            .limit(rusqlite::limits::Limit::SQLITE_LIMIT_ATTACHED)
            .map_err(Error::sql(first))?;
        if usize::try_from(limit).is_ok_and(|limit| others.len() > limit) {
            return Err(Error::TooMany(names.len()));
        }
        let mut places = vec![Place::main(first)];
        for table in others {
            places.push(attach(&connection, directory, table)?);
        }
        for place in &places {
            harden(&connection, place)?;
        }
        sqlite::be_patient(&mut connection, first)?;
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(|error| culprit(directory, &names, error))?;
        let mut tables = BTreeMap::new();
        for place in places {
            let columns = settle(&connection, &place, make)?;
            tables.insert(place.table.clone(), Open { place, columns });
        }
        Ok(Session { connection, tables })
    }

    pub(crate) fn transaction(&self) -> Transaction<'_> {
        Transaction::new(&self.connection, &self.tables)
    }

    /// Makes the change last. Readers may hold it up for as long as we wait.
    pub(crate) fn commit(mut self, directory: &std::path::Path) -> Result<(), Error> {
        let names: Vec<&str> = self.tables.keys().map(String::as_str).collect();
        let first = names.first().copied().unwrap_or_default();
        sqlite::be_patient(&mut self.connection, first)?;
        self.connection
            .execute_batch("COMMIT")
            .map_err(|error| culprit(directory, &names, error))
        // A failed commit is rolled back as the connection closes.
    }
}

/// What makes the table, if it may be made.
fn statement(place: &Place, make: Make<'_>) -> Option<String> {
    let table = place.table.as_str();
    let known = schema(table).map(|schema| schema.create_statement(&place.target()));
    match make {
        Make::Claims => known.filter(|_| table == CLAIMS),
        Make::Known(others) => known.or_else(|| {
            let columns = others.get(table)?;
            Some(format!("CREATE TABLE {} ({columns})", place.target()))
        }),
    }
}

fn missing(table: &str) -> Error {
    match schema(table) {
        Some(_) => Error::MissingTable(table.into()),
        None => Error::UnknownTable(table.into()),
    }
}

fn attach(
    connection: &Connection,
    directory: &std::path::Path,
    table: &str,
) -> Result<Place, Error> {
    let path = sqlite::path(directory, table)?;
    let name = path.to_str().ok_or_else(|| Error::File {
        path: path.clone(),
        source: std::io::ErrorKind::InvalidFilename.into(),
    })?;
    // Not the bare name: a table may be called `main` or `temp`.
    let database = format!("file_{table}");
    connection
        .execute(&format!("ATTACH ?1 AS {}", quoted(&database)), [name])
        .map_err(Error::sql(table))?;
    Ok(Place {
        table: table.into(),
        database,
    })
}

/// Rollback journal, as Perl's processes on the same files expect. EXTRA is FULL plus a sync of the
/// directory after the journal of a single file is unlinked: without it, power loss could bring back
/// the old world after we said that the change was done.
fn harden(connection: &Connection, place: &Place) -> Result<(), Error> {
    let database = quoted(&place.database);
    connection
        .execute_batch(&format!(
            "PRAGMA {database}.journal_mode = DELETE; PRAGMA {database}.synchronous = EXTRA"
        ))
        .map_err(Error::sql(&place.table))
}

/// The columns of a locked table, which is made here if it may be.
fn settle(connection: &Connection, place: &Place, make: Make<'_>) -> Result<Vec<String>, Error> {
    let columns = place.columns(connection)?;
    if !columns.is_empty() {
        return Ok(columns);
    }
    let table = place.table.as_str();
    let text = statement(place, make).ok_or_else(|| missing(table))?;
    connection.execute_batch(&text).map_err(Error::sql(table))?;
    place.columns(connection)
}

/// SQLite does not say which of many files was locked: whichever still is.
fn culprit(directory: &std::path::Path, names: &[&str], error: rusqlite::Error) -> Error {
    let first = names.first().copied().unwrap_or("tables");
    let error = Error::sql(first)(error);
    if !error.is_busy() {
        return error;
    }
    let held = names.iter().find(|table| {
        let Ok(path) = sqlite::path(directory, table) else {
            return false;
        };
        Connection::open_with_flags(path, sqlite::flags())
            .and_then(|probe| {
                probe.busy_timeout(std::time::Duration::ZERO)?;
                probe.execute_batch("BEGIN EXCLUSIVE; ROLLBACK")
            })
            .is_err()
    });
    Error::Busy {
        table: held.copied().unwrap_or(first).into(),
    }
}
