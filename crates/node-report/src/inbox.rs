//! The FIFO that wakes a waiter, and the bell that posters ring.
//!
//! `<directory>/<pid>`: opening it for writing without blocking is the only test of life
//! (ENXIO = nobody reads). The original made FIFOs on both sides, blocked for ever on a dead one and
//! lost what came between two opens (spec getadapter 10.2 to 10.6).

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::kill;
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Pid, mkfifoat};

use crate::private_dir::{DirError, PrivateDir, is_fifo};

/// What a poster writes: the original's frame header with length 0, "look now".
pub const BELL: &[u8; 8] = b"0       ";

/// A waiter's FIFO, open at both ends for the whole wait: poll never reports a hang-up and nothing
/// written between two posters is lost.
#[derive(Debug)]
pub(crate) struct Inbox {
    name: String,
    inode: u64,
    reader: File,
    _own_writer: File,
}

impl Inbox {
    /// Makes the FIFO under a hidden name, opens both ends, then renames it: whoever sees the name
    /// finds a reader. Whatever had the name belonged to a dead process with our pid.
    pub(crate) fn open(dir: &PrivateDir, pid: u32) -> Result<Inbox, DirError> {
        let (hidden, name) = (format!(".{pid}.new"), pid.to_string());
        let make = || -> Result<Inbox, Errno> {
            dir.remove(&hidden)?;
            mkfifoat(dir.as_fd(), hidden.as_str(), Mode::S_IRUSR | Mode::S_IWUSR)?;
            let reader = dir.open_file(&hidden, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0)?;
            let writer = dir.open_file(&hidden, OFlag::O_WRONLY | OFlag::O_NONBLOCK, 0)?;
            dir.rename(&hidden, dir, &name)?;
            let inode = fstat(&reader)?.st_ino;
            Ok(Inbox {
                name: name.clone(),
                inode,
                reader,
                _own_writer: writer,
            })
        };
        make().map_err(|why| dir.error(&name, why))
    }

    /// Reads what has come, without blocking.
    pub(crate) fn drain(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut chunk = [0; 65_536];
        loop {
            match self.reader.read(&mut chunk) {
                Ok(0) => return all,
                Ok(n) => all.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return all,
            }
        }
    }

    /// True if the name still leads to this FIFO. Somebody who cleans `/var/run` removes it, and then
    /// others would take us for dead.
    pub(crate) fn in_place(&self, dir: &PrivateDir) -> bool {
        dir.stat(&self.name)
            .is_ok_and(|stat| stat.st_ino == self.inode)
    }

    /// Takes the name away; from now on posters find nobody.
    pub(crate) fn close(&self, dir: &PrivateDir) -> Result<(), Errno> {
        if self.in_place(dir) {
            dir.remove(&self.name)
        } else {
            Ok(())
        }
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// True if a living process reads the FIFO of `pid`.
pub fn alive(dir: &PrivateDir, pid: u32) -> bool {
    open_bell(dir, &pid.to_string()).is_some()
}

/// Rings every waiter of ours in the directory and says how many heard it. No table is asked: each
/// waiter looks by itself what concerns it. A FIFO that is full has bells enough.
pub fn ring(dir: &PrivateDir) -> Result<usize, DirError> {
    let mut bells = bells(dir)?;
    for bell in &mut bells {
        let _ = bell.write(BELL);
    }
    Ok(bells.len())
}

/// True if a waiter of ours lives on this host.
pub fn anybody(dir: &PrivateDir) -> Result<bool, DirError> {
    Ok(!bells(dir)?.is_empty())
}

/// Removes FIFOs that nobody reads and half-made ones of processes that are gone.
pub fn sweep(dir: &PrivateDir) -> Result<(), DirError> {
    for name in dir.names()? {
        let half_made = name
            .strip_prefix('.')
            .and_then(|rest| rest.strip_suffix(".new"));
        let dead = match half_made {
            Some(pid) => pid
                .parse::<i32>()
                .is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)),
            None => {
                name.parse::<u32>().is_ok()
                    && dir.stat(&name).is_ok_and(|stat| is_fifo(&stat))
                    && open_bell(dir, &name).is_none()
            }
        };
        if dead {
            dir.remove(&name).map_err(|why| dir.error(&name, why))?;
        }
    }
    Ok(())
}

fn bells(dir: &PrivateDir) -> Result<Vec<File>, DirError> {
    // A FIFO of the Perl era has another mode, and its reader takes an empty frame for an error.
    let ours = |name: &String| {
        name.parse::<u32>().is_ok()
            && dir
                .stat(name)
                .is_ok_and(|stat| is_fifo(&stat) && stat.st_mode & 0o777 == 0o600)
    };
    Ok(dir
        .names()?
        .iter()
        .filter(|name| ours(name))
        .filter_map(|name| open_bell(dir, name))
        .collect())
}

fn open_bell(dir: &PrivateDir, name: &str) -> Option<File> {
    let file = dir
        .open_file(name, OFlag::O_WRONLY | OFlag::O_NONBLOCK, 0)
        .ok()?;
    // A regular file of that name would open too.
    fstat(&file)
        .is_ok_and(|stat| is_fifo(&stat))
        .then_some(file)
}
