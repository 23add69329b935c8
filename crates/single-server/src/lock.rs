//! The lock file.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;

use crate::error::Error;

const HEADER: &str = "xcat-nodetools lock 1 ";
/// Most instances of a kind.
pub(crate) const MOST: u32 = 999;
/// Descriptors of locks are above this number.
const HIGH: i32 = 19;
/// Hexadecimal digits of an identity.
pub(crate) const IDENTITY: usize = 32;

/// An open lock file.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Opens the file. It is never made here: a directory that is not mounted, or a lock that
    /// somebody removed, must not give a second lock of the same name.
    pub(crate) fn open(path: &Path) -> Result<Lock, Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Error::NoLock(path.to_owned()),
                _ => Error::io(path)(error),
            })?;
        // Above what a server's standard streams and its ready pipe are put to.
        let file = fork_worker::above(file.into(), HIGH).map_err(Error::io(path))?;
        Ok(Lock {
            file: file.into(),
            path: path.to_owned(),
        })
    }

    pub(crate) fn from_descriptor(descriptor: OwnedFd, path: &Path) -> Lock {
        Lock {
            file: descriptor.into(),
            path: path.to_owned(),
        }
    }

    /// True if this open file has the lock now (also if it had it before).
    pub(crate) fn try_take(&self) -> Result<bool, Error> {
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(true),
                Err(TryLockError::WouldBlock) => return Ok(false),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(Error::io(&self.path)(error)),
            }
        }
    }

    /// Another descriptor of this same open file, for the process that waits.
    pub(crate) fn copy(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(Error::io(&self.path))
    }

    /// True if the path still leads to this file.
    pub(crate) fn is_current(&self) -> Result<bool, Error> {
        let here = self.file.metadata().map_err(Error::io(&self.path))?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(there) => Ok(here.dev() == there.dev() && here.ino() == there.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io(&self.path)(error)),
        }
    }

    /// Shows that the lock is held. flock can only be tested by taking it, which would let a candidate
    /// believe that somebody holds it; a record lock on the same open file can be seen without
    /// touching it, is inherited in the same way and ends in the same moment.
    pub(crate) fn show_life(&self) -> Result<(), Error> {
        fcntl(&self.file, FcntlArg::F_OFD_SETLK(&whole_file()))
            .map(drop)
            .map_err(|error| Error::io(&self.path)(error.into()))
    }

    /// True if somebody holds the lock and shows it.
    pub(crate) fn is_held(path: &Path) -> Result<bool, Error> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other.map_err(Error::io(path))?,
        };
        let mut found = whole_file();
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut found))
            .map_err(|error| Error::io(path)(error.into()))?;
        Ok(i32::from(found.l_type) != libc::F_UNLCK)
    }

    /// How many instances a lock's file allows; it is opened for reading only, which nobody notices.
    pub(crate) fn instances(path: &Path) -> Result<u32, Error> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoLock(path.to_owned()),
            _ => Error::io(path)(error),
        })?;
        let lock = Lock {
            file,
            path: path.to_owned(),
        };
        Ok(lock.header()?.instances)
    }

    /// What the file says of itself.
    pub(crate) fn header(&self) -> Result<Header, Error> {
        let mut text = Vec::new();
        // Not from where an earlier read ended: the offset is shared with whoever inherited the file.
        let mut from_start = At {
            file: &self.file,
            at: 0,
        };
        from_start
            .by_ref()
            .take(200)
            .read_to_end(&mut text)
            .map_err(Error::io(&self.path))?;
        Header::parse(&text).ok_or_else(|| Error::NotOurs(self.path.clone()))
    }

    /// Says anew how many instances there may be: in place, in one write.
    pub(crate) fn set_header(&self, header: &Header) -> Result<(), Error> {
        self.file
            .write_all_at(header.to_string().as_bytes(), 0)
            .and_then(|()| self.file.sync_all())
            .map_err(Error::io(&self.path))
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The one line of a lock's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// Tells a lock from another one of the same name.
    pub(crate) identity: String,
    /// How many instances there may be; counts in the first one's file.
    pub(crate) instances: u32,
}

impl Header {
    fn parse(text: &[u8]) -> Option<Header> {
        let line = std::str::from_utf8(text).ok()?.strip_suffix('\n')?;
        let (identity, instances) = line.strip_prefix(HEADER)?.split_once(' ')?;
        let instances = instances.trim_end().parse().ok()?;
        let fits = is_identity(identity) && (1..=MOST).contains(&instances);
        fits.then(|| Header {
            identity: identity.to_string(),
            instances,
        })
    }
}

impl fmt::Display for Header {
    /// Of the same length whatever the number, so that it can be written over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}{} {:<4}", self.identity, self.instances)
    }
}

/// True for what [`new_identity`] makes.
pub(crate) fn is_identity(text: &str) -> bool {
    text.len() == IDENTITY && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// 128 random bits.
pub(crate) fn new_identity() -> io::Result<String> {
    let mut bytes = [0; IDENTITY / 2];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Reads a file at an offset of its own.
struct At<'file> {
    file: &'file File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}
