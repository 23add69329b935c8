//! What is to be run, and how.

use std::ffi::OsString;
use std::time::Duration;

use crate::engine::LockAt;

/// One kind of server, as this host would run it.
#[derive(Debug, Clone)]
pub struct Service {
    /// The kind's name.
    pub name: String,
    /// Its lock.
    pub lock: LockAt,
    /// The server: a program and its arguments. It stays in the foreground.
    pub command: Vec<OsString>,
    /// When this host stands in line.
    pub standing: Standing,
    /// Published as soon as it runs, for a server that does not say an address by itself.
    pub address: Option<String>,
    /// A program that ends with 0 if the server works; None: it runs, so it works.
    pub check: Option<Vec<OsString>>,
    /// How long it may take until it is ready.
    pub start_timeout: Duration,
    /// How long it has between TERM and KILL.
    pub stop_timeout: Duration,
    /// How often in a minute it is started again here before this host gives up.
    pub restarts: usize,
}

/// When a host stands in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// At once.
    Always,
    /// When somebody has asked for a server.
    OnDemand,
    /// When it is told to: a resource manager decides where.
    Managed,
}

/// The two independent safety layers. Each alone keeps two servers apart when a supervisor dies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layers {
    /// The server holds the lock too: whoever kills only the supervisor frees nothing.
    pub(crate) inherited_lock: bool,
    /// The kernel kills the server when its supervisor dies.
    pub(crate) dies_with_supervisor: bool,
}

impl Layers {
    /// What every program has.
    pub(crate) const BOTH: Layers = Layers {
        inherited_lock: true,
        dies_with_supervisor: true,
    };
}
