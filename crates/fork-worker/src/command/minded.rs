//! A program that is watched for as long as it runs: a server.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::watch::has_ended;
use super::{Image, Place, Spec, Start, named, reap, spawn_noted};
use crate::descriptors::{above_2, pidfd};

/// A running program: our child, and leader of a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Minded {
    leader: Pid,
    /// Readable once the leader has ended; None before kernel 5.3.
    end: Option<OwnedFd>,
    status: Option<ExitStatus>,
}

/// Starts a program with our standard output and error, with `fourth` as its descriptor 3, and with the
/// `heirlooms`, descriptors above 3 that it gets under their own numbers. Of `spec` only program, arguments and environment count.
/// With `dies_with_us` the kernel kills it when this process ends, however that happens.
/// `note` is told its process number before the program begins: what it writes down is there whatever the
/// program does, and whenever this process is killed.
///
/// # Errors
/// As [`run`](super::run); `InvalidInput` for a descriptor that is too low.
pub fn mind(
    spec: &Spec,
    fourth: Option<BorrowedFd<'_>>,
    heirlooms: &[BorrowedFd<'_>],
    dies_with_us: bool,
    note: &mut dyn FnMut(i32),
) -> io::Result<Minded> {
    let image = Image::new(&spec.program, &spec.args, &spec.env, spec.env_clear)?;
    let null = above_2(File::open("/dev/null")?.into())?;
    let out = above_2(io::stdout().as_fd().try_clone_to_owned()?)?;
    let err = above_2(io::stderr().as_fd().try_clone_to_owned()?)?;
    let start = Start {
        image: &image,
        streams: [null.as_fd(), out.as_fd(), err.as_fd()],
        fourth,
        heirlooms,
        place: match dies_with_us {
            true => Place::Group,
            false => Place::Session { root: false },
        },
    };
    let leader = spawn_noted(start, Some(&mut |pid: Pid| note(pid.as_raw())))
        .map_err(|error| named(spec, error))?;
    Ok(Minded {
        leader,
        end: pidfd(leader),
        status: None,
    })
}

impl Minded {
    /// Its process number, and its group's.
    pub fn pid(&self) -> i32 {
        self.leader.as_raw()
    }

    /// A descriptor that becomes readable when it has ended; None on kernels before 5.3, where one has
    /// to look.
    pub fn end(&self) -> Option<BorrowedFd<'_>> {
        self.end.as_ref().map(AsFd::as_fd)
    }

    /// How it ended; None while it runs. Whoever is left of its group is killed first: until then its
    /// number cannot be another group's.
    ///
    /// # Errors
    /// If the status cannot be had.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() && has_ended(self.leader)? {
            let _ = killpg(self.leader, Signal::SIGKILL);
            self.status = Some(ExitStatus::from_raw(reap(self.leader)?));
        }
        Ok(self.status)
    }

    /// Sends a signal to its group, if it has not ended.
    pub fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            let _ = killpg(self.leader, signal);
        }
    }
}

impl Drop for Minded {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.signal(Signal::SIGKILL);
            let _ = reap(self.leader);
        }
    }
}
