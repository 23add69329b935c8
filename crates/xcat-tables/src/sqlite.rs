//! One table file at a time.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Params};

use crate::{Error, Row};

/// How long a lock is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often a held lock is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// Where SQLite finds the table in the database at hand.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) table: String,
    /// The attached database's name.
    pub(crate) database: String,
}

/// A value as it is stored, bytes and all.
pub(crate) type Cell = Option<Vec<u8>>;

/// The whole of a table, or some of it, in insertion order.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Cell>>,
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

    /// Rows in insertion order. `condition` is SQL after the table's name.
    pub(crate) fn content(
        &self,
        connection: &Connection,
        condition: &str,
        values: impl Params,
    ) -> Result<Content, Error> {
        let error = Error::sql(&self.table);
        let text = format!("SELECT * FROM {} {condition} ORDER BY rowid", self.target());
        let mut statement = connection.prepare(&text).map_err(&error)?;
        let columns: Vec<String> = statement.column_names().map(String::from).collect();
        let width = columns.len();
        let rows = statement
            .query_map(values, |row| {
                (0..width).map(|at| row.get_ref(at).map(cell)).collect()
            })
            .map_err(&error)?;
        let rows = rows.collect::<Result<_, _>>().map_err(&error)?;
        Ok(Content { columns, rows })
    }
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

/// The table's file; an error if no table can have that name.
pub(crate) fn path(directory: &Path, table: &str) -> Result<PathBuf, Error> {
    checked(table)?;
    Ok(directory.join(format!("{table}.sqlite")))
}

/// Opens a table's file for reading; none if it does not exist. Nothing is created. The file is
/// opened for writing all the same: only so can SQLite roll back what a crash left half done.
pub(crate) fn open(directory: &Path, table: &str) -> Result<Option<Connection>, Error> {
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
pub(crate) fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Waits up to [`PATIENCE`] for locks, from now on and in all: a statement over many files may meet
/// many locks.
pub(crate) fn be_patient(connection: &mut Connection, table: &str) -> Result<(), Error> {
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
pub(crate) fn make_file(directory: &Path, table: &str) -> Result<(), Error> {
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

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string().into_bytes()),
        ValueRef::Real(number) => Some(number.to_string().into_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
    }
}
