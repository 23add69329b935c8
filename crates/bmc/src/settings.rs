//! What holds for all BMCs, made once in the parent: children only use it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use program::Site;
use tls::{ClientContext, OldSuites};
use xcat_tables::Tables;

use crate::{Error, Target};

/// What one run says of certificates, over what the site says ([`program::Site`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Those that this CA signed, in the place of the site's CA.
    pub ca: Option<PathBuf>,
    /// Any, and nothing is kept.
    pub insecure: bool,
    /// A key other than the one seen first is taken over. Where a CA decides there is none to keep.
    pub accept_new: bool,
    /// Nodes whose BMCs know only suites of the last decade, beside those that the site names.
    pub old_tls: BTreeSet<String>,
}

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
    /// Shared: each client has a copy of these settings, and a site may name all its nodes.
    old: Arc<BTreeSet<String>>,
    context: ClientContext,
    context_of_old: Option<ClientContext>,
}

impl Trust {
    /// What holds in the end: what this run says, else the site's CA, else the keys seen first.
    fn certificates(&self, site: &Site) -> Certificates {
        match self.ca.as_ref().or(site.bmc_ca.as_ref()) {
            _ if self.insecure => Certificates::Insecure,
            Some(file) => Certificates::Authority(file.clone()),
            None => Certificates::FirstSeen {
                accept_new: self.accept_new,
            },
        }
    }
}

impl Settings {
    /// As the site's file and this run say. Names in that file's noderange that are no nodes (any more)
    /// do no harm.
    ///
    /// # Errors
    /// [`Error::Site`] for a file that cannot be used; [`Error::Table`] for a noderange in it that
    /// cannot be read; and as [`Settings::new`].
    pub fn of_site(tables: &Tables, trust: &Trust, limits: Limits) -> Result<Settings, Error> {
        let site = Site::read()?;
        let mut old = trust.old_tls.clone();
        if let Some(range) = &site.bmc_old_tls {
            let found = tables.expand(range, &Default::default());
            let found = found.map_err(|why| Error::Table {
                subject: format!("{}: bmc-old-tls", program::paths::site_file().display()),
                why: why.to_string(),
            })?;
            old.extend(found.nodes);
        }
        Settings::new(trust.certificates(&site), old, limits)
    }

    /// Makes the TLS contexts, ready for children. `old`: the nodes whose BMCs know only suites of the last decade; to all
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
            Certificates::Authority(path) => tls::Trust::Authority(path.clone()),
            // The pin is compared after the handshake and before anything is sent; we show no
            // certificate of our own, so that nothing is given away by then.
            Certificates::FirstSeen { .. } | Certificates::Insecure => tls::Trust::Anyone,
        };
        let context = ClientContext::new(&trust, None, OldSuites::No)?;
        context.rehearse()?;
        let context_of_old = match old.is_empty() {
            true => None,
            false => Some(ClientContext::new(&trust, None, OldSuites::Yes)?),
        };
        Ok(Settings {
            context,
            context_of_old,
            certificates,
            pins: program::paths::state_dir().join("pins"),
            limits,
            old: Arc::new(old),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_decides_over_the_site_and_a_ca_over_pins() {
        let ours = Some(PathBuf::from("/ours"));
        let site = Site {
            bmc_ca: Some("/site".into()),
            ..Site::default()
        };
        let (none, plain) = (Site::default(), Trust::default());
        let new = Trust {
            accept_new: true,
            ..Trust::default()
        };
        let file = Trust {
            ca: ours.clone(),
            ..Trust::default()
        };
        let any = Trust {
            insecure: true,
            ca: ours,
            ..Trust::default()
        };
        let authority = |path: &str| Certificates::Authority(path.into());
        for (trust, site, expected) in [
            (&plain, &none, Certificates::FirstSeen { accept_new: false }),
            (&new, &none, Certificates::FirstSeen { accept_new: true }),
            (&plain, &site, authority("/site")),
            (&new, &site, authority("/site")),
            (&file, &site, authority("/ours")),
            (&any, &site, Certificates::Insecure),
        ] {
            assert_eq!(trust.certificates(site), expected, "{trust:?} {site:?}");
        }
    }
}
