//! The files of a transaction: opened, locked, committed together.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use crate::sqlite::{self, Place, quoted};
use crate::transaction::{Open, Transaction};
use crate::{Error, schema};

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
        directory: &Path,
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
    pub(crate) fn commit(mut self, directory: &Path) -> Result<(), Error> {
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

fn attach(connection: &Connection, directory: &Path, table: &str) -> Result<Place, Error> {
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
fn culprit(directory: &Path, names: &[&str], error: rusqlite::Error) -> Error {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
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
        let begin =
            |names: &[&str]| Session::begin(directory.path(), names, Make::Known(&declared));
        let most = begin(&names[..names.len() - 1]).unwrap();
        most.transaction()
            .insert("t125", &[("a", Some("x"))])
            .unwrap();
        most.commit(directory.path()).unwrap();
        assert!(matches!(begin(&names), Err(Error::TooMany(127))));
        assert!(matches!(begin(&[]), Err(Error::TooMany(0))));
        let again = begin(&["t125"]).unwrap();
        assert_eq!(
            again.transaction().rows("t125").unwrap()[0].get("a"),
            Some("x")
        );
    }
}
