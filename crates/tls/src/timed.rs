//! A socket whose operations all end by one moment.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A TCP connection with a deadline for all that is done over it, not for each operation: a peer
/// that sends a byte now and then gains nothing.
#[derive(Debug)]
pub(crate) struct Timed {
    pub(crate) socket: TcpStream,
    pub(crate) deadline: Option<Instant>,
}

impl Timed {
    fn remaining(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else {
            return Ok(None);
        };
        match deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(late()),
        }
    }

    /// Without a deadline the socket's own settings hold, non-blocking mode included.
    fn timed<T>(&self, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            if let Some(left) = self.remaining()? {
                self.socket.set_read_timeout(Some(left))?;
                self.socket.set_write_timeout(Some(left))?;
            }
            match work() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && self.deadline.is_some() =>
                {
                    return Err(late());
                }
                done => return done,
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.timed(|| (&self.socket).read(buffer))
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.timed(|| (&self.socket).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}
