//! The work of getadapter: which nodes to ask and how, booting them, waiting, putting them back.
//!
//! Nothing here prints: what happens is told to a closure as it happens, the rest is the summary.

mod live;
mod plan;
mod said;
mod scan;
mod show;

pub use plan::{Options, Plan, plan};
pub use said::{Progress, Said, Summary};
pub use scan::scan;
pub use show::{diff, json, records};

/// What keeps a scan from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Claims, spool, FIFO.
    #[error(transparent)]
    Report(#[from] node_report::Error),
    /// The tables.
    #[error(transparent)]
    Tables(#[from] xcat_tables::Error),
    /// Neither a site hook nor xCAT's rpower.
    #[error(transparent)]
    Power(#[from] node_reboot::Error),
    /// A site's veto hook failed: then nothing is touched.
    #[error(transparent)]
    Veto(#[from] fork_worker::veto::VetoError),
    /// The system refused something.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}
