//! The FIFO that wakes a waiter, and the bell that posters ring.
//!
//! `<directory>/<pid>`: opening it for writing without blocking is the only test of life
//! (ENXIO = nobody reads). The original made FIFOs on both sides, blocked for ever on a dead one and
//! lost what came between two opens (spec getadapter 10.2 to 10.6).

use std::fs::File;
use std::io::Write;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use single_server::{DirError, Fifo, PrivateDir, is_fifo};

/// What a poster writes: the original's frame header with length 0, "look now".
pub const BELL: &[u8; 8] = b"0       ";

/// True if a living process reads the FIFO of `pid`.
pub fn alive(dir: &PrivateDir, pid: u32) -> bool {
    Fifo::writer(dir, &pid.to_string()).is_some()
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
                    && Fifo::writer(dir, &name).is_none()
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
        .filter_map(|name| Fifo::writer(dir, name))
        .collect())
}
