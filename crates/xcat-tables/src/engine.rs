//! The seam between the engines: all that reads and transactions need of SQLite or PostgreSQL.
//!
//! Statements are the same for both: names quoted, values as `$1`, `$2`, ... in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use crate::content::{Content, checked};
use crate::location::Place;
use crate::{Error, Location, Transaction, pg, schema, sqlite};

/// How long locks, or a server that starts, are waited for, in all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// An open transaction of one engine. Dropping it takes everything back.
pub(crate) trait Work: Debug {
    /// Rows in the table's order. `condition` is SQL after the table's name, or nothing.
    fn select(&self, open: &Open, condition: &str, values: &[&str]) -> Result<Content, Error>;

    /// Runs a statement that changes rows of the table; says how many.
    fn execute(&self, open: &Open, text: &str, values: &[Option<&[u8]>]) -> Result<usize, Error>;

    /// After rows with numbers of their own came in: the database goes on after the highest.
    fn renumber(&self, open: &Open, column: &str) -> Result<(), Error>;

    /// Seconds since 1970 by the database's clock.
    fn now(&self) -> Result<i64, Error>;

    /// Makes the change last.
    fn commit(self: Box<Self>) -> Result<(), Error>;
}

/// Which missing tables a transaction makes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Make<'a> {
    /// None but the table of claims, which is ours to make (design section 4).
    Claims,
    /// These, by name and declarations of columns, and all others that xCAT's schema knows.
    Known(&'a BTreeMap<String, String>),
}

/// Made on demand: no xCAT needs it, every program of ours does.
const CLAIMS: &str = "taskstate";

/// A table inside a transaction.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) table: String,
    /// Its name in a statement, quoted.
    pub(crate) target: String,
    pub(crate) columns: Vec<String>,
    /// What its rows are ordered by, in a statement.
    pub(crate) order: String,
}

/// A transaction with its tables, locked against every other writer.
#[derive(Debug)]
pub(crate) struct Session {
    work: Box<dyn Work>,
    tables: BTreeMap<String, Open>,
}

impl Session {
    /// Opens and locks the tables, bytewise sorted: programs that need some of the same tables meet
    /// at the first one, not crosswise.
    pub(crate) fn begin(
        location: &Location,
        names: &[&str],
        make: Make<'_>,
    ) -> Result<Session, Error> {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() {
            return Err(Error::TooMany(0));
        }
        names.iter().try_for_each(|table| checked(table))?;
        let (work, opened) = match location.place() {
            Place::Directory(directory) => sqlite::begin(directory, &names, make)?,
            Place::Server(server) => pg::begin(server, &names, make)?,
        };
        let by_name = opened.into_iter().map(|open| (open.table.clone(), open));
        Ok(Session {
            work,
            tables: by_name.collect(),
        })
    }

    pub(crate) fn transaction(&self) -> Transaction<'_> {
        Transaction::new(&*self.work, &self.tables)
    }

    /// Makes the change last. Readers may hold it up for as long as we wait.
    pub(crate) fn commit(self) -> Result<(), Error> {
        self.work.commit()
    }
}

/// All of the tables as they are stored, in this order; none for one that does not exist. Nothing is
/// created. On a server all are of one moment.
pub(crate) fn read(location: &Location, names: &[&str]) -> Result<Vec<Option<Content>>, Error> {
    names.iter().try_for_each(|table| checked(table))?;
    match location.place() {
        Place::Directory(directory) => names
            .iter()
            .map(|table| sqlite::read(directory, table))
            .collect(),
        Place::Server(server) => pg::read(server, names),
    }
}

/// What takes a row of one of several tables: which table, and the columns that were wanted of it.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(usize, &[Option<&str>]);

/// Hands the enabled rows of tables to `visit`, table by table, each in its order, and keeps none.
/// Answers which columns each table has; none if it does not exist. On a server all are of one moment.
pub(crate) fn scan(
    location: &Location,
    wanted: &[(&str, Vec<&str>)],
    visit: Visit<'_>,
) -> Result<Vec<Option<Vec<String>>>, Error> {
    wanted.iter().try_for_each(|(table, _)| checked(table))?;
    let tables = wanted.iter().enumerate();
    match location.place() {
        Place::Directory(directory) => tables
            .map(|(at, (table, columns))| {
                sqlite::scan(directory, table, columns, &mut |cells| visit(at, cells))
            })
            .collect(),
        Place::Server(server) => {
            let names: Vec<&str> = wanted.iter().map(|(table, _)| *table).collect();
            let found = pg::read(server, &names)?.into_iter().zip(tables);
            let visited = found.map(|(content, (at, (_, columns)))| {
                let content = content?;
                let has = content.columns.clone();
                for row in content.into_enabled_rows() {
                    let cells = columns.iter().map(|column| row.raw(column));
                    visit(at, &cells.collect::<Vec<_>>());
                }
                Some(has)
            });
            Ok(visited.collect())
        }
    }
}

/// Which of these tables exist.
pub(crate) fn existing(location: &Location, names: &[&str]) -> Result<BTreeSet<String>, Error> {
    names.iter().try_for_each(|table| checked(table))?;
    match location.place() {
        Place::Directory(directory) => sqlite::existing(directory, names),
        Place::Server(server) => pg::existing(server, names),
    }
}

/// What makes the table under that name, if it may be made. `numbered` is how the engine declares a
/// column that it numbers itself.
pub(crate) fn statement(
    table: &str,
    target: &str,
    numbered: &str,
    make: Make<'_>,
) -> Option<String> {
    let known = schema(table).map(|schema| schema.create_statement(target, numbered));
    match make {
        Make::Claims => known.filter(|_| table == CLAIMS),
        Make::Known(others) => match others.get(table) {
            Some(columns) => Some(format!("CREATE TABLE {target} ({columns})")),
            None => known,
        },
    }
}

/// The error for a table that is not there and may not be made.
pub(crate) fn missing(table: &str) -> Error {
    match schema(table) {
        Some(_) => Error::MissingTable(table.into()),
        None => Error::UnknownTable(table.into()),
    }
}
