//! The directory in which one image is made: `adding/KEY`, where KEY says what is made from what.
//!
//! Who makes it holds the directory's lock, its children with it. A killed add leaves its parts, and the
//! next one of the same file goes on with them; every other add removes what nobody holds. The key holds
//! the host's boot id, so nothing here needs to be on disk before it is moved: what was written before a
//! power failure is never gone on with.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;

use crate::digest::Digest;
use crate::error::Error;
use crate::files;
use crate::source::{Format, Identity};

/// What an unfinished image is recognised by.
#[derive(Serialize)]
pub(crate) struct Key<'a> {
    pub(crate) boot_id: &'a str,
    pub(crate) source: &'a Identity,
    pub(crate) format: Format,
    pub(crate) frame_size: Option<u32>,
    pub(crate) level: i32,
}

/// A directory of ours alone.
#[derive(Debug)]
pub(crate) struct Work {
    path: PathBuf,
    lock: Flock<File>,
}

impl Work {
    /// Makes or takes over the directory of this key.
    pub(crate) fn open(adding: &Path, key: &Key<'_>) -> Result<Option<Work>, Error> {
        let key =
            serde_json::to_vec(key).map_err(|error| Error::store(adding, error.to_string()))?;
        let path = adding.join(Digest::of(&key).to_string());
        loop {
            files::make(&path, 0o700)?;
            match lock(&path)? {
                Locked::Ours(lock) => return Ok(Some(Work { path, lock })),
                Locked::Theirs => return Ok(None),
                // Somebody has just swept it.
                Locked::Gone => {}
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The lock's descriptor: who keeps it shares the lock.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.lock.as_raw_fd()
    }

    /// Removes the directory, and then lets it go.
    pub(crate) fn remove(self) -> Result<(), Error> {
        std::fs::remove_dir_all(&self.path).map_err(|why| Error::system(&self.path, why))
    }
}

/// Removes every directory but `ours` that nobody holds. One that cannot be removed is left.
pub(crate) fn sweep(adding: &Path, ours: Option<&Path>) -> Result<(), Error> {
    for name in files::names(adding)? {
        let path = adding.join(name);
        if Some(path.as_path()) != ours && matches!(lock(&path), Ok(Locked::Ours(_))) {
            // The lock is held until the directory has gone.
            let _ = std::fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

enum Locked {
    Ours(Flock<File>),
    Theirs,
    Gone,
}

/// Takes the lock of a directory, if it is free, and if the directory still has its name then.
fn lock(path: &Path) -> Result<Locked, Error> {
    let failed = |why: std::io::Error| match why.kind() {
        std::io::ErrorKind::NotFound => Ok(Locked::Gone),
        _ => Err(Error::system(path, why)),
    };
    let directory = match File::open(path) {
        Ok(directory) => directory,
        Err(why) => return failed(why),
    };
    match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => {
            let ours = lock.metadata().map_err(|why| Error::system(path, why))?;
            match std::fs::metadata(path) {
                Ok(now) if (now.dev(), now.ino()) == (ours.dev(), ours.ino()) => {
                    Ok(Locked::Ours(lock))
                }
                Ok(_) => Ok(Locked::Gone),
                Err(why) => failed(why),
            }
        }
        Err((_, Errno::EWOULDBLOCK)) => Ok(Locked::Theirs),
        Err((_, why)) => Err(Error::system(path, why)),
    }
}
