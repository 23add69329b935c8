//! PEM files into memory, with errors that name the file.

use std::path::Path;

use openssl::pkey::{PKey, Private};
use openssl::ssl::SslContextBuilder;
use openssl::x509::{X509, X509VerifyResult};

use crate::error::reason;
use crate::{Error, Identity};

/// Every certificate in a file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<X509>, Error> {
    let found = X509::stack_from_pem(&bytes(path)?).map_err(|why| file(path, &reason(&why)))?;
    if found.is_empty() {
        return Err(file(path, "no certificate in it"));
    }
    Ok(found)
}

/// Puts an identity into a context: certificate, the chain that follows it in its file, key.
pub(crate) fn use_identity(
    context: &mut SslContextBuilder,
    identity: &Identity,
) -> Result<X509, Error> {
    let mut chain = certificates(&identity.certificate)?.into_iter();
    let Some(certificate) = chain.next() else {
        return Err(file(&identity.certificate, "no certificate in it"));
    };
    context
        .set_certificate(&certificate)
        .map_err(|why| file(&identity.certificate, &reason(&why)))?;
    for issuer in chain {
        // The root in the file tells a peer nothing, and a bundle of roots would fill the handshake.
        if issuer.issued(&issuer) != X509VerifyResult::OK {
            context.add_extra_chain_cert(issuer)?;
        }
    }
    let key = private_key(&identity.key)?;
    context
        .set_private_key(&key)
        .and_then(|()| context.check_private_key())
        .map_err(|why| file(&identity.key, &reason(&why)))?;
    Ok(certificate)
}

fn private_key(path: &Path) -> Result<PKey<Private>, Error> {
    // Without a callback OpenSSL would ask for a passphrase on the terminal.
    PKey::private_key_from_pem_callback(&bytes(path)?, |_| Ok(0))
        .map_err(|_| file(path, "no private key without a passphrase in it"))
}

fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|why| file(path, &why.to_string()))
}

pub(crate) fn file(path: &Path, what: &str) -> Error {
    Error::File {
        path: path.to_path_buf(),
        what: what.to_string(),
    }
}
