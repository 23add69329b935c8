//! Feeds and drains a program at the same time, so that neither side can wait for the other, and
//! ends its group when its time is over.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::{Finished, Spec};
use crate::clock::{earlier, later, sleep_until};
use crate::descriptors::{pidfd, set_nonblocking};

/// How often to look for the end where the kernel has no descriptor for it (before 5.3).
const LOOK: Duration = Duration::from_millis(50);

/// Read from a stream at a time, in 16 KiB: an endless writer must not keep us from the clock.
const CHUNKS: usize = 16;
/// And after the end, when a pipe of any size (1 MiB) may be full.
const LAST_CHUNKS: usize = 128;

/// A running program and the pipes to it.
pub(crate) struct Watch<'spec> {
    leader: Pid,
    spec: &'spec Spec,
    feed: Option<File>,
    fed: usize,
    out: Stream,
    err: Stream,
    /// Readable once the leader has ended.
    end: Option<OwnedFd>,
    due: Option<Instant>,
    asked: bool,
}

struct Stream {
    file: Option<File>,
    kept: Vec<u8>,
    limit: usize,
    dropped: bool,
}

impl<'spec> Watch<'spec> {
    pub(crate) fn new(
        leader: Pid,
        spec: &'spec Spec,
        feed: OwnedFd,
        out: OwnedFd,
        err: OwnedFd,
    ) -> Watch<'spec> {
        Watch {
            leader,
            spec,
            feed: Some(feed.into()),
            fed: 0,
            out: Stream::new(out, spec.output_limit),
            err: Stream::new(err, spec.output_limit),
            end: pidfd(leader),
            due: later(Instant::now(), spec.deadline),
            asked: false,
        }
    }

    /// Returns when the leader has ended and all that it said has been read. It is left unreaped, so
    /// that its group's number cannot become somebody else's before the last signal.
    pub(crate) fn until_ended(&mut self) -> io::Result<()> {
        let files = [&self.feed, &self.out.file, &self.err.file];
        for file in files.into_iter().flatten() {
            set_nonblocking(file)?;
        }
        self.feed();
        loop {
            if has_ended(self.leader)? {
                if self.asked {
                    // Those of its group that did not follow it.
                    self.kill();
                }
                self.out.drain(LAST_CHUNKS);
                self.err.drain(LAST_CHUNKS);
                return Ok(());
            }
            let now = Instant::now();
            if self.due.is_some_and(|due| due <= now) {
                self.end_it(now);
            }
            self.sleep(now)?;
            self.feed();
            self.out.drain(CHUNKS);
            self.err.drain(CHUNKS);
        }
    }

    /// KILL for the whole group.
    pub(crate) fn kill(&mut self) {
        let _ = killpg(self.leader, Signal::SIGKILL);
    }

    pub(crate) fn finished(self, status: ExitStatus) -> Finished {
        Finished {
            status,
            stdout: self.out.kept,
            stderr: self.err.kept,
            timed_out: self.asked,
            truncated: self.out.dropped || self.err.dropped,
        }
    }

    fn end_it(&mut self, now: Instant) {
        if self.asked {
            self.kill();
            self.due = None;
            return;
        }
        self.asked = true;
        let _ = killpg(self.leader, Signal::SIGTERM);
        // Stopped processes get TERM only when they go on.
        let _ = killpg(self.leader, Signal::SIGCONT);
        self.due = later(now, self.spec.grace);
    }

    fn sleep(&self, now: Instant) -> io::Result<()> {
        let reads = [&self.out.file, &self.err.file];
        let reads = reads.into_iter().flatten().map(AsFd::as_fd);
        let reads = reads.chain(self.end.as_ref().map(AsFd::as_fd));
        let writes = self.feed.as_ref().map(AsFd::as_fd);
        let mut polled: Vec<PollFd> = reads
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .chain(writes.map(|fd| PollFd::new(fd, PollFlags::POLLOUT)))
            .collect();
        let look = match self.end {
            Some(_) => None,
            None => later(now, LOOK),
        };
        match poll(&mut polled, sleep_until(earlier(self.due, look), now)) {
            // Whatever came is found by trying.
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn feed(&mut self) {
        while let Some(file) = &mut self.feed {
            let rest = self.spec.stdin.get(self.fed..).unwrap_or_default();
            if rest.is_empty() {
                self.feed = None;
                return;
            }
            match file.write(rest) {
                Ok(count) => self.fed += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It does not want to read: its right.
                Err(_) => self.feed = None,
            }
        }
    }
}

impl Stream {
    fn new(fd: OwnedFd, limit: usize) -> Stream {
        Stream {
            file: Some(fd.into()),
            kept: Vec::new(),
            limit,
            dropped: false,
        }
    }

    /// Reads what is there, but no more than so many chunks.
    fn drain(&mut self, chunks: usize) {
        let mut chunk = [0; 16 << 10];
        for _ in 0..chunks {
            let Some(file) = &mut self.file else {
                return;
            };
            match file.read(&mut chunk) {
                Ok(0) => self.file = None,
                Ok(count) => {
                    let room = self.limit.saturating_sub(self.kept.len()).min(count);
                    self.kept.extend_from_slice(&chunk[..room]);
                    self.dropped |= room < count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.file = None,
            }
        }
    }
}

/// True if it has ended; its status stays to be taken.
pub(super) fn has_ended(leader: Pid) -> io::Result<bool> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    loop {
        match waitid(Id::Pid(leader), flags) {
            Ok(WaitStatus::StillAlive) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
