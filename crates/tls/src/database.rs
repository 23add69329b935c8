//! Encryption for the PostgreSQL driver, which brings a stream of its own kind.

use std::path::Path;

use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::store::X509StoreBuilder;
use postgres_openssl::MakeTlsConnector;

use crate::Error;

/// Who is believed to be the database's server: libpq's `sslmode`.
#[derive(Debug, Clone, Copy)]
pub enum Database<'a> {
    /// Anyone (`prefer`, `require`): keeps listeners out, not impostors.
    Anyone,
    /// Whoever has a certificate of this authority (`verify-ca`).
    Authority(&'a Path),
    /// The same, if it is for the host's name or address (`verify-full`).
    Name(&'a Path),
}

/// What the driver's `connect` takes.
///
/// # Errors
/// [`Error::File`] for a file that cannot be used, [`Error::Library`] for a setting that this
/// OpenSSL refuses.
pub fn database(trust: &Database<'_>) -> Result<MakeTlsConnector, Error> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    match trust {
        Database::Anyone => builder.set_verify(SslVerifyMode::NONE),
        Database::Authority(file) | Database::Name(file) => {
            // Not the system's bundle as well.
            builder.set_cert_store(X509StoreBuilder::new()?.build());
            drop(crate::settings::trust_authority(&mut builder, file)?);
        }
    }
    let mut connector = MakeTlsConnector::new(builder.build());
    if !matches!(trust, Database::Name(_)) {
        connector.set_callback(|config, _| {
            config.set_verify_hostname(false);
            Ok(())
        });
    }
    Ok(connector)
}
