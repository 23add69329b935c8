//! Whom an agent on a node believes, and what it shows of itself.

use std::path::{Path, PathBuf};

use tls::{ClientContext, Identity, OldSuites, Pin, Trust};

use crate::master::{Error, Sources, pin};

/// The pin that was given, the authority that was given, the pin that the boot handed over, the
/// authority that lies on the node, anyone: in this order.
///
/// # Errors
/// [`Error::Value`]: the boot handed over a pin that is none.
pub fn trust(
    given: Option<Pin>,
    authority: Option<&PathBuf>,
    sources: &Sources<'_>,
) -> Result<Trust, Error> {
    if let Some(pin) = given {
        return Ok(Trust::Pin(pin));
    }
    if let Some(file) = authority {
        return Ok(Trust::Authority(file.clone()));
    }
    if let Some(pin) = pin(sources)? {
        return Ok(Trust::Pin(pin));
    }
    let file = sources.root.join("etc/xcat/ca.pem");
    Ok(if file.exists() {
        Trust::Authority(file)
    } else {
        Trust::Anyone
    })
}

/// Shows the node's certificate if it has one. Genesis makes it while other things go on, so that it
/// may be half there: then the report goes without, and `said` hears of it.
///
/// # Errors
/// The authority's file cannot be used.
pub fn context(
    trust: &Trust,
    root: &Path,
    said: impl FnOnce(&str),
) -> Result<ClientContext, tls::Error> {
    let identity = Identity {
        certificate: root.join("etc/xcat/cert.pem"),
        key: root.join("etc/xcat/certkey.pem"),
    };
    if identity.certificate.exists() && identity.key.exists() {
        match ClientContext::new(trust, Some(&identity), OldSuites::No) {
            Ok(context) => return Ok(context),
            Err(why) => said(&format!("{why}: reporting without it")),
        }
    }
    ClientContext::new(trust, None, OldSuites::No)
}
