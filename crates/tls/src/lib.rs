//! The only crate that names OpenSSL: contexts, client, server, pins, SHA-256.
//!
//! Plain contexts, made once and used for any number of connections: no system CA bundle is loaded,
//! no session is cached or resumed, nothing is renegotiated or compressed, and no passphrase is ever
//! asked for. TLS 1.2 is the oldest version unless [`OldSuites::Yes`].

mod client;
#[cfg(feature = "database")]
mod database;
mod error;
mod identity;
mod pem;
mod pin;
mod rehearsal;
mod server;
mod settings;
mod stream;
mod timed;

pub use client::{ClientContext, OldSuites, Trust};
#[cfg(feature = "database")]
pub use database::{Database, database};
pub use error::Error;
pub use identity::{Identity, identity};
/// SHA-256 of images and firmware. The library is there anyway, and where the processor has no
/// instructions for it, it is faster than portable code.
pub use openssl::sha::Sha256;
pub use pin::{NotAPin, Pin};
pub use server::ServerContext;
pub use stream::Stream;
