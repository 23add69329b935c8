//! What can be wrong with an image, a name or the store.

use std::io;
use std::path::{Path, PathBuf};

/// Why something about images cannot be done. Each text begins with its subject.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that no image can have.
    #[error(
        "{0}: is no image name: 1 to 64 letters, digits and . _ - are, beginning with a letter or digit"
    )]
    Name(String),
    /// A good name, but no image has it.
    #[error("{0}: no such image")]
    NoSuchImage(String),
    /// Text that is no SHA-256 in hexadecimal form.
    #[error("is no SHA-256 digest: 64 hexadecimal digits in lower case are")]
    Digest,
    /// A manifest that is none, or that contradicts itself.
    #[error("manifest: {0}")]
    Manifest(String),
    /// A frame's bytes are not those that the manifest promises.
    #[error("frame at byte {offset} of the disk: {why}")]
    Frame {
        /// Where its window begins on the disk, in bytes.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A file or directory of the store that is not as it has to be.
    #[error("{}: {why}", path.display())]
    Store {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file that no image can be made from.
    #[error("{}: {why}", path.display())]
    Source {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A child process did not do its part.
    #[error("{subject}: {why}")]
    Worker {
        /// The file or image that it was to work on.
        subject: String,
        /// Its own words, or how it ended.
        why: String,
    },
    /// A system call failed.
    #[error("{}: {why}", path.display())]
    System {
        /// The file or directory.
        path: PathBuf,
        /// The system's reason.
        why: io::Error,
    },
}

impl Error {
    /// A system call's error on `path`.
    pub(crate) fn system(path: &Path, why: impl Into<io::Error>) -> Error {
        Error::System {
            path: path.to_owned(),
            why: why.into(),
        }
    }

    /// A file that no image can be made from.
    pub(crate) fn source(path: &Path, why: impl Into<String>) -> Error {
        Error::Source {
            path: path.to_owned(),
            why: why.into(),
        }
    }

    /// Something in the store is not as it has to be.
    pub(crate) fn store(path: &Path, why: impl Into<String>) -> Error {
        Error::Store {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}
