//! Tables from a directory of dumps.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use rusqlite::Connection;
use rusqlite::limits::Limit;

use crate::content::{Content, checked, quoted};
use crate::engine::{self, Make};
use crate::records::Records;
use crate::sqlite::Place;
use crate::{Error, Tables, Transaction, restore, schema, table_names};

/// More than any table is.
const LIMIT: u64 = 256 << 20;

/// What a file says its table holds.
enum Source {
    Sql(Content),
    Csv(String, Records),
}

impl Tables {
    /// Makes all of xCAT's tables that do not exist, empty; says which it made.
    pub fn create_missing(&self) -> Result<Vec<&'static str>, Error> {
        let names: Vec<&str> = table_names().collect();
        let existing = engine::existing(self.location(), &names)?;
        let missing = table_names().filter(|table| !existing.contains(*table));
        let missing: Vec<&str> = missing.collect();
        if !missing.is_empty() {
            self.change(&missing, Make::Known(&BTreeMap::new()), |_| {
                Ok::<_, Error>(())
            })?;
        }
        Ok(missing)
    }

    /// Puts the content of every `NAME.sql` and `NAME.csv` of a directory into the table `NAME`, in
    /// place of what it holds; tables that do not exist are made. All of them in one transaction. Of
    /// two files for a table the `.sql` counts: a `.csv` cannot tell NULL from the empty string.
    /// Returns the names of the tables.
    pub fn load(&self, directory: &Path) -> Result<Vec<String>, Error> {
        let mut sources = BTreeMap::new();
        let mut made = BTreeMap::new();
        for (table, path) in files(directory)? {
            let subject = path.display().to_string();
            let text = read_file(&path)?;
            let source = if path.extension().is_some_and(|kind| kind == "sql") {
                let (rows, declarations) = run(&table, &subject, &text)?;
                // xCAT's own declaration, unless a newer one has columns that it lacks.
                let known = |column| schema(&table).is_some_and(|s| s.columns.contains(column));
                if !rows.columns.iter().all(known) {
                    made.insert(table.clone(), declarations);
                }
                Source::Sql(rows)
            } else {
                let existing = self.content(&table)?.columns;
                let dump = restore::read(&table, &subject, &text, &existing)?;
                Source::Csv(subject, dump)
            };
            sources.insert(table, source);
        }
        if sources.is_empty() {
            return Err(Error::Load {
                subject: directory.display().to_string(),
                why: "holds neither NAME.sql nor NAME.csv".into(),
            });
        }
        let names: Vec<&str> = sources.keys().map(String::as_str).collect();
        self.change(&names, Make::Known(&made), |session| {
            let change = session.transaction();
            for (table, source) in &sources {
                match source {
                    Source::Sql(rows) => replace(&change, table, rows)?,
                    Source::Csv(subject, dump) => {
                        restore::fill(&change, table, subject, dump, false)?;
                    }
                }
            }
            Ok::<_, Error>(())
        })?;
        Ok(sources.into_keys().collect())
    }
}

/// The files, by table.
fn files(directory: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut found: BTreeMap<String, PathBuf> = BTreeMap::new();
    for entry in directory.read_dir().map_err(Error::file(directory))? {
        let path = entry.map_err(Error::file(directory))?.path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        let Some(table) = path.file_stem().and_then(|stem| stem.to_str()) else {
            continue;
        };
        match kind {
            Some("sql") => {}
            Some("csv") if !found.contains_key(table) => {}
            _ => continue,
        }
        checked(table)?;
        found.insert(table.to_string(), path);
    }
    Ok(found)
}

/// Reads a dump, unless it is longer than any table's. A FIFO would be waited for, a device may do
/// anything: only regular files are read.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let error =
        |kind: ErrorKind, why: &str| Error::file(path)(std::io::Error::new(kind, why.to_string()));
    let file = File::options()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
        .map_err(Error::file(path))?;
    if !file.metadata().map_err(Error::file(path))?.is_file() {
        return Err(error(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::file(path))?;
    if bytes.len() as u64 > LIMIT {
        return Err(error(
            ErrorKind::FileTooLarge,
            "longer than any table's dump",
        ));
    }
    Ok(bytes)
}

/// Runs statements in a database of their own, in memory, and takes out what they put into the
/// table: they reach no file. Also returns the table's columns as a statement declares them.
fn run(table: &str, subject: &str, text: &[u8]) -> Result<(Content, String), Error> {
    let error = |why: String| Error::Load {
        subject: subject.into(),
        why,
    };
    let text = std::str::from_utf8(text).map_err(|why| error(why.to_string()))?;
    let sql = |why: rusqlite::Error| error(why.to_string());
    let scratch = Connection::open_in_memory().map_err(sql)?;
    // ATTACH and VACUUM INTO could write anywhere; with no database to attach, neither works.
    scratch
        .set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)
        .map_err(sql)?;
    scratch.execute_batch(text).map_err(sql)?;
    let place = Place::main(table);
    if place.columns(&scratch)?.is_empty() {
        return Err(error(format!("makes no table {table}")));
    }
    let rows = place.content(&scratch)?;
    Ok((rows, declarations(&scratch, table).map_err(sql)?))
}

/// Column names, types, what is required and the key. Types are those that xCAT's tables have, which
/// every engine knows, else text.
fn declarations(connection: &Connection, table: &str) -> Result<String, rusqlite::Error> {
    let mut statement = connection.prepare(&format!("PRAGMA table_info({})", quoted(table)))?;
    let mut rows = statement.query([])?;
    let (mut parts, mut keys) = (Vec::new(), BTreeMap::new());
    while let Some(row) = rows.next()? {
        let (name, kind): (String, String) = (row.get(1)?, row.get(2)?);
        let (required, key): (bool, i64) = (row.get(3)?, row.get(5)?);
        let size = kind
            .strip_prefix("VARCHAR(")
            .and_then(|k| k.strip_suffix(')'));
        let kind = match kind.as_str() {
            "INTEGER" => "INTEGER",
            sized if size.is_some_and(|size| size.parse::<u16>().is_ok()) => sized,
            _ => "TEXT",
        };
        let required = if required { " NOT NULL" } else { "" };
        parts.push(format!("{} {kind}{required}", quoted(&name)));
        if key > 0 {
            keys.insert(key, quoted(&name));
        }
    }
    if !keys.is_empty() {
        let keys: Vec<String> = keys.into_values().collect();
        parts.push(format!("PRIMARY KEY ({})", keys.join(",")));
    }
    Ok(parts.join(", "))
}

fn replace(change: &Transaction<'_>, table: &str, rows: &Content) -> Result<(), Error> {
    change.delete(table, &[])?;
    for values in rows.rows() {
        let columns = rows.columns.iter().map(String::as_str);
        change.insert_bytes(table, &columns.zip(values).collect::<Vec<_>>())?;
    }
    change.renumber(table)
}
