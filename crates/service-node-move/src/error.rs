//! Why nothing was moved.

use std::io;
use std::path::{Path, PathBuf};

/// Each names what it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tables.
    #[error(transparent)]
    Tables(#[from] xcat_tables::Error),
    /// The move cannot be made; nothing was written. Every reason, not only the first.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// Somebody changed these rows since the plan was made; nothing was written.
    #[error("{}: changed since the plan was made: nothing was written", .0.join(", "))]
    Conflict(Vec<String>),
    /// A plan or journal that cannot be used.
    #[error("{}: {why}", path.display())]
    Journal {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file or directory of ours.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::File {
            path: path.to_path_buf(),
            source,
        }
    }

    pub(crate) fn journal(path: &Path, why: impl ToString) -> Error {
        Error::Journal {
            path: path.to_path_buf(),
            why: why.to_string(),
        }
    }
}
