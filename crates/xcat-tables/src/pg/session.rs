//! A transaction on the server, its tables locked.

use std::cell::{Cell as Flag, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use postgres::types::{ToSql, Type};
use postgres::{Client, Statement};

use super::Server;
use super::catalog::{catalog, content};
use super::connect::connect;
use super::failure::failure;
use crate::Error;
use crate::content::{Content, quoted};
use crate::engine::{Make, Open, PATIENCE, Work, missing, statement};

/// How PostgreSQL declares a column that it numbers itself.
const NUMBERED: &str = "SERIAL PRIMARY KEY";

/// Whoever makes tables holds this advisory lock, the same in every program of ours: two that make
/// one table at once would fail in the catalog. The number means nothing.
const MAKERS: i64 = 0x7863_6174_6d61_6b65;

/// A connection in a transaction.
struct Locked {
    client: RefCell<Client>,
    statements: RefCell<HashMap<String, Statement>>,
    /// The server ends a transaction at the first error, and then takes COMMIT for ROLLBACK without
    /// a word.
    failed: Flag<bool>,
    /// For errors that concern all of it.
    first: String,
}

/// Locks the tables, one after the other in the order of `names`. The lock keeps writers out, Perl's
/// too, and lets readers in. With it nothing has to be retried, which a serializable transaction
/// would: work is done once.
pub(crate) fn begin(
    server: &Server,
    names: &[&str],
    make: Make<'_>,
) -> Result<(Box<dyn Work>, Vec<Open>), Error> {
    let deadline = Instant::now() + PATIENCE;
    let first = names.first().copied().unwrap_or("tables");
    let mut client = connect(server)?;
    client.batch_execute("BEGIN").map_err(failure(first))?;
    let mut known = catalog(&mut client, names)?;
    if names.iter().any(|table| !known.contains_key(*table)) {
        // Before any table is locked: nobody can wait for us while we wait here.
        wait(
            &mut client,
            first,
            deadline,
            &format!("SELECT pg_advisory_xact_lock({MAKERS})"),
        )?;
        known = catalog(&mut client, names)?;
    }
    for table in names {
        let target = quoted(table);
        if !known.contains_key(*table) {
            let text = statement(table, &target, NUMBERED, make).ok_or_else(|| missing(table))?;
            client.batch_execute(&text).map_err(failure(table))?;
        }
        let lock = format!("LOCK TABLE {target} IN SHARE ROW EXCLUSIVE MODE");
        wait(&mut client, table, deadline, &lock)?;
    }
    // Again: until it was locked, a table could change.
    let mut known = catalog(&mut client, names)?;
    let opened = names
        .iter()
        .map(|table| known.remove(*table).ok_or_else(|| missing(table)));
    let opened = opened.collect::<Result<_, _>>()?;
    let locked = Locked {
        client: RefCell::new(client),
        statements: RefCell::default(),
        failed: Flag::new(false),
        first: first.into(),
    };
    Ok((Box::new(locked), opened))
}

/// Runs a statement that waits for a lock, until the deadline of all of them.
fn wait(client: &mut Client, table: &str, deadline: Instant, text: &str) -> Result<(), Error> {
    // Zero would be for ever.
    let left = deadline.saturating_duration_since(Instant::now());
    let left = left.as_millis().max(1);
    client
        .batch_execute(&format!("SET LOCAL lock_timeout = {left}; {text}"))
        .map_err(failure(table))
}

impl Locked {
    /// Runs `work` with the client; remembers an error.
    fn run<R>(&self, work: impl FnOnce(&mut Client) -> Result<R, Error>) -> Result<R, Error> {
        let result = work(&mut self.client.borrow_mut());
        if result.is_err() {
            self.failed.set(true);
        }
        result
    }

    /// The statement, prepared once however many rows it is for.
    fn prepared(&self, client: &mut Client, table: &str, text: &str) -> Result<Statement, Error> {
        if let Some(found) = self.statements.borrow().get(text) {
            return Ok(found.clone());
        }
        let made = client.prepare(text).map_err(failure(table))?;
        let mut statements = self.statements.borrow_mut();
        statements.insert(text.into(), made.clone());
        Ok(made)
    }
}

impl Work for Locked {
    fn select(&self, open: &Open, condition: &str, values: &[&str]) -> Result<Content, Error> {
        let values: Vec<Option<&[u8]>> = values.iter().map(|v| Some(v.as_bytes())).collect();
        self.run(|client| content(client, open, condition, &values))
    }

    fn execute(&self, open: &Open, text: &str, values: &[Option<&[u8]>]) -> Result<usize, Error> {
        self.run(|client| {
            let statement = self.prepared(client, &open.table, text)?;
            let values = parameters(&open.table, statement.params(), values)?;
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(AsRef::as_ref).collect();
            let count = client.execute(&statement, &values);
            let count = count.map_err(failure(&open.table))?;
            Ok(usize::try_from(count).unwrap_or(usize::MAX))
        })
    }

    fn renumber(&self, open: &Open, column: &str) -> Result<(), Error> {
        let (target, name) = (&open.target, quoted(column));
        // A new table's sequence has given nothing out yet.
        let text = format!(
            "SELECT setval(pg_get_serial_sequence($1, $2), max({name})) FROM {target} HAVING max({name}) > 0"
        );
        self.run(|client| {
            let given = client.query(&text, &[target, &column]);
            given.map(drop).map_err(failure(&open.table))
        })
    }

    fn now(&self) -> Result<i64, Error> {
        let text = "SELECT CAST(floor(extract(epoch FROM clock_timestamp())) AS bigint)";
        self.run(|client| {
            let row = client.query_one(text, &[]);
            row.and_then(|row| row.try_get(0))
                .map_err(failure(&self.first))
        })
    }

    fn commit(self: Box<Self>) -> Result<(), Error> {
        let table = self.first;
        if self.failed.get() {
            let source = "a part of the change failed before".into();
            return Err(Error::Database { table, source });
        }
        let result = self.client.into_inner().batch_execute("COMMIT");
        result.map_err(|error| match failure(&table)(error) {
            Error::Lost { table } => Error::Unsure { table },
            other => other,
        })
    }
}

/// Values as the statement wants them: text, or numbers for columns that are numbers.
pub(super) fn parameters<'v>(
    table: &str,
    types: &[Type],
    values: &[Option<&'v [u8]>],
) -> Result<Vec<Box<dyn ToSql + Sync + 'v>>, Error> {
    let refused = |why: &str| Error::Constraint {
        table: table.into(),
        why: why.into(),
    };
    let one =
        |kind: &Type, value: &Option<&'v [u8]>| -> Result<Box<dyn ToSql + Sync + 'v>, Error> {
            let text = value.map(std::str::from_utf8).transpose();
            let text = text.map_err(|_| refused("a value is not text in UTF-8"))?;
            let number = || {
                let number = text.map(str::parse::<i32>).transpose();
                number.map_err(|_| refused("a value is not a number"))
            };
            match *kind {
                Type::INT4 => Ok(Box::new(number()?)),
                Type::INT8 => Ok(Box::new(number()?.map(i64::from))),
                _ => Ok(Box::new(text)),
            }
        };
    types
        .iter()
        .zip(values)
        .map(|(kind, value)| one(kind, value))
        .collect()
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locked({})", self.first)
    }
}
