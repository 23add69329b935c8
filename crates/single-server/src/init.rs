//! Making a kind's files: once, and by nobody else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::epoch;
use crate::error::Error;
use crate::kind::Kind;
use crate::lock::{Header, Lock, MOST, new_identity};

/// The first instance's lock is made last: without it there is nothing that could be used.
pub(crate) fn init(kind: &Kind, instances: u32) -> Result<(), Error> {
    if instances == 0 || instances > MOST {
        return Err(Error::Instances(instances));
    }
    let present = match Lock::open(&kind.lock()) {
        Ok(lock) => Some((lock.header()?, lock)),
        Err(Error::NoLock(_)) => None,
        Err(error) => return Err(error),
    };
    if let Some((header, _)) = &present
        && header.instances == instances
    {
        return Err(Error::Exists(kind.lock()));
    }
    for number in 2..=instances {
        match make(&kind.instance(number), 1) {
            Ok(()) | Err(Error::Exists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    match present {
        None => make(kind, instances),
        Some((header, lock)) => lock.set_header(&Header {
            instances,
            ..header
        }),
    }
}

/// First the epoch, then the lock that has its identity. A death in between leaves an epoch that was
/// never used, to which the next try makes the lock.
fn make(kind: &Kind, instances: u32) -> Result<(), Error> {
    if kind.lock().symlink_metadata().is_ok() {
        return Err(Error::Exists(kind.lock()));
    }
    let path = kind.epoch();
    if epoch::read(&path)?.is_none() {
        let urandom = Path::new("/dev/urandom");
        let identity = new_identity().map_err(Error::io(urandom))?;
        place(kind, &epoch::fresh(&identity), &path)?;
    }
    let found = epoch::read(&path)?.ok_or_else(|| Error::EpochLost(path.clone()))?;
    if found.last > 0 {
        // Somebody else may have made it and used it since.
        return Err(match kind.lock().symlink_metadata() {
            Ok(_) => Error::Exists(kind.lock()),
            Err(_) => Error::LockLost(kind.lock()),
        });
    }
    let header = Header {
        identity: found.identity,
        instances,
    };
    match place(kind, header.to_string().as_bytes(), &kind.lock())? {
        true => Ok(()),
        false => Err(Error::Exists(kind.lock())),
    }
}

/// Makes a file, whole and on the disk, unless there is one of that name. True if it was made.
fn place(kind: &Kind, bytes: &[u8], path: &Path) -> Result<bool, Error> {
    let mut beside = kind.beside().into_os_string();
    beside.push(format!(".{}", std::process::id()));
    let beside = Path::new(&beside);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // A link, because a rename would replace what somebody else has just made.
        let linked = match std::fs::hard_link(beside, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            other => other.map(|()| true)?,
        };
        std::fs::remove_file(beside)?;
        File::open(kind.dir())?.sync_all()?;
        Ok(linked)
    };
    write().map_err(Error::io(path))
}
