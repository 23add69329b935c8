//! A kind of server: where its files are, and the three questions about it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::epoch;
use crate::error::Error;
use crate::held::Held;
use crate::init;
use crate::lock::Lock;
use crate::published::{self, Published};
use crate::waiting::Waiting;

/// One kind of server, of which there is to be exactly one; or one of N instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    dir: PathBuf,
    name: String,
}

impl Kind {
    /// Names a kind; touches nothing yet.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(dir: &Path, name: &str) -> Result<Kind, Error> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(fits) {
            return Err(Error::Name(name.to_string()));
        }
        Ok(Kind {
            dir: dir.to_owned(),
            name: name.to_string(),
        })
    }

    /// Makes the files of a kind that has never been, for so many instances; the only function that
    /// makes any. For instances that are there already it changes how many of them may run.
    ///
    /// # Errors
    /// [`Error::Exists`] if there would be nothing to do; [`Error::LockLost`] if the lock was used and
    /// is gone; [`Error::Instances`]; or the directory cannot be used.
    pub fn init(&self, instances: u32) -> Result<(), Error> {
        init::init(self, instances)
    }

    /// As [`Kind::init`] for one instance, and satisfied if the kind is there: for a directory that no
    /// administrator prepares.
    ///
    /// # Errors
    /// As [`Kind::init`], without [`Error::Exists`].
    pub fn init_once(&self) -> Result<(), Error> {
        match self.init(1) {
            Err(Error::Exists(_)) => Ok(()),
            other => other,
        }
    }

    /// How many instances there may be, as the lock's own file says.
    ///
    /// # Errors
    /// If there is no lock, or it is none of ours.
    pub fn instances(&self) -> Result<u32, Error> {
        Lock::instances(&self.lock())
    }

    /// An instance: the first one has the kind's own files, the others have files of their own beside
    /// them.
    pub fn instance(&self, number: u32) -> Kind {
        let name = match number {
            0 | 1 => self.name.clone(),
            // No kind's own name has this character.
            number => format!("{}@{number}", self.name),
        };
        Kind {
            dir: self.dir.clone(),
            name,
        }
    }

    /// The greatest epoch that was ever given out; 0 before the first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn last_epoch(&self) -> Result<u64, Error> {
        let found = epoch::read(&self.epoch())?;
        Ok(found.ok_or_else(|| Error::EpochLost(self.epoch()))?.last)
    }

    /// True if somebody holds the lock. Never waits, and disturbs nobody.
    ///
    /// # Errors
    /// If the lock cannot be read.
    pub fn is_held(&self) -> Result<bool, Error> {
        Lock::is_held(&self.lock())
    }

    /// Becomes the one, if nobody is. None: somebody is. Never waits.
    ///
    /// # Errors
    /// If the files cannot be used, or the epoch is lost; the lock is then free again.
    pub fn try_hold(&self) -> Result<Option<Held>, Error> {
        loop {
            let lock = Lock::open(&self.lock())?;
            if !lock.try_take()? {
                return Ok(None);
            }
            // A file that was replaced in the meantime is not the lock any more.
            if lock.is_current()? {
                return Held::begin(self.clone(), lock).map(Some);
            }
        }
    }

    /// Stands in line for the lock: a forked process waits for it, in the kernel's queue.
    ///
    /// # Errors
    /// If the lock file cannot be opened.
    pub fn stand_in_line(&self) -> Result<Waiting, Error> {
        Waiting::new(self.clone())
    }

    /// Takes over the lock from a descriptor that came through fork or exec, see
    /// [`Held::inheritable`]. The epoch is the one under which it was taken.
    ///
    /// # Errors
    /// [`Error::NotHeld`] if it is another file, or its holder has let it go.
    pub fn adopt(&self, descriptor: OwnedFd) -> Result<Held, Error> {
        let lock = Lock::from_descriptor(descriptor, &self.lock());
        // Taking it again is allowed to the open file that has it. The sign of life tells that from
        // a lock that was free until now.
        if lock.is_current()? && Lock::is_held(&self.lock())? && lock.try_take()? {
            return Held::adopt(self.clone(), lock);
        }
        Err(Error::NotHeld(self.lock()))
    }

    /// Who is the one, if somebody holds the lock and has published an address. What a dead server
    /// left behind is never returned. Never waits, and disturbs nobody who waits.
    ///
    /// # Errors
    /// If files that exist cannot be read.
    pub fn published(&self) -> Result<Option<Published>, Error> {
        published::read(self)
    }

    /// As [`Kind::published`], but waits for it. None: not within `timeout`. Woken by the directory's
    /// events, so the directory must be local and must exist.
    ///
    /// # Errors
    /// As [`Kind::published`].
    pub fn wait_published(&self, timeout: Duration) -> Result<Option<Published>, Error> {
        published::wait(self, timeout)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory of its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The lock's file.
    pub fn lock(&self) -> PathBuf {
        self.dir.join(format!("{}.lock", self.name))
    }

    pub(crate) fn epoch(&self) -> PathBuf {
        self.dir.join(format!("{}.epoch", self.name))
    }

    pub(crate) fn address(&self) -> PathBuf {
        self.dir.join(format!("{}.address", self.name))
    }

    /// A name for a file that is not yet complete. Only the holder writes, so one name does.
    pub(crate) fn beside(&self) -> PathBuf {
        self.dir.join(format!(".{}.new", self.name))
    }
}
