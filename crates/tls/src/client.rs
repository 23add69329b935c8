//! The calling side.

use std::net::{IpAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslVerifyMode, SslVersion};

use crate::settings::{context, trust_authority};
use crate::{Error, Identity, Pin, Stream, pem, rehearsal};

/// `SSL_OP_LEGACY_SERVER_CONNECT`, which the binding does not name: servers that know no secure
/// renegotiation, as all did before RFC 5746. We never renegotiate.
const LEGACY_SERVER_CONNECT: u32 = 0x4;

/// Who is believed.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Whoever has a certificate of this CA (a PEM file). The host name is not compared: xCAT's own
    /// client does not either, its certificates name the management node in ways that nodes do not
    /// use. Certificates dated 1960, as xCAT's are, are in order.
    Authority(PathBuf),
    /// Whoever has the key with this pin, whatever its certificate says.
    Pin(Pin),
    /// Anyone: for peers of which nothing is known, as a stock genesis trusts its master.
    Anyone,
}

/// Whether a peer may be older than this century's second decade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldSuites {
    /// TLS 1.2 and up, the library's own choice of suites and key lengths.
    No,
    /// TLS 1.0 and up, CBC, RSA key exchange, small keys and SHA-1: for BMCs that know nothing else.
    Yes,
}

/// A client's settings, made once.
#[derive(Clone)]
pub struct ClientContext {
    context: SslContext,
    trust: Trust,
}

impl ClientContext {
    /// Reads the files that `trust` and `identity` name.
    ///
    /// # Errors
    /// [`Error::File`] for a file that cannot be used, [`Error::Library`] for a setting that this
    /// OpenSSL refuses.
    pub fn new(
        trust: &Trust,
        identity: Option<&Identity>,
        old: OldSuites,
    ) -> Result<ClientContext, Error> {
        let mut context = context(SslMethod::tls_client())?;
        if old == OldSuites::Yes {
            context.set_cipher_list("ALL:!aNULL:!eNULL:!EXPORT:@SECLEVEL=0")?;
            context.set_min_proto_version(Some(SslVersion::TLS1))?;
            context.set_options(SslOptions::from_bits_retain(LEGACY_SERVER_CONNECT.into()));
        }
        context.set_verify(SslVerifyMode::PEER);
        match trust {
            Trust::Authority(path) => drop(trust_authority(&mut context, path)?),
            // Its verification is set for each connection.
            Trust::Pin(_) => {}
            Trust::Anyone => context.set_verify(SslVerifyMode::NONE),
        }
        if let Some(identity) = identity {
            pem::use_identity(&mut context, identity)?;
        }
        Ok(ClientContext {
            context: context.build(),
            trust: trust.clone(),
        })
    }

    /// The handshake over a connected socket. `host` (a name or an address) is sent as the server's
    /// name if it is one, and names the peer in errors. When this returns, the peer is who `trust`
    /// asked for; nothing of ours was sent before, not even a client certificate.
    ///
    /// Time: the socket's own timeouts, each operation for itself; see [`ClientContext::connect_by`].
    ///
    /// # Errors
    /// [`Error::Untrusted`], [`Error::WrongPin`], [`Error::Handshake`], [`Error::TimedOut`].
    pub fn connect(&self, socket: TcpStream, host: &str) -> Result<Stream, Error> {
        self.shake(socket, host, None)
    }

    /// As [`ClientContext::connect`], but the handshake and all that follows has to be done by
    /// `deadline` ([`Stream::set_deadline`] changes it later).
    ///
    /// # Errors
    /// As there.
    pub fn connect_by(
        &self,
        socket: TcpStream,
        host: &str,
        deadline: Instant,
    ) -> Result<Stream, Error> {
        self.shake(socket, host, Some(deadline))
    }

    /// Shakes hands with itself in memory, so that children forked later find OpenSSL's algorithms
    /// ready: before the first fork, once. False: it did not get through, which costs only time later.
    ///
    /// # Errors
    /// [`Error::Library`] if the library cannot even begin.
    pub fn rehearse(&self) -> Result<bool, Error> {
        rehearsal::call(&self.context)
    }

    fn shake(
        &self,
        socket: TcpStream,
        host: &str,
        deadline: Option<Instant>,
    ) -> Result<Stream, Error> {
        let mut ssl = Ssl::new(&self.context)?;
        if host.parse::<IpAddr>().is_err() && !host.is_empty() {
            ssl.set_hostname(host)?;
        }
        let Trust::Pin(expected) = self.trust else {
            let checked = matches!(self.trust, Trust::Authority(_));
            return Stream::handshake(ssl, socket, host, deadline, checked);
        };
        let seen = Arc::new(OnceLock::new());
        check_pin(&mut ssl, expected, Arc::clone(&seen));
        let result = Stream::handshake(ssl, socket, host, deadline, false);
        // Asked again after the handshake: the callback alone would rest on how the library walks
        // through chains that do not verify.
        let found = match &result {
            Ok(stream) => stream.peer_pin(),
            Err(_) => seen.get().copied(),
        };
        match found {
            Some(found) if found == expected => result,
            Some(found) => Err(Error::WrongPin {
                peer: host.to_string(),
                expected,
                found,
            }),
            None => result.and_then(|_| {
                Err(Error::Untrusted {
                    peer: host.to_string(),
                    why: "no certificate".to_string(),
                })
            }),
        }
    }
}

impl std::fmt::Debug for ClientContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientContext")
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

/// Lets the handshake fail at a wrong key, so that nothing of ours (our certificate) goes to its
/// owner. Chain errors do not matter: the key is the identity.
fn check_pin(ssl: &mut Ssl, expected: Pin, seen: Arc<OnceLock<Pin>>) {
    ssl.set_verify_callback(SslVerifyMode::PEER, move |_, chain| {
        if chain.error_depth() != 0 {
            return true;
        }
        let found = chain.current_cert().and_then(Pin::of_certificate);
        if let Some(found) = found {
            let _ = seen.set(found);
        }
        found == Some(expected)
    });
}
