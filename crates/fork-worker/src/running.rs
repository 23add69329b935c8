//! One child that runs, as its parent sees it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::clock::{earlier, later};
use crate::outcome::{ChildId, Event, Failure, What};
use crate::wire::{Broken, Decoder};

/// Read from one child before the others have their turn.
const TURN: usize = 64 << 10;

/// A child, from its fork until its status has been taken.
#[derive(Debug)]
pub(crate) struct Running<K> {
    pub(crate) key: K,
    pub(crate) id: ChildId,
    pid: Pid,
    /// None after its end of file.
    report: Option<File>,
    answers: File,
    decoder: Decoder,
    phase: Phase,
    grace: Duration,
    /// Why it was made to end; outweighs how it ended.
    doom: Option<Failure>,
    reap: Option<Reap>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Until this time (None: for ever).
    Working(Option<Instant>),
    /// TERM was sent; KILL follows.
    Asked(Option<Instant>),
    Killed,
}

/// End of file comes a moment before the exit status, and there is no descriptor that tells of the
/// latter on older kernels: look again soon, then less often.
#[derive(Debug, Clone, Copy)]
struct Reap {
    next: Instant,
    pause: Duration,
}

impl<K: Clone> Running<K> {
    pub(crate) fn new(
        key: K,
        id: ChildId,
        pid: Pid,
        pipes: (File, File),
        decoder: Decoder,
        deadline: Option<Duration>,
        grace: Duration,
    ) -> Running<K> {
        let due = deadline.and_then(|deadline| later(Instant::now(), deadline));
        Running {
            key,
            id,
            pid,
            report: Some(pipes.0),
            answers: pipes.1,
            decoder,
            phase: Phase::Working(due),
            grace,
            doom: None,
            reap: None,
        }
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// What to poll, while there is anything to come.
    pub(crate) fn report(&self) -> Option<&File> {
        self.report.as_ref()
    }

    /// When [`Running::tick`] has something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Working(due) | Phase::Asked(due) => due,
            Phase::Killed => None,
        };
        earlier(phase, self.reap.map(|reap| reap.next))
    }

    /// Reads what is there, but no more than its turn. True if there may be more.
    pub(crate) fn read(&mut self, events: &mut Vec<Event<K>>) -> bool {
        let mut left = TURN;
        let mut chunk = [0; 16 << 10];
        let mut lines = Vec::new();
        let more = loop {
            let Some(report) = self.report.as_mut() else {
                break false;
            };
            if left == 0 {
                break true;
            }
            match report.read(&mut chunk) {
                Ok(0) => self.closed(),
                Ok(count) => {
                    left = left.saturating_sub(count);
                    if let Err(broken) = self.decoder.feed(&chunk[..count], &mut lines) {
                        self.broken(broken);
                        break false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(_) => self.closed(),
            }
        };
        for line in lines {
            events.push(self.event(What::Line(line)));
        }
        more
    }

    /// Does what is due at `now`: signals, or taking the status. The last event of this child if it
    /// has ended.
    pub(crate) fn tick(&mut self, now: Instant, events: &mut Vec<Event<K>>) -> Option<Event<K>> {
        match self.phase {
            Phase::Working(Some(due)) if due <= now => self.condemn(Failure::Deadline),
            Phase::Asked(Some(due)) if due <= now => self.kill(),
            _ => {}
        }
        let reap = self.reap.filter(|reap| reap.next <= now)?;
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, status)) => Some(self.ended(Ok(status), events)),
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                Some(self.ended(Err(Failure::Signal(signal as i32)), events))
            }
            Err(Errno::EINTR) => None,
            Err(_) => Some(self.ended(Err(Failure::StatusLost), events)),
            Ok(_) => {
                let pause = (reap.pause * 2).min(Duration::from_millis(100));
                self.reap = later(now, pause).map(|next| Reap { next, pause });
                None
            }
        }
    }

    /// Asks it to end; how it ends no longer counts, unless it was done already.
    pub(crate) fn condemn(&mut self, why: Failure) {
        if matches!(self.phase, Phase::Working(_)) {
            self.signal(Signal::SIGTERM);
            // A stopped process gets TERM only when it goes on.
            self.signal(Signal::SIGCONT);
            self.phase = Phase::Asked(later(Instant::now(), self.grace));
        }
        if self.doom.is_none() {
            self.doom = Some(why);
        }
    }

    /// Writes an answer, all or nothing.
    pub(crate) fn answer(&mut self, line: &[u8]) -> io::Result<()> {
        loop {
            match self.answers.write(line) {
                Ok(count) if count == line.len() => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The reader is gone; its end will say more than we could.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(error),
                Ok(_) => {
                    self.condemn(Failure::Deaf);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(error) => {
                    self.condemn(Failure::Deaf);
                    return Err(error);
                }
            }
        }
    }

    fn closed(&mut self) {
        self.report = None;
        let now = Instant::now();
        self.look_again(now);
        // With nothing more to say it has nothing more to do: it need not have a deadline to be
        // made to end.
        if let Phase::Working(due) = self.phase {
            self.phase = Phase::Working(earlier(due, later(now, self.grace)));
        }
    }

    /// No honest child writes this: it gets no time to write more.
    fn broken(&mut self, how: Broken) {
        self.report = None;
        self.doom = Some(match how {
            Broken::TooLong => Failure::TooLong,
            Broken::Garbled => Failure::Garbled,
        });
        self.kill();
    }

    /// KILL, now.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.phase = Phase::Killed;
        // Somebody else may hold its pipe open; dead it is all the same.
        self.look_again(Instant::now());
    }

    fn look_again(&mut self, now: Instant) {
        self.reap = Some(Reap {
            next: now,
            pause: Duration::from_millis(1),
        });
    }

    fn signal(&self, signal: Signal) {
        // Not yet reaped, so the pid is still this child's. ESRCH and EPERM change nothing: the
        // latter is a child that has become another user, and we are not root.
        let _ = kill(self.pid, signal);
    }

    fn ended(&mut self, status: Result<i32, Failure>, events: &mut Vec<Event<K>>) -> Event<K> {
        // What is still in the pipe, if somebody else holds it open. The report's limit ends this.
        while self.read(events) {}
        let verdict = self.decoder.verdict();
        let outcome = match (self.doom.take(), verdict, status) {
            (Some(doom @ (Failure::TooLong | Failure::Garbled)), _, _) => Err(doom),
            // Done is done, even if it was late.
            (_, Some(Ok(text)), Ok(0)) => Ok(text),
            (Some(doom), _, _) => Err(doom),
            (None, Some(Err(why)), Ok(1)) => Err(Failure::Said(why)),
            (None, Some(verdict), Ok(status)) => Err(Failure::Disagree {
                good: verdict.is_ok(),
                status,
            }),
            (None, None, Ok(status)) => Err(Failure::NoVerdict { status }),
            (None, _, Err(failure)) => Err(failure),
        };
        self.event(What::Ended(outcome))
    }

    fn event(&self, what: What) -> Event<K> {
        Event {
            key: self.key.clone(),
            child: self.id,
            what,
        }
    }
}
