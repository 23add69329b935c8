//! SQLite: one table file at a time.

mod session;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Params};

use crate::Error;
use crate::content::{Content, checked, quoted};
use crate::engine::PATIENCE;
use crate::row::is_enabled;

pub(crate) use session::begin;

/// Rows are in the order of insertion.
const ORDER: &str = "rowid";
/// How often a held lock is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// Where SQLite finds the table in the database at hand.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) table: String,
    /// The attached database's name.
    pub(crate) database: String,
}

impl Place {
    pub(crate) fn main(table: &str) -> Place {
        Place {
            table: table.into(),
            database: "main".into(),
        }
    }

    /// `"database"."table"`, as it goes into a statement.
    pub(crate) fn target(&self) -> String {
        format!("{}.{}", quoted(&self.database), quoted(&self.table))
    }

    /// The table's columns as the file has them; none if the file holds no such table.
    pub(crate) fn columns(&self, connection: &Connection) -> Result<Vec<String>, Error> {
        let error = Error::sql(&self.table);
        let text = format!(
            "PRAGMA {}.table_info({})",
            quoted(&self.database),
            quoted(&self.table)
        );
        let mut statement = connection.prepare(&text).map_err(&error)?;
        let names = statement
            .query_map([], |row| row.get::<_, String>(1))
            .map_err(&error)?;
        names.collect::<Result<_, _>>().map_err(&error)
    }

    /// Rows in insertion order.
    pub(crate) fn content(&self, connection: &Connection) -> Result<Content, Error> {
        content(connection, &self.table, &self.target(), "", [])
    }
}

/// All of a table as it is stored; none if it does not exist.
pub(crate) fn read(directory: &Path, table: &str) -> Result<Option<Content>, Error> {
    let Some(connection) = open(directory, table)? else {
        return Ok(None);
    };
    let place = Place::main(table);
    if place.columns(&connection)?.is_empty() {
        return Ok(None);
    }
    place.content(&connection).map(Some)
}

/// Hands the enabled rows to `visit` in the order of insertion, these columns of them; a column that
/// the table does not have is NULL. Answers which it has; none if the table does not exist.
pub(crate) fn scan(
    directory: &Path,
    table: &str,
    wanted: &[&str],
    visit: &mut dyn FnMut(&[Option<&str>]),
) -> Result<Option<Vec<String>>, Error> {
    let Some(connection) = open(directory, table)? else {
        return Ok(None);
    };
    let place = Place::main(table);
    let has = place.columns(&connection)?;
    if has.is_empty() {
        return Ok(None);
    }
    let selected = wanted.iter().chain(&["disable"]);
    let selected = selected.map(|column| match has.iter().any(|name| name == column) {
        true => quoted(column),
        false => "NULL".into(),
    });
    let selected = selected.collect::<Vec<_>>().join(",");
    let target = place.target();
    let error = Error::sql(table);
    // No page is looked at twice.
    connection
        .execute_batch("PRAGMA cache_size = 16")
        .map_err(&error)?;
    let mut statement = connection
        .prepare(&format!("SELECT {selected} FROM {target} ORDER BY {ORDER}"))
        .map_err(&error)?;
    let mut rows = statement.query([]).map_err(&error)?;
    while let Some(row) = rows.next().map_err(&error)? {
        let texts: Vec<Option<Cow<'_, str>>> = (0..=wanted.len())
            .map(|at| row.get_ref(at).map(text))
            .collect::<Result<_, _>>()
            .map_err(&error)?;
        let cells: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
        if let Some((disable, cells)) = cells.split_last()
            && is_enabled(disable.map(str::as_bytes))
        {
            visit(cells);
        }
    }
    Ok(Some(has))
}

/// Which of these tables exist.
pub(crate) fn existing(directory: &Path, names: &[&str]) -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    for table in names {
        if let Some(connection) = open(directory, table)?
            && !Place::main(table).columns(&connection)?.is_empty()
        {
            found.insert((*table).to_string());
        }
    }
    Ok(found)
}

/// Rows in insertion order. `condition` is SQL after the table's name.
fn content(
    connection: &Connection,
    table: &str,
    target: &str,
    condition: &str,
    values: impl Params,
) -> Result<Content, Error> {
    let error = Error::sql(table);
    let text = format!("SELECT * FROM {target} {condition} ORDER BY {ORDER}");
    let mut statement = connection.prepare(&text).map_err(&error)?;
    let columns: Vec<String> = statement.column_names().map(String::from).collect();
    let width = columns.len();
    let mut content = Content::new(columns);
    let mut rows = statement.query(values).map_err(&error)?;
    while let Some(row) = rows.next().map_err(&error)? {
        for at in 0..width {
            let value = row.get_ref(at).map_err(&error)?;
            content.push(cell(value).as_deref());
        }
    }
    Ok(content)
}

/// The table's file; an error if no table can have that name.
fn path(directory: &Path, table: &str) -> Result<PathBuf, Error> {
    checked(table)?;
    Ok(directory.join(format!("{table}.sqlite")))
}

/// Opens a table's file for reading; none if it does not exist. Nothing is created. The file is
/// opened for writing all the same: only so can SQLite roll back what a crash left half done.
fn open(directory: &Path, table: &str) -> Result<Option<Connection>, Error> {
    let path = path(directory, table)?;
    match path.metadata() {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::File { path, source }),
    }
    let mut connection = Connection::open_with_flags(&path, flags()).map_err(Error::sql(table))?;
    be_patient(&mut connection, table)?;
    // Passwords are in these tables: nothing of them goes into files under /tmp. And what a file's
    // own schema says is data, not program.
    connection
        .execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF")
        .map_err(Error::sql(table))?;
    Ok(Some(connection))
}

/// Neither creates files nor takes names for URIs.
fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Waits up to [`PATIENCE`] for locks, from now on and in all: a statement over many files may meet
/// many locks.
fn be_patient(connection: &mut Connection, table: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    connection
        .busy_handler(Some(move |_| {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(PAUSE);
            true
        }))
        .map_err(Error::sql(table))
}

/// Makes an empty file for a table, readable by its owner only as xCAT's are. An existing file is
/// left as it is: another program may just have made it.
fn make_file(directory: &Path, table: &str) -> Result<(), Error> {
    let path = path(directory, table)?;
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    match made {
        // Closing it here cannot drop a lock of ours: nobody in this process had it open.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::File { path, source }),
    }
}

fn text(value: ValueRef<'_>) -> Option<Cow<'_, str>> {
    Some(match cell(value)? {
        // Whole texts are checked much faster than lossy ones are read.
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => String::from_utf8_lossy(bytes),
        },
        Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
    })
}

fn cell(value: ValueRef<'_>) -> Option<Cow<'_, [u8]>> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string().into_bytes().into()),
        ValueRef::Real(number) => Some(number.to_string().into_bytes().into()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.into()),
    }
}
