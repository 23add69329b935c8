//! Signals that ask the program to end, as a descriptor to poll.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// Becomes readable when HUP, INT, QUIT or TERM came. No handler of ours runs: a signal is a byte
/// in a socket pair.
#[derive(Debug)]
pub struct Interrupt {
    reader: UnixStream,
}

impl Interrupt {
    /// Takes over the four signals for the life of the process, but leaves those alone that the
    /// caller ignored: `nohup` and a shell's background jobs mean it.
    pub fn new() -> io::Result<Interrupt> {
        Interrupt::of(&[SIGHUP, SIGINT, SIGQUIT, SIGTERM])
    }

    /// As [`Interrupt::new`], but a hang-up does nothing at all: for work that must not end because
    /// somebody's terminal did.
    pub fn deaf_to_hangup() -> io::Result<Interrupt> {
        // Not ignored, which programs that we start would inherit, but told to nobody.
        let (_, nobody) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(SIGHUP, nobody)?;
        Interrupt::of(&[SIGINT, SIGQUIT, SIGTERM])
    }

    /// Becomes readable when one of these came; the caller that ignored it is obeyed.
    pub fn of(signals: &[i32]) -> io::Result<Interrupt> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        let ignored = ignored_signals();
        for &signal in signals {
            if ignored & (1 << (signal - 1)) == 0 {
                signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
            }
        }
        Ok(Interrupt { reader })
    }

    /// True if a signal has come since the last call.
    pub fn take(&self) -> bool {
        let mut bytes = [0; 64];
        matches!((&self.reader).read(&mut bytes), Ok(n) if n > 0)
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// The mask of ignored signals; asking the kernel by sigaction would need unsafe code here.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}
