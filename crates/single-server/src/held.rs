//! Being the one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::epoch;
use crate::error::Error;
use crate::kind::Kind;
use crate::lock::Lock;
use crate::published;

/// The lock, held. Dropping it withdraws the address and lets the lock go, unless somebody who
/// inherited it still has it. A death without drop leaves an address that nobody believes.
#[derive(Debug)]
pub struct Held {
    kind: Kind,
    lock: Lock,
    epoch: u64,
    /// A forked copy must not withdraw what its parent published.
    owner: u32,
}

impl Held {
    /// The number of this incarnation: greater than that of any before.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Tells everybody where the server is. To be done when it can be reached, and before it says
    /// that it is ready.
    ///
    /// # Errors
    /// [`Error::Address`]; or the file cannot be written.
    pub fn publish(&self, address: &str) -> Result<(), Error> {
        published::write(&self.kind, self.epoch, address)
    }

    /// Takes the address back; the lock stays.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn withdraw(&self) -> Result<(), Error> {
        published::remove(&self.kind)
    }

    /// False if the lock file was removed or replaced: then somebody else may hold "the lock" as
    /// well, and the server should stop.
    ///
    /// # Errors
    /// If that cannot be found out.
    pub fn is_valid(&self) -> Result<bool, Error> {
        self.lock.is_current()
    }

    /// A copy of the descriptor that passes through exec. As long as any copy is open, the lock is
    /// held. The new program takes it over by [`Kind::adopt`].
    ///
    /// # Errors
    /// If no descriptor is free.
    pub fn inheritable(&self) -> Result<OwnedFd, Error> {
        let copy = self.lock.as_fd().try_clone_to_owned().and_then(|copy| {
            fcntl(&copy, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(copy)
        });
        copy.map_err(Error::io(&self.kind.lock()))
    }

    /// The lock has just been taken: the next epoch, and no address from before.
    pub(crate) fn begin(kind: Kind, lock: Lock) -> Result<Held, Error> {
        let epoch = next_epoch(&kind, &lock)?;
        // Last: readers that see the sign must find the new epoch and not the old address.
        lock.show_life()?;
        Ok(Held::new(kind, lock, epoch))
    }

    /// A new incarnation under the same lock: the next epoch, and no address.
    ///
    /// # Errors
    /// If the epoch cannot be written: then there must be no new incarnation.
    pub fn renew(&mut self) -> Result<u64, Error> {
        self.epoch = next_epoch(&self.kind, &self.lock)?;
        Ok(self.epoch)
    }

    /// The lock had been taken before it was inherited.
    pub(crate) fn adopt(kind: Kind, lock: Lock) -> Result<Held, Error> {
        let path = kind.epoch();
        let found = epoch::read(&path)?.ok_or(Error::EpochLost(path))?;
        // Our own programs must not pass it on by accident.
        fcntl(&lock, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
            .map_err(|error| Error::io(&kind.lock())(error.into()))?;
        Ok(Held::new(kind, lock, found.last))
    }

    fn new(kind: Kind, lock: Lock, epoch: u64) -> Held {
        Held {
            kind,
            lock,
            epoch,
            owner: std::process::id(),
        }
    }
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.owner == std::process::id() {
            // Left behind it would be disbelieved; this only tidies up.
            let _ = self.withdraw();
        }
    }
}

fn next_epoch(kind: &Kind, lock: &Lock) -> Result<u64, Error> {
    let path = kind.epoch();
    let found = epoch::read(&path)?.ok_or_else(|| Error::EpochLost(path.clone()))?;
    if lock.header()?.identity != found.identity {
        return Err(Error::Foreign(path));
    }
    epoch::write(&path, found.next, &found.identity)?;
    published::remove(kind)?;
    Ok(found.next)
}
