//! The port of an image's server: the same one after a crash, so that nodes find the next server where
//! the last one was.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use disk_image::Digest;

use super::{Error, short};

/// Ports from here on, below those that the kernel gives to connections.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// Ports that are tried.
const TRIES: u16 = 64;

/// How long the port of before is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A socket on every address: at the port of before; else, or if somebody else has that now, at the first
/// free one from a place on that the digest says.
pub(super) fn listener(directory: &Path, image: &Digest) -> Result<TcpListener, Error> {
    let file = directory.join(format!("osload-{}.port", short(image)));
    if let Some(port) = read(&file) {
        let began = Instant::now();
        loop {
            match everywhere(port) {
                Ok(listener) => return Ok(listener),
                Err(error) if error.kind() != io::ErrorKind::AddrInUse => break,
                Err(_) if began.elapsed() >= PATIENCE => break,
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }
    let [high, low, ..] = image.0;
    let from = u16::from_be_bytes([high, low]);
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for step in 0..TRIES {
        let port = FIRST + from.wrapping_add(step) % COUNT;
        match everywhere(port) {
            Ok(listener) => {
                write(&file, port).map_err(failed(&file))?;
                return Ok(listener);
            }
            Err(error) => last = error,
        }
    }
    let tried = SocketAddr::from((Ipv4Addr::UNSPECIFIED, FIRST + from % COUNT));
    let why = last;
    Err(image_transfer::Error::Listen {
        address: tried,
        why,
    }
    .into())
}

/// IPv6 with IPv4 in it, or IPv4 alone where the kernel has no other.
fn everywhere(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        }
        other => other,
    }
}

fn read(file: &Path) -> Option<u16> {
    let text = fs::read_to_string(file).ok()?;
    text.trim().parse().ok().filter(|port| *port != 0)
}

fn write(file: &Path, port: u16) -> io::Result<()> {
    let new = file.with_extension("port.new");
    fs::write(&new, format!("{port}\n"))?;
    fs::rename(new, file)
}

fn failed(file: &Path) -> impl FnOnce(io::Error) -> Error {
    let subject = PathBuf::from(file);
    move |error| Error::System {
        subject,
        why: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_next_one_has_the_same_port() {
        let dir = tempfile::tempdir().unwrap();
        let image = Digest::of(dir.path().to_string_lossy().as_bytes());
        let first = listener(dir.path(), &image).unwrap();
        let port = first.local_addr().unwrap().port();
        assert!((FIRST..FIRST + COUNT).contains(&port));
        drop(first);
        let second = listener(dir.path(), &image).unwrap();
        assert_eq!(second.local_addr().unwrap().port(), port);
        // Somebody else has it: then another one, and that is kept.
        let third = listener(dir.path(), &image).unwrap();
        let other = third.local_addr().unwrap().port();
        assert_ne!(other, port);
        assert_eq!(
            read(&dir.path().join(format!("osload-{}.port", short(&image)))),
            Some(other)
        );
    }
}
