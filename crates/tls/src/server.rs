//! The listening side.

use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslVerifyMode};
use openssl::stack::Stack;
use openssl::x509::X509Name;

use crate::settings::{context, trust_authority};
use crate::{Error, Identity, Pin, Stream, pem, rehearsal};

/// A server's settings, made once, before any privilege is dropped: the key is in memory then.
#[derive(Clone)]
pub struct ServerContext {
    context: SslContext,
    pin: Pin,
    asks: bool,
}

impl ServerContext {
    /// Reads the identity and, where client certificates count, the CA (a PEM file) that they must
    /// come from. A client without a certificate is let in, one with a certificate of another CA is
    /// not (spec section 8).
    ///
    /// # Errors
    /// [`Error::File`] for a file that cannot be used, [`Error::Library`] for a setting that this
    /// OpenSSL refuses.
    pub fn new(
        identity: &Identity,
        client_authority: Option<&Path>,
    ) -> Result<ServerContext, Error> {
        let mut context = context(SslMethod::tls_server())?;
        context.set_options(SslOptions::CIPHER_SERVER_PREFERENCE);
        // No session tickets: they are written right after the handshake, and a stock sender, which
        // reads nothing, would close with them unread, that is, with a reset.
        context.set_num_tickets(0)?;
        context.set_session_id_context(b"xcat-nodetools")?;
        let certificate = pem::use_identity(&mut context, identity)?;
        let pin = Pin::of_certificate(&certificate)
            .ok_or_else(|| pem::file(&identity.certificate, "no public key in it"))?;
        context.set_verify(SslVerifyMode::NONE);
        if let Some(path) = client_authority {
            let mut names: Stack<X509Name> = Stack::new()?;
            for authority in trust_authority(&mut context, path)? {
                names.push(authority.subject_name().to_owned()?)?;
            }
            context.set_client_ca_list(names);
            context.set_verify(SslVerifyMode::PEER);
        }
        Ok(ServerContext {
            context: context.build(),
            pin,
            asks: client_authority.is_some(),
        })
    }

    /// The handshake with a client that has just connected. Time: the socket's own timeouts; see
    /// [`ServerContext::accept_by`].
    ///
    /// # Errors
    /// [`Error::Untrusted`], [`Error::Handshake`], [`Error::TimedOut`].
    pub fn accept(&self, socket: TcpStream) -> Result<Stream, Error> {
        self.shake(socket, None)
    }

    /// As [`ServerContext::accept`], but the handshake and all that follows has to be done by
    /// `deadline` ([`Stream::set_deadline`] changes it later).
    ///
    /// # Errors
    /// As there.
    pub fn accept_by(&self, socket: TcpStream, deadline: Instant) -> Result<Stream, Error> {
        self.shake(socket, Some(deadline))
    }

    /// Shakes hands with itself in memory, so that children forked later find OpenSSL's algorithms
    /// ready: before the first fork, once. False: it did not get through, which costs only time later.
    ///
    /// # Errors
    /// [`Error::Library`] if the library cannot even begin.
    pub fn rehearse(&self) -> Result<bool, Error> {
        rehearsal::take(&self.context)
    }

    /// The pin of our key, for those who shall know us by it.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    fn shake(&self, socket: TcpStream, deadline: Option<Instant>) -> Result<Stream, Error> {
        let peer = socket
            .peer_addr()
            .map_or_else(|_| "peer".to_string(), |address| address.ip().to_string());
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_accept_state();
        Stream::handshake(ssl, socket, &peer, deadline, self.asks)
    }
}

impl std::fmt::Debug for ServerContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerContext")
            .field("pin", &self.pin)
            .field("asks", &self.asks)
            .finish_non_exhaustive()
    }
}
