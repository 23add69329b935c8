//! The files of a transaction: opened, locked, committed together.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::{Place, be_patient, flags, make_file, open, path};
use crate::Error;
use crate::content::{Content, quoted};
use crate::engine::{Make, Open, Work, missing, statement};

/// A connection with all files of a transaction, locked.
#[derive(Debug)]
struct Files {
    connection: RefCell<Connection>,
    directory: PathBuf,
    names: Vec<String>,
}

/// How SQLite declares a column that it numbers itself.
const NUMBERED: &str = "INTEGER PRIMARY KEY AUTOINCREMENT";

/// Opens the tables' files and locks them, in the order of `names`. The main database is the first
/// of them: with an in-memory or temporary one SQLite would not make a super-journal, and a crash
/// could leave one file changed and another not.
pub(crate) fn begin(
    directory: &Path,
    names: &[&str],
    make: Make<'_>,
) -> Result<(Box<dyn Work>, Vec<Open>), Error> {
    let Some((first, others)) = names.split_first() else {
        return Err(Error::TooMany(0));
    };
    for table in names {
        if path(directory, table)?.symlink_metadata().is_err() {
            if creation(&Place::main(table), make).is_none() {
                return Err(missing(table));
            }
            make_file(directory, table)?;
        }
    }
    let Some(mut connection) = open(directory, first)? else {
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
    be_patient(&mut connection, first)?;
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(|error| culprit(directory, names, error))?;
    let mut opened = Vec::new();
    for place in places {
        opened.push(Open {
            columns: settle(&connection, &place, make)?,
            target: place.target(),
            order: super::ORDER.into(),
            table: place.table,
        });
    }
    let files = Files {
        connection: RefCell::new(connection),
        directory: directory.into(),
        names: names.iter().map(ToString::to_string).collect(),
    };
    Ok((Box::new(files), opened))
}

impl Work for Files {
    fn select(&self, open: &Open, condition: &str, values: &[&str]) -> Result<Content, Error> {
        let connection = self.connection.borrow();
        let values = rusqlite::params_from_iter(values);
        super::content(&connection, &open.table, &open.target, condition, values)
    }

    fn execute(&self, open: &Open, text: &str, values: &[Option<&[u8]>]) -> Result<usize, Error> {
        let values = values
            .iter()
            .map(|value| ToSqlOutput::Borrowed(value.map_or(ValueRef::Null, ValueRef::Text)));
        let connection = self.connection.borrow();
        connection
            .prepare_cached(text)
            .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(values)))
            .map_err(Error::sql(&open.table))
    }

    fn renumber(&self, _open: &Open, _column: &str) -> Result<(), Error> {
        Ok(()) // AUTOINCREMENT looks by itself.
    }

    fn now(&self) -> Result<i64, Error> {
        let table = self.names.first().map_or("tables", String::as_str);
        self.connection
            .borrow()
            .query_row("SELECT CAST(strftime('%s', 'now') AS INTEGER)", [], |row| {
                row.get(0)
            })
            .map_err(Error::sql(table))
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let mut connection = self.connection.borrow_mut();
        be_patient(&mut connection, names.first().copied().unwrap_or_default())?;
        connection
            .execute_batch("COMMIT")
            .map_err(|error| culprit(&self.directory, &names, error))
        // A failed commit is rolled back as the connection closes.
    }
}

fn creation(place: &Place, make: Make<'_>) -> Option<String> {
    statement(&place.table, &place.target(), NUMBERED, make)
}

fn attach(connection: &Connection, directory: &Path, table: &str) -> Result<Place, Error> {
    let path = path(directory, table)?;
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
    let text = creation(place, make).ok_or_else(|| missing(table))?;
    connection.execute_batch(&text).map_err(Error::sql(table))?;
    place.columns(connection)
}

/// SQLite does not say which of many files was locked: whichever still is.
fn culprit(directory: &Path, names: &[&str], error: rusqlite::Error) -> Error {
    let first = names.first().copied().unwrap_or("tables");
    let error = Error::sql(first)(error);
    if !error.is_busy() {
        return error;
    }
    let held = names.iter().find(|table| {
        let Ok(path) = path(directory, table) else {
            return false;
        };
        Connection::open_with_flags(path, flags())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;

    use crate::Location;
    use crate::engine::Session;
    use rusqlite::limits::Limit;

    /// The build flag in .cargo/config.toml: without it ten files would be the most.
    const ATTACHED: i32 = 125;

    #[test]
    fn the_limit_of_attached_files_is_the_highest() {
        let connection = Connection::open_in_memory().unwrap();
        let limit = connection.limit(Limit::SQLITE_LIMIT_ATTACHED).unwrap();
        assert_eq!(limit, ATTACHED);
    }

    #[test]
    fn as_many_tables_as_files_can_be_attached_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..=ATTACHED + 1).map(|n| format!("t{n}")).collect();
        let column = |name: &String| (name.clone(), "a TEXT".to_string());
        let declared: BTreeMap<String, String> = names.iter().map(column).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let location = Location::sqlite(directory.path());
        let begin = |names: &[&str]| Session::begin(&location, names, Make::Known(&declared));
        let most = begin(&names[..names.len() - 1]).unwrap();
        most.transaction()
            .insert("t125", &[("a", Some("x"))])
            .unwrap();
        most.commit().unwrap();
        assert!(matches!(begin(&names), Err(Error::TooMany(127))));
        assert!(matches!(begin(&[]), Err(Error::TooMany(0))));
        let again = begin(&["t125"]).unwrap();
        assert_eq!(
            again.transaction().rows("t125").unwrap()[0].get("a"),
            Some("x")
        );
    }
}
