//! The only crate that names OpenSSL: contexts, client, server, pins.
