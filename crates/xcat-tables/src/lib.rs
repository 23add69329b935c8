//! xCAT's tables: SQLite files or PostgreSQL, read by set, written in one transaction.
//!
//! The only crate that knows SQL. [`Location`] finds the tables as xCAT does, [`Tables`] reads them
//! with everything that nodes inherit from groups, [`Transaction`] changes several at once.

mod assign;
mod content;
mod differences;
mod dump;
mod edit;
mod engine;
mod error;
mod filter;
mod listeners;
mod load;
mod location;
mod names;
mod network;
mod pg;
pub mod policy;
mod records;
mod resolve;
mod restore;
mod restore_error;
mod row;
mod schema;
mod select;
mod sqlite;
mod stored;
mod tables;
mod transaction;
mod value;
mod wherevals;

pub use assign::{Assignment, ColumnName, How, NodeCondition, Word};
pub use differences::{ColumnChange, Kind, RowChange};
pub use dump::Selection;
pub use edit::{Edit, Subject};
pub use error::Error;
pub use filter::{Filter, FilterError};
pub use listeners::Listener;
pub use load::read_file;
pub use location::Location;
pub use names::NodeNames;
pub use network::{Gateway, Network, narrowest};
pub use pg::{LONGEST_UNSEEN, LockKind, LockRow, LockSession};
pub use records::{Record, Records, records};
pub use resolve::Attributes;
pub use restore::table_of;
pub use restore_error::RestoreError;
pub use row::Row;
pub use schema::{TableSchema, schema, table_names};
pub use select::expand_unverified;
pub use tables::Tables;
pub use transaction::Transaction;
pub use value::{ValueError, evaluate};
