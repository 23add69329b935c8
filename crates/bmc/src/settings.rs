//! What holds for all BMCs, made once in the parent: children only use it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tls::{ClientContext, OldSuites, Trust};

use crate::{Error, Target};

/// Which certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificates {
    /// Those that this CA (a PEM file) signed.
    Authority(PathBuf),
    /// The key that the BMC showed the first time, which is kept in the pin directory. With
    /// `accept_new` another one is taken over instead of refused: after a reset of the BMC that we
    /// caused, or because the administrator says so.
    FirstSeen {
        /// Takes a changed key over.
        accept_new: bool,
    },
    /// Any, and nothing is kept.
    Insecure,
}

/// Bounds of all that a client does.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until the connection stands and TLS is through.
    pub connect: Duration,
    /// One request and its answer.
    pub request: Duration,
    /// How often one request is tried again, where that is safe.
    pub retries: u32,
    /// One operation, with everything that it takes: login, retries, waiting for a busy BMC.
    pub total: Duration,
}

impl Default for Limits {
    /// 10 s, 30 s, 3 times, 120 s: some BMCs take a minute to switch a node on.
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            retries: 3,
            total: Duration::from_secs(120),
        }
    }
}

/// Settings for any number of BMCs.
#[derive(Debug, Clone)]
pub struct Settings {
    certificates: Certificates,
    pins: PathBuf,
    limits: Limits,
    old: BTreeSet<String>,
    context: ClientContext,
    context_of_old: Option<ClientContext>,
}

impl Settings {
    /// Makes the TLS contexts. `old`: the nodes whose BMCs know only suites of the last decade; to all
    /// others those are never offered.
    ///
    /// # Errors
    /// [`Error::Tls`] if the CA cannot be used.
    pub fn new(
        certificates: Certificates,
        old: BTreeSet<String>,
        limits: Limits,
    ) -> Result<Settings, Error> {
        let trust = match &certificates {
            Certificates::Authority(path) => Trust::Authority(path.clone()),
            // The pin is compared after the handshake and before anything is sent; we show no
            // certificate of our own, so that nothing is given away by then.
            Certificates::FirstSeen { .. } | Certificates::Insecure => Trust::Anyone,
        };
        let context_of_old = match old.is_empty() {
            true => None,
            false => Some(ClientContext::new(&trust, None, OldSuites::Yes)?),
        };
        Ok(Settings {
            context: ClientContext::new(&trust, None, OldSuites::No)?,
            context_of_old,
            certificates,
            pins: program::paths::state_dir().join("pins"),
            limits,
            old,
        })
    }

    /// The same with the pins of BMCs in another directory.
    #[must_use]
    pub fn with_pins(self, pins: PathBuf) -> Settings {
        Settings { pins, ..self }
    }

    /// The bounds.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    pub(crate) fn pins(&self) -> &Path {
        &self.pins
    }

    pub(crate) fn context(&self, target: &Target) -> &ClientContext {
        match &self.context_of_old {
            Some(context) if self.old.contains(&target.node) => context,
            _ => &self.context,
        }
    }
}
