//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};

use crate::private_dir::DirError;

/// Why there is no answer. That somebody else holds the lock is an answer, not an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kind's name becomes a file name.
    #[error("{0}: not a name for a kind of server (letters, digits, `-`, `_`, `.`)")]
    Name(String),
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The lock has been used before, but what the last epoch was cannot be read any more. Beginning
    /// again at 1 would let an old server's messages pass for new ones.
    #[error("{0}: no epoch can be read, and numbers must not begin again")]
    EpochLost(PathBuf),
    /// There is no lock: it was never made, or the directory is not what it was.
    #[error("{0}: there is no such lock (oneserver init makes it, once)")]
    NoLock(PathBuf),
    /// The database has no such kind.
    #[error(
        "{0}: there is no such lock in the database (oneserver init --engine pg makes it, once)"
    )]
    NoKind(String),
    /// The database has not answered the holder of a lock for so long that it may have given it on.
    #[error("the database does not answer")]
    Unanswered,
    /// The lock was used and is gone. A new one would let a second server start beside the one that
    /// holds the old one.
    #[error(
        "{0}: was removed, and whoever held it may still run; when nobody does, remove the file .epoch beside it as well"
    )]
    LockLost(PathBuf),
    /// There is such a kind already.
    #[error("{0}: is there already")]
    Exists(PathBuf),
    /// So many instances cannot be.
    #[error("{0}: not a number of instances (1 to 999)")]
    Instances(u32),
    /// The epoch file belongs to another lock file.
    #[error("{0}: belongs to another lock")]
    Foreign(PathBuf),
    /// The lock file has something else in it.
    #[error("{0}: not a lock file of this project")]
    NotOurs(PathBuf),
    /// An address is one line of text, at most 1024 bytes.
    #[error("{0:?}: not an address that can be published")]
    Address(String),
    /// The process that waited for the lock failed.
    #[error("{path}: waiting for the lock: {why}")]
    Waiter {
        /// The lock.
        path: PathBuf,
        /// What became of the process.
        why: String,
    },
    /// The lock's file was removed or replaced under its holder.
    #[error("{0}: was removed or replaced")]
    Replaced(PathBuf),
    /// A directory on this host is not usable.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// The database is not usable.
    #[error(transparent)]
    Database(#[from] xcat_tables::Error),
    /// A supervisor of that kind runs on this host already.
    #[error("{0}: runs on this host already")]
    Running(String),
    /// The children cannot be waited for.
    #[error("{0}: {1}")]
    Supervisor(String, io::Error),
    /// An inherited descriptor is not this lock, or nobody holds it.
    #[error("{0}: the inherited descriptor does not hold this lock")]
    NotHeld(PathBuf),
}

impl Error {
    /// For `map_err`: the system refused something about `path`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Error {
        |source| Error::Io {
            path: path.to_owned(),
            source,
        }
    }
}
