//! A handshake with ourselves, in memory.
//!
//! OpenSSL finds its algorithms at the first handshake of a process and keeps them. A parent that
//! forks a child per connection does it once, before the first fork, instead of in every child.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

use openssl::pkey::PKey;
use openssl::ssl::{HandshakeError, Ssl, SslContext, SslMethod, SslVerifyMode};
use openssl::x509::X509;

use crate::settings::context;
use crate::{Error, Pin, identity};

/// More turns than any handshake takes.
const TURNS: usize = 16;

/// Shakes hands with a client of our own making; true if both got through.
pub(crate) fn take(server: &SslContext) -> Result<bool, Error> {
    shake(&context(SslMethod::tls_client())?.build(), server)
}

/// Shakes hands with a server of our own making; true if both got through.
pub(crate) fn call(client: &SslContext) -> Result<bool, Error> {
    let pem = identity::key_and_certificate("rehearsal")?;
    let mut server = context(SslMethod::tls_server())?;
    server.set_private_key(&*PKey::private_key_from_pem(&pem)?)?;
    server.set_certificate(&*X509::from_pem(&pem)?)?;
    shake(client, &server.build())
}

fn shake(client: &SslContext, server: &SslContext) -> Result<bool, Error> {
    let (there, back) = (Line::default(), Line::default());
    let mut caller = Ssl::new(client)?;
    caller.set_verify(SslVerifyMode::NONE);
    let mut calling = caller.connect(End(back.clone(), there.clone()));
    let mut taking = Ssl::new(server)?.accept(End(there, back));
    for _ in 0..TURNS {
        if calling.is_ok() && taking.is_ok() {
            break;
        }
        calling = go_on(calling);
        taking = go_on(taking);
    }
    if let Ok(called) = &calling {
        // What a pin is made with is found at the first use, too.
        let shown = called.ssl().peer_certificate();
        let _ = shown.and_then(|shown| Pin::of_certificate(&shown));
    }
    Ok(calling.is_ok() && taking.is_ok())
}

type Side = Result<openssl::ssl::SslStream<End>, HandshakeError<End>>;

fn go_on(side: Side) -> Side {
    match side {
        Err(HandshakeError::WouldBlock(half)) => half.handshake(),
        other => other,
    }
}

type Line = Rc<RefCell<VecDeque<u8>>>;

/// One end of a line of two directions.
#[derive(Debug)]
struct End(Line, Line);

impl Read for End {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.borrow_mut().read(buffer)? {
            0 => Err(ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{ClientContext, OldSuites, ServerContext, Trust, identity};

    #[test]
    fn both_sides_finish() {
        let dir = tempfile::tempdir().unwrap();
        let ours = identity(dir.path(), "test").unwrap();
        assert!(ServerContext::new(&ours, None).unwrap().rehearse().unwrap());
        let authority = Trust::Authority(ours.certificate);
        for (trust, old) in [(Trust::Anyone, OldSuites::Yes), (authority, OldSuites::No)] {
            let client = ClientContext::new(&trust, None, old).unwrap();
            assert!(client.rehearse().unwrap());
        }
    }
}
