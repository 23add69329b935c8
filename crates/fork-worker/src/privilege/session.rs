//! A program in a session of its own, and this process beside it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};

use crate::command::{Image, Place, Start, reap, spawn};

/// What to run.
#[derive(Debug)]
pub struct Errand {
    /// An absolute path.
    pub program: PathBuf,
    /// Its arguments, without the name.
    pub args: Vec<OsString>,
    /// All of its environment.
    pub env: Vec<(OsString, OsString)>,
    /// Becomes its descriptor 3; it gets no other but 0 (`/dev/null`), 1 and 2.
    pub pipe: Option<OwnedFd>,
    /// It gets root's ids, all of them, and no other groups: half of them is what shells take back and
    /// ssh looks at. This process must have root's effective id; its real one stays, so that the user
    /// may still signal it.
    pub root: bool,
    /// Its standard output goes to `/dev/null`, not to ours.
    pub quiet: bool,
}

/// Runs it to its end in a session of its own, where no terminal reaches it: nobody who can stop or
/// kill this process holds it up half-way. HUP, INT, QUIT and TERM, sent to this process, reach it as
/// TERM, so that it can end in good order.
///
/// # Errors
/// If it cannot be started, with its name; else what the system said.
pub fn run(errand: Errand) -> io::Result<ExitStatus> {
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("{}: {error}", errand.program.display()),
        )
    };
    let env: Vec<_> = errand
        .env
        .iter()
        .map(|(name, value)| (name.clone(), Some(value.clone())))
        .collect();
    let image = Image::new(&errand.program, &errand.args, &env, true)?;
    let null = crate::descriptors::above_2(File::open("/dev/null")?.into())?;
    let err = io::stderr().as_fd().try_clone_to_owned()?;
    let out = match errand.quiet {
        true => null.try_clone()?,
        false => io::stdout().as_fd().try_clone_to_owned()?,
    };
    let awaited = awaited();
    // Before it starts: none of them may come unseen.
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&awaited), None)?;
    let child = spawn(Start {
        image: &image,
        streams: [null.as_fd(), out.as_fd(), err.as_fd()],
        fourth: errand.pipe.as_ref().map(AsFd::as_fd),
        heirlooms: &[],
        place: Place::Session { root: errand.root },
    })
    .map_err(named)?;
    // The other writer: its reader waits for the end of that.
    drop(errand.pipe);
    loop {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        if waitid(Id::Pid(child), flags)? != WaitStatus::StillAlive {
            return Ok(ExitStatus::from_raw(reap(child)?));
        }
        if awaited.wait()? != Signal::SIGCHLD {
            // Not reaped yet, so the number is still its own.
            let _ = kill(child, Signal::SIGTERM);
        }
    }
}

fn awaited() -> SigSet {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
    ] {
        set.add(signal);
    }
    set
}
