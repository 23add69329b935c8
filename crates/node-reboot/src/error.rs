//! What stops a whole call; what concerns one node is that node's text instead.

/// Nothing is known of any node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to power nodes.
    #[error(
        "no way to power nodes: set the site key bootcmd to a command that boots them, or install xCAT \
         (no rpower below {root})"
    )]
    NoPower {
        /// Where xCAT was looked for.
        root: String,
    },
    /// The site key `bootcmd` holds what cannot be run.
    #[error("site key bootcmd: {0}")]
    Hook(String),
    /// The tables could not be read.
    #[error(transparent)]
    Tables(#[from] xcat_tables::Error),
}
