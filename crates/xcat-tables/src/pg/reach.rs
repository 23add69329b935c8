//! Whether the server speaks at all, before the driver is let at it.
//!
//! The driver limits the time of a connect and of nothing after it. A server that is stopped, or
//! whatever else listens in its place, lets one connect and never says a word.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::engine::PATIENCE;

/// "Do you speak TLS?": a server answers it with one byte, and notes nothing if that is all.
const QUESTION: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The first of the addresses where somebody listens, and answers.
pub(super) fn address(addresses: &[IpAddr], port: u16) -> Result<IpAddr, Error> {
    let mut failed = Error::from(ErrorKind::NotFound);
    for address in addresses {
        let place = SocketAddr::new(*address, port);
        match TcpStream::connect_timeout(&place, PATIENCE) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                return ask(&mut stream).map(|()| *address);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// As [`address`], for a socket of this host.
pub(super) fn path(path: &Path) -> Result<(), Error> {
    let (kind, flags) = (
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    );
    let descriptor = socket(AddressFamily::Unix, kind, flags, None)?;
    // One whose queue is full would be waited for without end.
    connect(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
    let mut stream = UnixStream::from(descriptor);
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    ask(&mut stream)
}

/// Any answer will do, also a farewell: what is wrong the driver is told again.
fn ask(stream: &mut (impl Read + Write)) -> Result<(), Error> {
    stream.write_all(&QUESTION)?;
    match stream.read(&mut [0]) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            let seconds = PATIENCE.as_secs();
            let why = format!("connected, and the server says nothing (waited {seconds} s)");
            Err(Error::new(ErrorKind::TimedOut, why))
        }
        _ => Ok(()),
    }
}
