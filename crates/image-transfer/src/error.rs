//! What can go wrong with a transfer. A server or a peer that is gone is not among it: it is asked
//! again, or another one.

use std::io;

/// Why a transfer ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The time is up.
    #[error("{what}: the time is up: {last}")]
    Deadline {
        /// What was wanted.
        what: String,
        /// What went wrong last.
        last: String,
    },
    /// The server does not let us have it, and still did not after a while: the claim is gone.
    #[error("{what}: the image server refuses it: {why}")]
    Refused {
        /// What was wanted.
        what: String,
        /// The server's words.
        why: String,
    },
    /// What the server gives is not what was promised.
    #[error("{what}: what the image server gives is damaged: {why}")]
    Damaged {
        /// What was wanted.
        what: String,
        /// How it differs.
        why: String,
    },
    /// The socket for peers, or that of the server.
    #[error("{address}: cannot listen: {why}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// The system's reason.
        why: io::Error,
    },
    /// The kernel refused something that it never should.
    #[error("{call}: {why}")]
    System {
        /// What was called.
        call: &'static str,
        /// Its reason.
        why: io::Error,
    },
}

impl Error {
    pub(crate) fn system(call: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |why| Error::System { call, why }
    }

    pub(crate) fn errno(call: &'static str) -> impl FnOnce(nix::Error) -> Error {
        move |why| Error::System {
            call,
            why: why.into(),
        }
    }
}
