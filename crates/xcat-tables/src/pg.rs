//! PostgreSQL: one database with all tables, for clusters of several hosts.
//!
//! A connection lives as long as one call, so no fork takes one along and the server has two of a
//! program at most: that of a transaction, and that of a read inside it.

mod catalog;
mod connect;
mod failure;
mod server;
mod session;

use std::collections::BTreeSet;

use crate::Error;
use crate::content::Content;

pub(crate) use server::Server;
pub(crate) use session::begin;

/// An error unless the server lets us in.
pub(crate) fn check(server: &Server) -> Result<(), Error> {
    connect::connect(server).map(drop)
}

/// All of a table as it is stored; none if it does not exist.
pub(crate) fn read(server: &Server, table: &str) -> Result<Option<Content>, Error> {
    let mut client = connect::connect(server)?;
    let mut found = catalog::catalog(&mut client, &[table])?;
    match found.remove(table) {
        None => Ok(None),
        Some(open) => catalog::content(&mut client, &open, "", &[]).map(Some),
    }
}

/// Which of these tables exist.
pub(crate) fn existing(server: &Server, names: &[&str]) -> Result<BTreeSet<String>, Error> {
    let mut client = connect::connect(server)?;
    Ok(catalog::catalog(&mut client, names)?.into_keys().collect())
}
