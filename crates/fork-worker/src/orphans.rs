//! Processes that a program of ours left behind.

use std::io;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// From its making on, descendants whose parents have died become children of this process, also those
/// that started a session of their own: none of them can get away from [`Orphans::sweep`].
#[derive(Debug)]
pub struct Orphans(());

impl Orphans {
    /// Adopts them for the rest of this process' life.
    ///
    /// # Errors
    /// If the kernel cannot do it.
    pub fn adopt() -> io::Result<Orphans> {
        prctl::set_child_subreaper(true)?;
        Ok(Orphans(()))
    }

    /// Takes the statuses of those that have ended, and kills the others if wanted. `ours` are the
    /// children that are no orphans. How many still lived.
    ///
    /// # Errors
    /// If the children cannot be listed.
    pub fn sweep(&self, ours: &[i32], to_kill: bool) -> io::Result<usize> {
        let mut living = 0;
        for pid in children()?.into_iter().filter(|pid| !ours.contains(pid)) {
            let pid = Pid::from_raw(pid);
            match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => {
                    living += 1;
                    if to_kill {
                        // Not reaped, so the number is still its own.
                        let _ = kill(pid, Signal::SIGKILL);
                    }
                }
                Ok(_) | Err(Errno::ECHILD | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(living)
    }
}

/// All children of this process, which has one thread.
fn children() -> io::Result<Vec<i32>> {
    let me = std::process::id();
    let listed = std::fs::read_to_string(format!("/proc/self/task/{me}/children"));
    if let Ok(listed) = listed {
        let pids = listed.split_whitespace().map(str::parse);
        return Ok(pids.filter_map(Result::ok).collect());
    }
    // A kernel without that file: by the parent in everybody's status.
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // After the program's name, which may hold anything: state, parent.
        let parent = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.split(' ').nth(1));
        if parent.and_then(|parent| parent.parse().ok()) == Some(me) {
            found.push(pid);
        }
    }
    Ok(found)
}
