//! How one node's power is switched.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::hook::Hook;
use crate::ladder::Power;
use crate::partition::Partition;
use crate::rpower::Rpower;
use crate::virsh::Guest;

/// The way to a node's power.
#[derive(Debug, Clone)]
pub(crate) enum Route {
    /// None.
    None,
    /// The site's boot command, for all nodes.
    Hook,
    /// xCAT's `rpower`.
    Rpower,
    /// `virsh` on its host.
    Virsh(Guest),
    /// Its management controller, which we speak with ourselves.
    Bmc(bmc::Target),
    /// `lpar_netboot` at its HMC, in the place of all steps.
    Partition(Partition),
}

/// What several nodes' routes share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ways {
    /// The site's boot command.
    pub(crate) hook: Option<Hook>,
    /// What holds for all management controllers.
    pub(crate) bmc: Option<bmc::Settings>,
    /// xCAT's power command.
    pub(crate) rpower: Option<Rpower>,
    /// xCAT's `rsetboot`.
    pub(crate) rsetboot: Option<PathBuf>,
    /// xCAT's `updatenode`.
    pub(crate) updatenode: Option<PathBuf>,
    /// OpenSSH's client.
    pub(crate) ssh: Option<PathBuf>,
}

/// A node, as the tables have it.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    /// Its power.
    pub(crate) route: Route,
    /// Where its ssh server listens.
    pub(crate) ssh: Option<SocketAddr>,
    /// Its place: at most so many of one chassis at a time.
    pub(crate) chassis: Option<String>,
    /// It waits in genesis for its next step.
    pub(crate) waiting: bool,
}

impl Route {
    /// What the ladder may do.
    pub(crate) fn power(&self) -> Power {
        match self {
            Route::None => Power::None,
            Route::Hook | Route::Partition(_) => Power::Whole,
            Route::Rpower => Power::Hard,
            Route::Virsh(_) | Route::Bmc(_) => Power::Soft,
        }
    }

    /// For people.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Route::None => "no power",
            Route::Hook => "the site's boot command",
            Route::Rpower => "xCAT's rpower",
            Route::Virsh(_) => "virsh on its host",
            Route::Bmc(_) => "its management controller",
            Route::Partition(_) => "its HMC's lpar_netboot",
        }
    }
}
