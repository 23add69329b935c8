//! The address beside the lock.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::epoch;
use crate::error::Error;
use crate::kind::Kind;
use crate::lock::Lock;

/// Longest address, in bytes.
const LONGEST: usize = 1024;

/// Where the one server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its incarnation.
    pub epoch: u64,
    /// What it published.
    pub address: String,
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.epoch, self.address)
    }
}

/// The order matters. Held first: its holder had by then written its epoch and removed the address of
/// the one before. So an address with the greatest epoch was published by a living holder, at the
/// time of the first look or later.
pub(crate) fn read(kind: &Kind) -> Result<Option<Published>, Error> {
    if !Lock::is_held(&kind.lock())? {
        return Ok(None);
    }
    let Some(published) = read_file(kind)? else {
        return Ok(None);
    };
    let last = epoch::read(&kind.epoch())?.map(|epoch| epoch.last);
    Ok((last == Some(published.epoch)).then_some(published))
}

pub(crate) fn wait(kind: &Kind, timeout: Duration) -> Result<Option<Published>, Error> {
    let refused = |error: Errno| Error::io(kind.dir())(error.into());
    let until = Instant::now().checked_add(timeout);
    // Watching begins before the first look: nothing can happen in between.
    let events = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(refused)?;
    events
        .add_watch(
            kind.dir(),
            AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_ONLYDIR,
        )
        .map_err(refused)?;
    loop {
        if let Some(published) = read(kind)? {
            return Ok(Some(published));
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
        let mut polled = [PollFd::new(events.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, milliseconds(left)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(refused(error)),
        }
        // What it was does not matter: the files are looked at anyway.
        match events.read_events() {
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(refused(error)),
        }
    }
}

pub(crate) fn write(kind: &Kind, epoch: u64, address: &str) -> Result<(), Error> {
    if !fits(address) {
        return Err(Error::Address(address.to_string()));
    }
    let published = Published {
        epoch,
        address: address.to_string(),
    };
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(kind.beside())?;
        file.write_all(format!("{published}\n").as_bytes())?;
        // Not synced: after a crash of the machine nobody holds the lock.
        std::fs::rename(kind.beside(), kind.address())
    };
    write().map_err(Error::io(&kind.address()))
}

pub(crate) fn remove(kind: &Kind) -> Result<(), Error> {
    match std::fs::remove_file(kind.address()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(&kind.address())(error))
        }
        _ => Ok(()),
    }
}

fn read_file(kind: &Kind) -> Result<Option<Published>, Error> {
    let path = kind.address();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(&path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::io(&path))?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST as u64 + 100)
        .read_to_end(&mut bytes)
        .map_err(Error::io(&path))?;
    Ok(parse(&bytes))
}

/// What no holder wrote is no address.
fn parse(bytes: &[u8]) -> Option<Published> {
    let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (epoch, address) = line.split_once(' ')?;
    let published = Published {
        epoch: epoch.parse().ok()?,
        address: address.to_string(),
    };
    (fits(address) && published.to_string() == line).then_some(published)
}

fn fits(address: &str) -> bool {
    !address.is_empty() && address.len() <= LONGEST && !address.contains(char::is_control)
}

/// Rounded up, so that the last millisecond is slept through.
fn milliseconds(left: Option<Duration>) -> PollTimeout {
    let Some(left) = left else {
        return PollTimeout::NONE;
    };
    let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
    PollTimeout::try_from(millis.saturating_add(1)).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Published, parse};

    #[test]
    fn only_what_was_written_is_read() {
        let good = Published {
            epoch: 17,
            address: "tcp:10.0.0.1:3001 more".into(),
        };
        assert_eq!(parse(b"17 tcp:10.0.0.1:3001 more\n"), Some(good));
        let bad: [&[u8]; 9] = [
            b"",
            b"17",
            b"17 \n",
            b"17 a",
            b" 17 a\n",
            b"+17 a\n",
            b"017 a\n",
            b"17 a\nb\n",
            b"17 \xff\n",
        ];
        for bytes in bad {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(epoch: u64, address in "[^\\p{Cc}]{1,100}") {
            let published = Published { epoch, address };
            prop_assert_eq!(parse(format!("{published}\n").as_bytes()), Some(published));
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Some(published) = parse(&bytes) {
                prop_assert_eq!(format!("{published}\n").into_bytes(), bytes);
            }
        }
    }
}
