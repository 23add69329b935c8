//! The children of one piece of work.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{Pid, getpid};

use crate::child::keep_child_statuses;
use crate::clock::{earlier, later, sleep_until};
use crate::job::{Job, Limits};
use crate::launch::{is_crowded, launch, room_for_pipes};
use crate::outcome::{ChildId, Event, Failure, What};
use crate::running::Running;

/// Forks in a row before the running children are looked at again.
const STARTS_IN_A_ROW: usize = 64;

/// What [`Crew::wait`] found.
#[derive(Debug)]
pub struct Ready<K> {
    /// In the order in which each child said it.
    pub events: Vec<Event<K>>,
    /// Which of the caller's descriptors can be read (or have hung up), as indices.
    pub readable: Vec<usize>,
}

/// Owns the children of one piece of work. Any number of crews at once; none waits for another's
/// children. Dropping a crew ends its children (TERM, grace, KILL) and takes their statuses.
#[derive(Debug)]
pub struct Crew<K: Clone> {
    limits: Limits,
    queue: VecDeque<(K, ChildId, Job)>,
    running: Vec<Running<K>>,
    /// Events that the next wait hands out.
    settled: Vec<Event<K>>,
    next_id: u64,
    /// A forked copy of a crew must not end its siblings.
    owner: Pid,
    started_in_batch: usize,
    /// No start before this time.
    pause_until: Option<Instant>,
    /// The system refused a fork while others ran: no start before one of those has ended.
    crowded: bool,
}

impl<K: Clone> Crew<K> {
    /// A crew with nothing to do. Sees to it that exit statuses are kept, whatever the caller of this
    /// program did to SIGCHLD, and that the soft limit of open files suits the fanout.
    pub fn new(limits: Limits) -> Crew<K> {
        keep_child_statuses();
        room_for_pipes(limits.fanout);
        Crew {
            limits,
            queue: VecDeque::new(),
            running: Vec::new(),
            settled: Vec::new(),
            next_id: 0,
            owner: getpid(),
            started_in_batch: 0,
            pause_until: None,
            crowded: false,
        }
    }

    /// Queues a job. It is forked in [`Crew::wait`] or [`Crew::pump`], as the limits allow.
    pub fn start(&mut self, key: K, job: Job) -> ChildId {
        let id = ChildId(self.next_id);
        self.next_id += 1;
        self.queue.push_back((key, id, job));
        id
    }

    /// Children that run now.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Process numbers of the children that run now.
    pub fn pids(&self) -> Vec<i32> {
        self.running.iter().map(Running::pid).collect()
    }

