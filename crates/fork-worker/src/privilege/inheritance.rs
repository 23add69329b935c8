//! What came through exec, put to a known state.
#![allow(unsafe_code)] // Closing by number, clearing the environment and signals have no safe form.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::{Mode, umask};

use super::{limits, priorities};
use crate::child::forget_signals;
use crate::descriptors::close_all_but;

/// Removes every variable, so that no library finds one; and no child, whatever starts it.
pub fn clear_environment() {
    // SAFETY: the program has one thread and holds no pointer into its environment.
    unsafe { libc::clearenv() };
}

/// Closes all descriptors above 2 but `keep`; then umask 077, limits, signals (default, none blocked,
/// none pending; SIGPIPE ignored), timers, working directory `/`, priorities; and nobody but root may
/// look into this process or get its core. Standard streams are to be open already.
///
/// # Errors
/// What could not be set, with its name: then nothing should be done.
pub fn settle(keep: Option<&OwnedFd>) -> io::Result<()> {
    let keep: Vec<_> = keep.iter().map(|fd| fd.as_raw_fd()).collect();
    close_all_but(&keep).map_err(|error| named("descriptors", error))?;
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    limits::set().map_err(|error| named("limits", error))?;
    settle_signals().map_err(|error| named("signals", error))?;
    std::env::set_current_dir("/").map_err(|error| named("/", error))?;
    priorities::reset().map_err(|error| named("priorities", error))?;
    // After the files of /proc/self: they are not ours any more.
    Ok(prctl::set_dumpable(false)?)
}

fn settle_signals() -> io::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None)?;
    priorities::stop_timers()?;
    prctl::set_pdeathsig(None)?;
    forget_signals();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

fn named(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
