//! What can go wrong with tables. No message carries a password or the text of a setting.

use std::io;
use std::path::PathBuf;

/// Every error names its table, file or place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither `XCATCFG` nor cfgloc says where the tables are, and no usual directory exists.
    #[error("tables: there are none: no XCATCFG, no cfgloc, no xCAT directory")]
    NoPlace,
    /// cfgloc exists, but cannot be used. No other place is tried: those would be other tables.
    #[error("{}: {why}", path.display())]
    Setting {
        /// The file that says where the tables are, or `XCATCFG`.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An engine that xCAT knows and this build does not.
    #[error("tables: the engine {0} is not supported")]
    Engine(&'static str),
    /// The directory of the tables, or a file in it, cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name that no table can have.
    #[error("{0}: not a table's name")]
    TableName(String),
    /// No such table, neither as a file nor in xCAT's schema.
    #[error("{0}: no such table")]
    UnknownTable(String),
    /// A table of xCAT's that does not exist here, and was to be changed.
    #[error("{0}: the table does not exist (xtab init makes it)")]
    MissingTable(String),
    /// No such column.
    #[error("{table}.{column}: no such column")]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A value that is needed and cannot be evaluated.
    #[error("{table}.{column}: {node}: {why}")]
    Value {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// For which node.
        node: String,
        /// What is wrong with it.
        why: String,
    },
    /// A table without a column for the node.
    #[error("{0}: not a table of nodes")]
    NotByNode(String),
    /// The column that names the node is not a value.
    #[error("{0}: the node's name cannot be set")]
    NodeColumn(String),
    /// More tables in one transaction than SQLite can attach.
    #[error("tables: {0} in one transaction are too many")]
    TooMany(usize),
    /// Somebody else held the table for as long as we wait.
    #[error("{table}: the table is busy")]
    Busy {
        /// The table.
        table: String,
    },
    /// A row with that key exists, or a required column has no value.
    #[error("{table}: {why}")]
    Constraint {
        /// The table.
        table: String,
        /// As the database says it.
        why: String,
    },
    /// A condition of a dump that cannot be used.
    #[error(transparent)]
    Filter(#[from] crate::FilterError),
    /// A table's dump that cannot be restored.
    #[error("{subject}: {error}")]
    Restore {
        /// The file.
        subject: String,
        /// What is wrong in it.
        error: crate::RestoreError,
    },
    /// A `.sql` file that does not make its table.
    #[error("{subject}: {why}")]
    Load {
        /// The file.
        subject: String,
        /// What is wrong in it.
        why: String,
    },
    /// A range of nodes that cannot be expanded.
    #[error("{0}")]
    Range(#[from] noderange::Error),
    /// Names in a range that are no nodes; xCAT's daemon's text.
    #[error("Invalid nodes and/or groups in noderange: {}", .0.join(","))]
    Missed(Vec<String>),
    /// The database's server cannot be used: it is not there, or does not let us in.
    #[error("{server}: {why}")]
    Server {
        /// Which database and host.
        server: String,
        /// What happened.
        why: String,
    },
    /// The connection to the database's server broke. What the call was to change is unchanged; the
    /// next call connects anew.
    #[error("{table}: the connection to the database was lost: nothing was changed")]
    Lost {
        /// The table.
        table: String,
    },
    /// The connection broke while the server made a change last.
    #[error(
        "{table}: the connection to the database was lost at the last step: the change was made whole or not at all"
    )]
    Unsure {
        /// The first of the tables.
        table: String,
    },
    /// A name that was to become a node and cannot, and why.
    #[error("{0}: {1}")]
    NotNew(String, &'static str),
    /// A condition on nodes that cannot be judged: the attribute, and why.
    #[error("{0}: {1}")]
    Condition(String, String),
    /// Anything else that the database says.
    #[error("{table}: {source}")]
    Database {
        /// The table.
        table: String,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// For `map_err`: names the file.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { path, source }
    }

    /// For `map_err`: names the table, and tells apart what a caller acts on.
    pub(crate) fn sql(table: &str) -> impl Fn(rusqlite::Error) -> Error {
        let table = table.to_string();
        move |source| {
            use rusqlite::ErrorCode;
            let table = table.clone();
            match source.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { table },
                Some(ErrorCode::ConstraintViolation) => Error::Constraint {
                    table,
                    why: message(&source),
                },
                _ => Error::Database {
                    table,
                    source: message(&source).into(),
                },
            }
        }
    }

    /// True for what may pass by itself.
    pub fn is_busy(&self) -> bool {
        matches!(self, Error::Busy { .. })
    }
}

fn message(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        other => other.to_string(),
    }
}
