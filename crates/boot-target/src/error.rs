//! What stops a whole call; what concerns one node is that node's text instead.

use std::io;
use std::path::PathBuf;

/// Nothing was done, or it is not known for which nodes it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the target that does not fit on a kernel line.
    #[error("boot target: {field}: {why}")]
    Target {
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The tables could not be read or changed.
    #[error(transparent)]
    Tables(#[from] xcat_tables::Error),
    /// Nothing can be said to any BMC.
    #[error(transparent)]
    Controllers(#[from] bmc::Error),
    /// The children that speak with BMCs cannot be heard.
    #[error("workers: {0}")]
    Workers(io::Error),
    /// A directory of ours, or an xCAT command, could not be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: names the path.
    pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { path, source }
    }
}
