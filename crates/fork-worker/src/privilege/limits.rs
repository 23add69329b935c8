//! Resource limits that the caller cannot have chosen.

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY as NONE, Resource, getrlimit, setrlimit};

const MANY: u64 = 4 << 30;
const DAYS: u64 = 7 * 86_400;

/// Each limit: soft, hard, and the least that the work needs where root may not raise what it
/// inherited (containers without CAP_SYS_RESOURCE). A limit on file size, say, would kill a program
/// between opening a file and filling it.
const LIMITS: [(Resource, u64, u64, u64); 11] = [
    (Resource::RLIMIT_CORE, 0, 0, 0),
    (Resource::RLIMIT_FSIZE, NONE, NONE, MANY),
    (Resource::RLIMIT_CPU, NONE, NONE, DAYS),
    (Resource::RLIMIT_DATA, NONE, NONE, MANY),
    (Resource::RLIMIT_AS, NONE, NONE, MANY),
    (Resource::RLIMIT_RSS, NONE, NONE, 0),
    // Nothing to root.
    (Resource::RLIMIT_NPROC, NONE, NONE, 0),
    (Resource::RLIMIT_LOCKS, NONE, NONE, 0),
    (Resource::RLIMIT_STACK, 8 << 20, NONE, 8 << 20),
    (Resource::RLIMIT_MEMLOCK, 8 << 20, 8 << 20, 0),
    // Soft as ever, for programs that use select; hard as service managers have it.
    (Resource::RLIMIT_NOFILE, 1024, 524_288, 4096),
];

pub(super) fn set() -> io::Result<()> {
    for (which, soft, hard, least) in LIMITS {
        one(which, soft, hard, least).map_err(|error| {
            let kind = error.kind();
            io::Error::new(kind, format!("{which:?}: {error}"))
        })?;
    }
    Ok(())
}

fn one(which: Resource, soft: u64, hard: u64, least: u64) -> io::Result<()> {
    match setrlimit(which, soft, hard) {
        Err(Errno::EPERM) => {}
        other => return Ok(other?),
    }
    let (_, inherited) = getrlimit(which)?;
    if inherited < least {
        let what = format!("is {inherited}, and nobody may raise it here");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(setrlimit(which, soft.min(inherited), inherited.min(hard))?)
}
