//! The writing end of the pipe: never in the way of the work.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::line::Line;

/// Bytes of lines that wait for a slow reader before notes are dropped. Results never are.
const BACKLOG: usize = 4 << 20;

/// Lines on their way to a reader that may be slow, stopped or gone.
#[derive(Debug)]
pub(crate) struct Outlet {
    pipe: Option<File>,
    waiting: VecDeque<u8>,
    /// The reader knows whys and notes.
    more: bool,
}

impl Outlet {
    /// Over the writing end of a pipe that nobody else writes to.
    pub(crate) fn new(pipe: OwnedFd, more: bool) -> io::Result<Outlet> {
        let flags = OFlag::from_bits_retain(fcntl(pipe.as_fd(), FcntlArg::F_GETFL)?);
        fcntl(pipe.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Outlet {
            pipe: Some(pipe.into()),
            waiting: VecDeque::new(),
            more,
        })
    }

    /// Hands a line over, now or later.
    pub(crate) fn say(&mut self, line: &Line) {
        let note = matches!(line, Line::Note(_));
        if self.pipe.is_none() || (note && self.waiting.len() > BACKLOG) {
            return;
        }
        if let Some(text) = line.encode(self.more) {
            self.waiting.extend(text.bytes());
            self.push();
        }
    }

    /// Writes what the pipe takes.
    pub(crate) fn push(&mut self) {
        while !self.waiting.is_empty() {
            let Some(pipe) = &mut self.pipe else {
                return self.waiting.clear();
            };
            let (front, _) = self.waiting.as_slices();
            match pipe.write(front) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Nobody listens; the work goes on.
                Err(_) => self.pipe = None,
            }
        }
    }

    /// True if the reader has not taken everything.
    pub(crate) fn is_behind(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// As [`Outlet::drain`], for no longer than `limit`: for a reader who may not mean well.
    pub(crate) fn drain_for(mut self, limit: Duration) {
        let end = Instant::now() + limit;
        self.push();
        while self.is_behind() {
            let left = end.saturating_duration_since(Instant::now());
            let (Some(pipe), false) = (&self.pipe, left.is_zero()) else {
                return;
            };
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
            match poll(&mut polled, left) {
                Ok(_) | Err(Errno::EINTR) => self.push(),
                Err(_) => return,
            }
        }
    }

    /// Waits until the reader has everything or is gone. For the end, when nothing else is to do.
    pub(crate) fn drain(&mut self) {
        self.push();
        while self.is_behind() {
            if let Some(pipe) = &self.pipe {
                let mut polled = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
                match poll(&mut polled, PollTimeout::NONE) {
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(_) => return,
                }
            }
            self.push();
        }
    }
}
