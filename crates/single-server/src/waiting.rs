//! Standing in line for the lock, for a program that is its own server.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use fork_worker::{Crew, Event, Limits};

use crate::engine::{Heard, Seat};
use crate::error::Error;
use crate::flock::Place;
use crate::held::Held;
use crate::kind::Kind;

/// A place in the kernel's queue for the lock. A forked process waits, so that this one stays free to
/// poll other things. Dropping this leaves the queue.
#[derive(Debug)]
pub struct Waiting {
    kind: Kind,
    place: Option<Place>,
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
            place: None,
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
        if self.place.is_none() {
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
            let Some(mut place) = self.place.take() else {
                continue;
            };
            match place.hear(&event.what)? {
                Heard::Nothing => self.place = Some(place),
                Heard::Granted(_) => waited.held = place.held,
                Heard::Again => self.line_up()?,
                Heard::Lost(why) => return Err(Error::Waiter { path, why }),
            }
        }
        Ok(waited)
    }

    fn line_up(&mut self) -> Result<(), Error> {
        let (place, job) = Place::new(self.kind.clone())?;
        self.waiter.start((), job);
        self.place = Some(place);
        // It queues now, not at the first wait; what it says at once is for that wait.
        let path = self.kind.lock();
        self.early = self.waiter.pump().map_err(Error::io(&path))?.events;
        Ok(())
    }
}
