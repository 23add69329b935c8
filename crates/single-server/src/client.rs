//! Those who want to know where the server is. Nothing here waits for a server or a supervisor: the
//! state is read, and events come to a FIFO of the client's own.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::board::Board;
use crate::engine::{Engine, LockAt, Seen};
use crate::error::Error;
use crate::event::{Event, What};
use crate::fifo::Fifo;

/// How often the state is looked at, beside the events.
const LOOK: Duration = Duration::from_secs(1);

/// The state of each instance: as this host's supervisor knows it, else as the lock says.
///
/// # Errors
/// If there is no supervisor here and the lock cannot be seen.
pub fn current(name: &str, lock: &LockAt) -> Result<Vec<Event>, Error> {
    let board = Board::open(name)?;
    if board.supervisor()?.is_held()? {
        let state = board.state();
        // A supervisor that is stopped says what was.
        return match lock {
            LockAt::Directory(_) => {
                let seen = lock.engine(name)?.look()?;
                Ok(state
                    .into_iter()
                    .filter(|event| is_newest(event, &seen))
                    .collect())
            }
            LockAt::Database(_) => Ok(state),
        };
    }
    Ok(seen_events(name, &lock.engine(name)?.look()?))
}

/// A subscription to the events of a kind.
#[derive(Debug)]
pub struct Watch {
    name: String,
    board: Board,
    own: String,
    inbox: Fifo,
    partial: Vec<u8>,
    engine: Box<dyn Engine>,
    last: BTreeMap<u32, Event>,
    pending: VecDeque<Event>,
    look: Instant,
}

impl Watch {
    /// Subscribes first and looks at the state then, so that nothing happens in between. Its first
    /// events are the state.
    ///
    /// # Errors
    /// If this host's directory cannot be used.
    pub fn new(name: &str, lock: &LockAt) -> Result<Watch, Error> {
        let board = Board::open(name)?;
        let own = format!("watch.{}", std::process::id());
        let inbox = Fifo::open(&board.events, &own)?;
        Ok(Watch {
            name: name.into(),
            engine: lock.engine(name)?,
            board,
            own,
            inbox,
            partial: Vec::new(),
            last: BTreeMap::new(),
            pending: VecDeque::new(),
            look: Instant::now(),
        })
    }

    /// The next event, or None after `timeout` or when `other` can be read. Epochs of an instance
    /// never go back. A lock that cannot be seen any more makes its server suspect, until it can.
    ///
    /// # Errors
    /// If there is no supervisor here and the lock could not be seen from the beginning.
    pub fn next(
        &mut self,
        other: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> Result<Option<Event>, Error> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            self.take_in();
            let now = Instant::now();
            if self.pending.is_empty() && self.look <= now {
                self.look = now + LOOK;
                match self.level() {
                    Ok(events) => events.into_iter().for_each(|event| self.accept(event)),
                    // It was there: who follows an address waits until it is again.
                    Err(error) if !self.last.is_empty() => self.suspect(&error),
                    Err(error) => return Err(error),
                }
            }
            if let Some(event) = self.pending.pop_front() {
                return Ok(Some(event));
            }
            let due = until.map_or(self.look, |until| until.min(self.look));
            let mut polled = vec![PollFd::new(self.inbox.as_fd(), PollFlags::POLLIN)];
            polled.extend(other.map(|other| PollFd::new(other, PollFlags::POLLIN)));
            let left = due.saturating_duration_since(now) + Duration::from_millis(1);
            match poll(
                &mut polled,
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            ) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => {
                    let name = self.name.clone();
                    return Err(Error::Supervisor(name, error.into()));
                }
            }
            let called = polled.get(1).and_then(PollFd::any).unwrap_or(false);
            if called || until.is_some_and(|until| until <= Instant::now()) {
                self.take_in();
                return Ok(self.pending.pop_front());
            }
        }
    }

    /// What the FIFO has.
    fn take_in(&mut self) {
        self.partial.extend(self.inbox.drain());
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let rest = self.partial.split_off(end + 1);
            let line = std::mem::replace(&mut self.partial, rest);
            let line = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            if let Some(event) = Event::parse(&line) {
                self.accept(event);
            }
        }
    }

    /// The state, for what no event told: there is no supervisor here, or it has not begun to tell us.
    fn level(&mut self) -> Result<Vec<Event>, Error> {
        // Somebody who cleans up takes us for dead.
        if !self.inbox.in_place(&self.board.events) {
            self.inbox = Fifo::open(&self.board.events, &self.own)?;
        }
        let alive = self.board.supervisor()?.is_held()?;
        let state = match alive {
            true => self.board.state(),
            false => seen_events(&self.name, &self.engine.look()?),
        };
        let unknown = |event: &Event| {
            let last = self.last.get(&event.instance);
            last.is_none_or(|last| (last.event, last.epoch) != (event.event, event.epoch))
        };
        Ok(state.into_iter().filter(unknown).collect())
    }

    /// Says of each server that is thought to be there that nobody can tell.
    fn suspect(&mut self, why: &Error) {
        let there = |event: &&Event| matches!(event.event, What::Ready | What::Starting);
        let doubtful = self.last.values().filter(there).map(|event| Event {
            event: What::Suspect,
            address: None,
            reason: Some(why.to_string()),
            ..event.clone()
        });
        for event in doubtful.collect::<Vec<_>>() {
            self.accept(event);
        }
    }

    fn accept(&mut self, event: Event) {
        let aside = matches!(event.event, What::Waiting | What::Reloaded);
        let last = self.last.get(&event.instance);
        if !aside && last.is_some_and(|last| event.epoch < last.epoch && event.epoch > 0) {
            return;
        }
        if !aside {
            self.last.insert(event.instance, event.clone());
        }
        self.pending.push_back(event);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.inbox.close(&self.board.events);
    }
}

/// What the lock says, as events that nobody has sent.
fn seen_events(name: &str, seen: &Seen) -> Vec<Event> {
    let instances = (1..).zip(&seen.instances);
    let known = instances.filter(|(_, instance)| instance.epoch > 0);
    let events = known.map(|(number, instance)| Event {
        event: match (&instance.address, instance.held) {
            (Some(_), true) => What::Ready,
            (None, true) => What::Starting,
            (_, false) => What::Lost,
        },
        kind: name.into(),
        instance: number,
        epoch: instance.epoch,
        seq: 0,
        host: instance
            .address
            .as_ref()
            .map_or(String::new(), |(_, host)| host.clone()),
        pid: 0,
        since: 0,
        address: instance
            .address
            .as_ref()
            .map(|(address, _)| address.clone()),
        reason: None,
        resync: false,
    });
    events.collect()
}

fn is_newest(event: &Event, seen: &Seen) -> bool {
    let number = usize::try_from(event.instance).unwrap_or(0);
    let instance = number.checked_sub(1).and_then(|at| seen.instances.get(at));
    instance.is_some_and(|instance| event.epoch >= instance.epoch)
}