    /// Jobs that wait for their fork.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Neither running nor queued jobs: each has had its `Ended`.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queue.is_empty() && self.settled.is_empty()
    }

    /// Answers a child's [`Report::ask`](crate::Report::ask). Never blocks.
    ///
    /// # Errors
    /// `NotFound` if the child has ended; `InvalidInput` for a line end in the answer; `BrokenPipe` if
    /// the child is about to end; `WouldBlock` if it does not read its answers, which is that child's
    /// failure: it is made to end.
    pub fn reply(&mut self, child: ChildId, line: &str) -> io::Result<()> {
        if line.contains('\n') {
            let why = "an answer must not contain a line end";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let running = self.running.iter_mut().find(|other| other.id == child);
        let running = running.ok_or(io::ErrorKind::NotFound)?;
        running.answer(format!("{line}\n").as_bytes())
    }

    /// Starts what may start, then sleeps until a child says something or ends, one of `others` can
    /// be read, or `timeout` has passed (None: no limit). Returns as soon as there is anything to
    /// tell; also at once if there is nothing to wait for. Interrupted system calls are repeated:
    /// have signals as a descriptor among `others`.
    ///
    /// # Errors
    /// If poll fails, or this is a forked copy of somebody else's crew. What befalls a single child is
    /// an event, never an error.
    pub fn wait(
        &mut self,
        others: &[BorrowedFd<'_>],
        timeout: Option<Duration>,
    ) -> io::Result<Ready<K>> {
        if self.owner != getpid() {
            return Err(io::Error::other(
                "a crew belongs to the process that made it",
            ));
        }
        let until = timeout.and_then(|timeout| later(Instant::now(), timeout));
        loop {
            let mut events = std::mem::take(&mut self.settled);
            self.start_due(&mut events);
            let now = Instant::now();
            let due = if !events.is_empty() || self.may_start(now) {
                Some(now)
            } else {
                earlier(until, self.due())
            };
            if due.is_none() && others.is_empty() && self.running.is_empty() {
                return Ok(Ready {
                    events,
                    readable: Vec::new(),
                });
            }
            let readable = self.poll(others, due, &mut events)?;
            self.tick(&mut events);
            let done = !events.is_empty()
                || !readable.is_empty()
                || until.is_some_and(|until| until <= Instant::now())
                || (self.is_idle() && others.is_empty());
            if done {
                return Ok(Ready { events, readable });
            }
        }
    }

    /// [`Crew::wait`] without sleeping: starts what may start, collects what is there.
    ///
    /// # Errors
    /// As [`Crew::wait`].
    pub fn pump(&mut self) -> io::Result<Ready<K>> {
        self.wait(&[], Some(Duration::ZERO))
    }

    /// Ends one job: out of the queue, or by TERM, grace, KILL. Its `Ended` comes from
    /// [`Crew::wait`]; a result that was there already still counts. False if it has ended.
    pub fn cancel(&mut self, child: ChildId) -> bool {
        if let Some(running) = self.running.iter_mut().find(|other| other.id == child) {
            running.condemn(Failure::Terminated);
            return true;
        }
        let Some(at) = self.queue.iter().position(|(_, id, _)| *id == child) else {
            return false;
        };
        if let Some((key, child, _)) = self.queue.remove(at) {
            let what = What::Ended(Err(Failure::Terminated));
            self.settled.push(Event { key, child, what });
        }
        true
    }

    /// Ends everything: TERM to all children, grace, KILL; takes every status. Returns what the
    /// children still said and an `Ended` for each job, [`Failure::Terminated`] unless it had been
    /// done.
    pub fn terminate(&mut self) -> Vec<Event<K>> {
        if self.owner != getpid() {
            return Vec::new();
        }
        let mut events = std::mem::take(&mut self.settled);
        for (key, child, _) in std::mem::take(&mut self.queue) {
            let what = What::Ended(Err(Failure::Terminated));
            events.push(Event { key, child, what });
        }
        for running in &mut self.running {
            running.condemn(Failure::Terminated);
        }
        while !self.running.is_empty() {
            let due = self.due();
            if self.poll(&[], due, &mut events).is_err() {
                // Without poll: no way to hear them. They get KILL, which needs no hearing.
                self.running.iter_mut().for_each(Running::kill);
            }
            self.tick(&mut events);
        }
        events
    }

    /// Sleeps until `due`, reads what can be read, returns which of `others` are ready.
    fn poll(
        &mut self,
        others: &[BorrowedFd<'_>],
        due: Option<Instant>,
        events: &mut Vec<Event<K>>,
    ) -> io::Result<Vec<usize>> {
        let reports = self.running.iter().filter_map(Running::report);
        let mut polled: Vec<PollFd> = reports
            .map(AsFd::as_fd)
            .chain(others.iter().copied())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        let found = loop {
            match poll(&mut polled, sleep_until(due, Instant::now())) {
                Err(Errno::EINTR) => {}
                result => break result?,
            }
        };
        if found == 0 {
            return Ok(Vec::new());
        }
        // Any event counts: hang-ups and errors are found out by reading.
        let ready: Vec<bool> = polled
            .iter()
            .map(|fd| fd.revents().is_some_and(|events| !events.is_empty()))
            .collect();
        let mut ready = ready.into_iter();
        for running in self.running.iter_mut().filter(|one| one.report().is_some()) {
            if ready.next() == Some(true) {
                running.read(events);
            }
        }
        let others = ready.enumerate().filter(|(_, ready)| *ready);
        Ok(others.map(|(index, _)| index).collect())
    }

    fn due(&self) -> Option<Instant> {
        let children = self.running.iter().map(Running::due);
        let next = children.fold(None, earlier);
        if self.queue.is_empty() || self.crowded || self.is_full() {
            return next;
        }
        earlier(next, self.pause_until)
    }

    fn tick(&mut self, events: &mut Vec<Event<K>>) {
        let now = Instant::now();
        let mut index = 0;
        while let Some(running) = self.running.get_mut(index) {
            match running.tick(now, events) {
                Some(ended) => {
                    events.push(ended);
                    self.running.swap_remove(index);
                    self.crowded = false;
                }
                None => index += 1,
            }
        }
    }

    fn is_full(&self) -> bool {
        self.running.len() >= self.limits.fanout.max(1)
    }

    fn may_start(&self, now: Instant) -> bool {
        !self.queue.is_empty()
            && !self.is_full()
            && !self.crowded
            && self.pause_until.is_none_or(|until| until <= now)
    }

    fn start_due(&mut self, events: &mut Vec<Event<K>>) {
        for _ in 0..STARTS_IN_A_ROW {
            if !self.may_start(Instant::now()) {
                return;
            }
            let Some((key, id, job)) = self.queue.pop_front() else {
                return;
            };
            let mut slot = Some(job);
            match launch(&key, id, &mut slot, self.limits.grace) {
                Ok(running) => {
                    self.running.push(running);
                    self.pace();
                }
                Err(error) => match slot {
                    Some(job) if !self.running.is_empty() && is_crowded(&error) => {
                        self.queue.push_front((key, id, job));
                        self.crowded = true;
                    }
                    _ => {
                        let what = What::Ended(Err(Failure::Fork(error.to_string())));
                        events.push(Event {
                            key,
                            child: id,
                            what,
                        });
                    }
                },
            }
        }
    }

    fn pace(&mut self) {
        let Some(batch) = self.limits.batch.filter(|batch| *batch > 0) else {
            return;
        };
        self.started_in_batch += 1;
        if self.started_in_batch >= batch {
            self.started_in_batch = 0;
            self.pause_until = later(Instant::now(), self.limits.pause);
        }
    }
}

impl<K: Clone> Drop for Crew<K> {
    fn drop(&mut self) {
        if self.owner == getpid() {
            self.terminate();
        } else {
            // The descriptors were closed at the fork, and may be other files by now.
            std::mem::forget(std::mem::take(&mut self.running));
        }
    }
}
