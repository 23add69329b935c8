//! What client and server contexts have in common.

use std::path::Path;

use openssl::ssl::{
    SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode, SslVersion,
};
use openssl::x509::X509;
use openssl::x509::verify::X509VerifyFlags;

use crate::{Error, pem};

/// A context with our habits: TLS 1.2 and up, no resumption, no renegotiation, no compression.
pub(crate) fn context(method: SslMethod) -> Result<SslContextBuilder, Error> {
    let mut context = SslContext::builder(method)?;
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_options(
        SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET,
    );
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_mode(SslMode::AUTO_RETRY);
    Ok(context)
}

/// Trusts the certificates of a file as issuers, and nothing else. A chain may end at any of them:
/// what an administrator puts into this file is trusted, self-signed or not.
pub(crate) fn trust_authority(
    context: &mut SslContextBuilder,
    path: &Path,
) -> Result<Vec<X509>, Error> {
    let authorities = pem::certificates(path)?;
    for authority in &authorities {
        context.cert_store_mut().add_cert(authority.clone())?;
    }
    context
        .verify_param_mut()
        .set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
    Ok(authorities)
}
