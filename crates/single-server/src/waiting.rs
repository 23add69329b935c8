//! Standing in line for the lock.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use fork_worker::{Crew, Event, Job, Limits, What};

use crate::error::Error;
use crate::held::Held;
use crate::kind::Kind;
use crate::lock::Lock;

/// A place in the kernel's queue for the lock. A forked process blocks in flock on the same open
/// file, so that when it is granted we have it too; its end is the grant, and this process stays free
/// to poll other things. Dropping this leaves the queue.
#[derive(Debug)]
pub struct Waiting {
    kind: Kind,
    lock: Option<Lock>,
    waiter: Crew<()>,
    early: Vec<Event<()>>,
}

/// What [`Waiting::wait`] found.
#[derive(Debug)]
pub struct Waited {
    /// We are the one now. Afterwards there is nothing more to wait for.
    pub held: Option<Held>,
    /// Which of the caller's descriptors can be read, as indices.
    pub readable: Vec<usize>,
}

impl Waiting {
    pub(crate) fn new(kind: Kind) -> Result<Waiting, Error> {
        let mut waiting = Waiting {
            kind,
            lock: None,
            waiter: Crew::new(Limits::fanout(1)),
            early: Vec::new(),
        };
        waiting.line_up()?;
        Ok(waiting)
    }

    /// Sleeps until the lock is ours, one of `others` can be read, or `timeout` has passed (None: no
    /// limit). The place in the queue is kept from one call to the next.
    ///
    /// # Errors
    /// If the waiting process fails, the files cannot be used, or the epoch is lost. Another call
    /// then queues again, at the end.
    pub fn wait(
        &mut self,
        others: &[BorrowedFd<'_>],
        timeout: Option<Duration>,
    ) -> Result<Waited, Error> {
        if self.lock.is_none() {
            self.line_up()?;
        }
        let path = self.kind.lock();
        let mut waited = Waited {
            held: None,
            readable: Vec::new(),
        };
        let mut events = std::mem::take(&mut self.early);
        if events.is_empty() {
            let ready = self.waiter.wait(others, timeout);
            let ready = ready.map_err(Error::io(&path))?;
            waited.readable = ready.readable;
            events = ready.events;
        }
        for event in events {
            let What::Ended(outcome) = event.what else {
                continue;
            };
            let lock = self.lock.take();
            if let Err(failure) = outcome {
                return Err(Error::Waiter { path, failure });
            }
            match lock {
                Some(lock) if lock.is_current()? => {
                    waited.held = Some(Held::begin(self.kind.clone(), lock)?);
                }
                // The file was replaced while we stood in line: another line counts now.
                _ => self.line_up()?,
            }
        }
        Ok(waited)
    }

    fn line_up(&mut self) -> Result<(), Error> {
        let lock = Lock::open(&self.kind.lock())?;
        let copy = lock.copy()?;
        let number = copy.as_raw_fd();
        let job = Job::new(move |_| {
            loop {
                match copy.lock() {
                    Ok(()) => return Ok(String::new()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        });
        self.waiter.start((), job.keep(number));
        self.lock = Some(lock);
        // It queues now, not at the first wait; what it says at once is for that wait.
        let path = self.kind.lock();
        self.early = self.waiter.pump().map_err(Error::io(&path))?.events;
        Ok(())
    }
}
