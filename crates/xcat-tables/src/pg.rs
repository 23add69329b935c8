//! PostgreSQL: one database with all tables, for clusters of several hosts.
//!
//! A connection lives as long as one call, so no fork takes one along and the server has two of a
//! program at most: that of a transaction, and that of a read inside it.

mod catalog;
mod connect;
mod failure;
mod lock;
mod reach;
mod server;
mod session;

use std::collections::BTreeSet;

use crate::Error;
use crate::content::Content;

pub use lock::{LONGEST_UNSEEN, LockKind, LockRow, LockSession};
pub(crate) use server::Server;
pub(crate) use session::begin;

/// An error unless the server lets us in.
pub(crate) fn check(server: &Server) -> Result<(), Error> {
    connect::connect(server).map(drop)
}

/// All of the tables as they are stored at one moment, in this order; none for one that does not
/// exist.
pub(crate) fn read(server: &Server, names: &[&str]) -> Result<Vec<Option<Content>>, Error> {
    let mut client = connect::connect(server)?;
    let first = names.first().copied().unwrap_or("tables");
    client
        .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .map_err(failure::failure(first))?;
    let found = catalog::catalog(&mut client, names)?;
    let mut read = |table: &&str| match found.get(*table) {
        None => Ok(None),
        Some(open) => catalog::content(&mut client, open, "", &[]).map(Some),
    };
    names.iter().map(&mut read).collect()
}

/// Which of these tables exist.
pub(crate) fn existing(server: &Server, names: &[&str]) -> Result<BTreeSet<String>, Error> {
    let mut client = connect::connect(server)?;
    Ok(catalog::catalog(&mut client, names)?.into_keys().collect())
}
