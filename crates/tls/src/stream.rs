//! A connection after its handshake.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use openssl::nid::Nid;
use openssl::ssl::{self, ErrorCode, HandshakeError, Ssl, SslStream};
use openssl::x509::{X509Ref, X509VerifyResult};

use crate::error::reason;
use crate::timed::Timed;
use crate::{Error, Pin};

/// How long a server waits at the end for its peer to close.
const LINGER: Duration = Duration::from_secs(1);
/// How much it reads meanwhile.
const LINGER_BYTES: usize = 64 << 10;

/// A TLS connection. Reading gives 0 only when the peer said that it ends (close_notify); a
/// connection that just broke off is an error of kind `UnexpectedEof`, one whose deadline has passed
/// of kind `TimedOut`.
#[derive(Debug)]
pub struct Stream {
    stream: SslStream<Timed>,
    /// The peer's certificate, if any, was checked against a CA.
    checked: bool,
}

impl Stream {
    pub(crate) fn handshake(
        ssl: Ssl,
        socket: TcpStream,
        peer: &str,
        deadline: Option<Instant>,
        checked: bool,
    ) -> Result<Stream, Error> {
        let timed = Timed { socket, deadline };
        let server = ssl.is_server();
        let result = if server {
            ssl.accept(timed)
        } else {
            ssl.connect(timed)
        };
        match result {
            Ok(stream) => Ok(Stream { stream, checked }),
            Err(HandshakeError::SetupFailure(stack)) => Err(stack.into()),
            Err(HandshakeError::WouldBlock(_)) => Err(Error::TimedOut {
                peer: peer.to_string(),
            }),
            Err(HandshakeError::Failure(middle)) => {
                let verdict = middle.ssl().verify_result();
                Err(failed(peer, middle.error(), verdict))
            }
        }
    }

    /// The deadline of everything that is done from now on; `None` leaves it to the socket's own
    /// settings.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.stream.get_mut().deadline = deadline;
    }

    /// The name in a *verified* certificate of the peer: its common name, by xCAT's rule the text
    /// after `CN=` up to the next `/` of the subject in one line. A subject that this rule could
    /// read in two ways (several common names, a `/` or `CN=` inside one, control characters) names
    /// nobody.
    pub fn peer_name(&self) -> Option<String> {
        if !self.checked || self.stream.ssl().verify_result() != X509VerifyResult::OK {
            return None;
        }
        common_name(&*self.stream.ssl().peer_certificate()?)
    }

    /// The pin of the peer's key, if it showed a certificate.
    pub fn peer_pin(&self) -> Option<Pin> {
        Pin::of_certificate(&*self.stream.ssl().peer_certificate()?)
    }

    /// Bytes that were decrypted but not read yet; `poll` on the descriptor does not see them.
    pub fn pending(&self) -> usize {
        self.stream.ssl().pending()
    }

    /// Ends the connection so that the peer gets all that was written: close_notify, then no more
    /// writing, and a server waits (a second at most) until its peer closes, for bytes that nobody
    /// read make the kernel reset the connection and drop what is still under way.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown();
        let server = self.stream.ssl().is_server();
        let timed = self.stream.get_mut();
        let _ = timed.socket.shutdown(Shutdown::Write);
        if !server {
            return;
        }
        let end = Instant::now() + LINGER;
        timed.deadline = Some(timed.deadline.map_or(end, |deadline| deadline.min(end)));
        let mut unread = [0; 4096];
        let mut bytes = 0;
        while let Ok(count @ 1..) = timed.read(&mut unread) {
            bytes += count;
            if bytes > LINGER_BYTES {
                break;
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.ssl_read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.code() == ErrorCode::ZERO_RETURN => return Ok(0),
                Err(error) if again(&error) => {}
                Err(error) => return Err(broken(error)),
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // OpenSSL leaves a write of nothing undefined.
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            match self.stream.ssl_write(bytes) {
                Ok(count) => return Ok(count),
                Err(error) if again(&error) => {}
                Err(error) => return Err(broken(error)),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().socket.as_fd()
    }
}

/// A record without data for us (a key update, say) was handled.
fn again(error: &ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
        && error.io_error().is_none()
}

fn broken(error: ssl::Error) -> io::Error {
    if cut_off(&error) {
        return io::Error::new(io::ErrorKind::UnexpectedEof, "connection broke off");
    }
    if let Some(stack) = error.ssl_error() {
        return io::Error::other(format!("TLS: {}", reason(stack)));
    }
    error.into_io_error().unwrap_or_else(io::Error::other)
}

/// End of file without close_notify: an empty system error, or OpenSSL 3's own reason.
fn cut_off(error: &ssl::Error) -> bool {
    let stack = error.ssl_error().map(reason);
    stack.as_deref() == Some("unexpected eof while reading")
        || (error.code() == ErrorCode::SYSCALL && error.io_error().is_none())
}

fn failed(peer: &str, error: &ssl::Error, verdict: X509VerifyResult) -> Error {
    let peer = peer.to_string();
    if error.io_error().map(io::Error::kind) == Some(io::ErrorKind::TimedOut) {
        return Error::TimedOut { peer };
    }
    // A signature by another key of the same name puts its own reasons before this one.
    let refused = error.ssl_error().is_some_and(|stack| {
        let mut reasons = stack.errors().iter().filter_map(|one| one.reason());
        reasons.any(|reason| reason == "certificate verify failed")
    });
    if refused && verdict != X509VerifyResult::OK {
        let why = verdict.error_string().to_string();
        return Error::Untrusted { peer, why };
    }
    let why = match (error.io_error(), error.ssl_error()) {
        _ if cut_off(error) => "connection broke off".to_string(),
        (Some(io), _) => io.to_string(),
        (None, Some(stack)) => reason(stack),
        (None, None) => error.to_string(),
    };
    Error::Handshake { peer, why }
}

fn common_name(certificate: &X509Ref) -> Option<String> {
    let mut names = certificate.subject_name().entries_by_nid(Nid::COMMONNAME);
    let name = names.next()?.data().to_string().ok()?;
    let plain = !name.is_empty()
        && !name.contains('/')
        && !name.contains("CN=")
        && !name.contains(char::REPLACEMENT_CHARACTER)
        && !name.chars().any(char::is_control);
    (plain && names.next().is_none()).then_some(name)
}
