//! What stops a whole call; what concerns one node is that node's text instead.

use std::path::PathBuf;

/// Nothing is known of any node.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to power nodes.
    #[error(
        "no way to power nodes: no nodehm.mgt is ipmi, openbmc or redfish; set that, or the site key \
         bootcmd to a command that boots nodes, or install xCAT (no rpower below {root})"
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

/// Nothing was tried for any node: not the same as all of them having failed.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The request names no node. That is never all of them.
    #[error("the request names no node")]
    NoNodes,
    /// Names that are no nodes, with commas.
    #[error("{0}: no such node")]
    Unknown(String),
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] crate::permission::Denied),
    /// Only idle nodes are to be rebooted, and there is no hook that knows which are in use.
    #[error("{}: no hook there knows which nodes are in use", .0.display())]
    NobodyKnows(PathBuf),
    /// A veto hook failed.
    #[error(transparent)]
    Veto(#[from] fork_worker::veto::VetoError),
    /// The site's power settings cannot be used.
    #[error(transparent)]
    Power(#[from] Error),
    /// The tables could not be read.
    #[error(transparent)]
    Tables(#[from] xcat_tables::Error),
    /// Who waits for which node could not be found out.
    #[error(transparent)]
    Claims(#[from] node_report::Error),
    /// The settings for management controllers cannot be used.
    #[error(transparent)]
    Controllers(#[from] bmc::Error),
    /// The system refused something.
    #[error("{0}: {1}")]
    System(&'static str, #[source] std::io::Error),
}
