//! xCAT's tables: SQLite files or PostgreSQL, read by set, written in one transaction.
//!
//! The only crate that knows SQL. [`Location`] finds the tables as xCAT does, [`Tables`] reads them
//! with everything that nodes inherit from groups, [`Transaction`] changes several at once.

mod assign;
mod content;
mod dump;
mod engine;
mod error;
mod load;
mod location;
mod names;
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
mod tables;
mod transaction;
mod value;
mod wherevals;

pub use assign::ColumnName;
pub use error::Error;
pub use load::read_file;
pub use location::Location;
pub use names::NodeNames;
pub use records::{Record, Records, records};
pub use restore::table_of;
pub use restore_error::RestoreError;
pub use row::Row;
pub use schema::{TableSchema, schema, table_names};
pub use tables::Tables;
pub use transaction::Transaction;
pub use value::{ValueError, evaluate};
