//! Takes all rights from a child that talks to strangers, before it reads their first byte.
//!
//! What stays: the descriptors that it has, memory, a little processor time. It opens nothing, forks
//! nothing, writes no file, gains no privilege, leaves no core and cannot be traced by its new user.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::unistd::{Gid, Uid, geteuid, getppid, setgroups, setresgid, setresuid};

use crate::child::die_with;
use crate::inherited::open_standard_streams;

/// How a child is confined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// Becomes this user.
    pub user: u32,
    /// And this group, with no others.
    pub group: u32,
    /// Processor time that it may still use, rounded up to seconds.
    pub cpu: Duration,
    /// Address space that it may still take, in bytes.
    pub memory: u64,
}

/// What became of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// It is the given user, for good.
    Dropped,
    /// We were not root: there was nothing to drop.
    Unprivileged,
    /// In a user namespace that knows a single user there is no other to become.
    OnlyOne,
}

impl Confinement {
    /// Confines this process; there is no way back. For children of a [`Crew`](crate::Crew), as the
    /// first thing that they do.
    ///
    /// # Errors
    /// Whatever could not be taken away: then the child must end, and it is half confined.
    pub fn enter(&self) -> io::Result<Ids> {
        let parent = getppid();
        // Everything that needs a descriptor comes before the limit on them.
        open_standard_streams()?;
        let taken = address_space()?;
        let only_one = knows_one_user(&std::fs::read_to_string("/proc/self/uid_map")?);
        prctl::set_no_new_privs()?;
        let ids = self.change_ids(only_one)?;
        // A change of user clears the parent-death signal, and sets dumpable to the system's default.
        die_with(parent)?;
        prctl::set_dumpable(false)?;
        let memory = taken.saturating_add(self.memory);
        limit(Resource::RLIMIT_AS, memory)?;
        limit(
            Resource::RLIMIT_CPU,
            used()?.saturating_add(whole_seconds(self.cpu)),
        )?;
        limit(Resource::RLIMIT_CORE, 0)?;
        limit(Resource::RLIMIT_FSIZE, 0)?;
        limit(Resource::RLIMIT_NPROC, 0)?;
        // The lowest free number: the next open, dup or accept fails. Not 0, because poll refuses more
        // descriptors than the limit.
        limit(Resource::RLIMIT_NOFILE, lowest_free()?)?;
        Ok(ids)
    }

    fn change_ids(&self, only_one: bool) -> io::Result<Ids> {
        if !geteuid().is_root() {
            return Ok(Ids::Unprivileged);
        }
        if self.user == 0 || self.group == 0 {
            let what = "root is no user to confine a process to";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        if only_one {
            return Ok(Ids::OnlyOne);
        }
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
        let root = Uid::from_raw(0);
        // Believed only when the way back is closed.
        if setresuid(root, root, root).is_ok() || setresgid(0.into(), 0.into(), 0.into()).is_ok() {
            return Err(io::Error::other(
                "root's rights came back after they were dropped",
            ));
        }
        Ok(Ids::Dropped)
    }
}

impl Default for Confinement {
    /// User and group 65534 (nobody), 10 seconds of processor time, 64 MiB more memory: a TLS
    /// handshake and a report of the largest size take a fraction of each.
    fn default() -> Confinement {
        Confinement {
            user: 65534,
            group: 65534,
            cpu: Duration::from_secs(10),
            memory: 64 << 20,
        }
    }
}

/// True if the map (lines of `inside outside count`) has one user in all.
fn knows_one_user(map: &str) -> bool {
    let counts = map.lines().map(|line| {
        let count = line.split_whitespace().nth(2);
        count
            .and_then(|count| count.parse::<u64>().ok())
            .unwrap_or(0)
    });
    counts.fold(0, u64::saturating_add) == 1
}

/// Address space in use, in bytes.
fn address_space() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib.saturating_mul(1024))
        .ok_or_else(|| io::Error::other("/proc/self/status: no VmSize"))
}

/// Processor time used so far, in seconds: the limit counts from the start of the process.
fn used() -> io::Result<u64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = usage.user_time().tv_sec() + usage.system_time().tv_sec();
    Ok(u64::try_from(seconds).unwrap_or(0))
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn lowest_free() -> io::Result<u64> {
    let stdin = std::io::stdin();
    // Closed again at once; what counts is which number it got.
    let free = stdin.as_fd().try_clone_to_owned()?;
    Ok(u64::try_from(free.as_raw_fd()).unwrap_or(3))
}

/// Soft and hard, but never more than the hard limit already is.
fn limit(which: Resource, value: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(which)?;
    let value = value.min(hard);
    setrlimit(which, value, value)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::knows_one_user;

    #[test]
    fn maps_are_counted() {
        assert!(knows_one_user("         0       1000          1\n"));
        assert!(!knows_one_user("         0          0 4294967295\n"));
        assert!(!knows_one_user("0 1000 1\n1 100000 65536\n"));
        assert!(!knows_one_user("0 1000 1\n1 1001 18446744073709551615\n"));
        assert!(!knows_one_user(""));
        assert!(!knows_one_user("0 0 x\n"));
    }
}
