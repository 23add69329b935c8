//! What can go wrong, in the project's form: subject first.

use std::path::PathBuf;

use openssl::error::ErrorStack;

use crate::Pin;

/// An error of a context or a handshake. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A certificate, key or CA file that cannot be used.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The library refuses a setting.
    #[error("TLS: {0}")]
    Library(String),
    /// The peer's certificate does not verify against the CA.
    #[error("{peer}: certificate not accepted: {why}")]
    Untrusted {
        /// Host or address.
        peer: String,
        /// OpenSSL's reason.
        why: String,
    },
    /// The peer's key is another one.
    #[error("{peer}: its key has pin {found}, expected {expected}")]
    WrongPin {
        /// Host or address.
        peer: String,
        /// What was asked for.
        expected: Pin,
        /// What it showed.
        found: Pin,
    },
    /// No common protocol, a peer that does not speak TLS, a connection that broke.
    #[error("{peer}: TLS handshake failed: {why}")]
    Handshake {
        /// Host or address.
        peer: String,
        /// Why.
        why: String,
    },
    /// The handshake did not end in time.
    #[error("{peer}: TLS handshake: no answer in time")]
    TimedOut {
        /// Host or address.
        peer: String,
    },
}

impl From<ErrorStack> for Error {
    fn from(stack: ErrorStack) -> Error {
        Error::Library(reason(&stack))
    }
}

/// The first error's reason; OpenSSL's own display holds source files and line numbers.
pub(crate) fn reason(stack: &ErrorStack) -> String {
    stack
        .errors()
        .iter()
        .find_map(|error| error.reason())
        .unwrap_or("unknown error")
        .to_string()
}
