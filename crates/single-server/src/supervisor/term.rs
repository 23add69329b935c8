//! While the lock is ours: the server's life, and its end.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use fork_worker::command::{self, Spec};
use fork_worker::{ChildId, Job, What};
use nix::sys::signal::Signal;

use super::{LOOK, LOOK_FOR_END, Phase, Supervisor, Task};
use crate::engine::Seat;
use crate::event;
use crate::incarnation::{Incarnation, Said};
use crate::process::Process;
use crate::service::Standing;

/// Ends by itself within this time count together.
const MINUTE: Duration = Duration::from_secs(60);
/// Longest pause before it is started again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A check may take so long; it is made so often; a server fails with so many failed ones in a row.
const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
const CHECK_EVERY: Duration = Duration::from_secs(10);
const CHECK_AT_START: Duration = Duration::from_millis(200);
const CHECKS: u32 = 3;

/// The time in which the lock of an instance is ours.
pub(super) struct Term {
    pub(super) instance: u32,
    pub(super) keeper: ChildId,
    pub(super) seat: Box<dyn Seat>,
    life: Life,
    epoch: u64,
    address: Option<String>,
    /// The server is ready, and where it is could not be published yet.
    unpublished: Option<String>,
    check: Check,
}

enum Life {
    /// Nothing runs until then.
    Pausing(Instant),
    /// Nothing runs until there is an epoch for it.
    Renewing,
    /// Not ready; and when it must be.
    Starting(Incarnation, Instant),
    Serving(Incarnation),
    /// It is to end, by force from then on; the server, and then what it left behind.
    Ending(Option<Incarnation>, Instant, Then),
}

/// What comes after a server's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Another incarnation, after a pause.
    Restart(Duration),
    /// The lock is let go.
    Release,
    /// And this host stands in no line any more.
    GiveUp,
}

#[derive(Debug)]
struct Check {
    running: Option<ChildId>,
    due: Instant,
    failed: u32,
}

impl Term {
    pub(super) fn new(instance: u32, keeper: ChildId, seat: Box<dyn Seat>) -> Term {
        Term {
            instance,
            keeper,
            seat,
            life: Life::Renewing,
            epoch: 0,
            address: None,
            unpublished: None,
            check: Check {
                running: None,
                due: Instant::now(),
                failed: 0,
            },
        }
    }

    /// The server's process; 0 if there is none.
    pub(super) fn pid(&self) -> i32 {
        self.incarnation().map_or(0, Incarnation::pid)
    }

    /// What tells of the server.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let incarnation = self.incarnation();
        let both = incarnation.map(|one| [one.ready(), one.end()]);
        both.into_iter().flatten().flatten().collect()
    }

    pub(super) fn due(&self, now: Instant) -> Instant {
        let due = match &self.life {
            Life::Pausing(until) => *until,
            Life::Renewing => now + LOOK,
            Life::Starting(_, until) => (*until).min(self.check.due),
            Life::Serving(_) => self.check.due,
            Life::Ending(Some(_), until, _) => *until,
            // What is left behind is looked for.
            Life::Ending(None, ..) => now + Duration::from_millis(1),
        };
        let due = self.seat.due().map_or(due, |prove| due.min(prove));
        match self.incarnation() {
            Some(incarnation) if incarnation.end().is_none() => due.min(now + LOOK_FOR_END),
            _ => due.max(now + Duration::from_millis(1)),
        }
    }

    fn incarnation(&self) -> Option<&Incarnation> {
        match &self.life {
            Life::Starting(incarnation, _) | Life::Serving(incarnation) => Some(incarnation),
            Life::Ending(incarnation, ..) => incarnation.as_ref(),
            Life::Pausing(_) | Life::Renewing => None,
        }
    }

    fn incarnation_mut(&mut self) -> Option<&mut Incarnation> {
        match &mut self.life {
            Life::Starting(incarnation, _) | Life::Serving(incarnation) => Some(incarnation),
            Life::Ending(incarnation, ..) => incarnation.as_mut(),
            Life::Pausing(_) | Life::Renewing => None,
        }
    }
}

impl Supervisor<'_> {
    /// Starts the server under an epoch that nobody had before.
    pub(super) fn launch(&mut self, epoch: u64) {
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        if !matches!(term.life, Life::Renewing) {
            return;
        }
        term.epoch = epoch;
        term.address = None;
        term.unpublished = None;
        term.check.failed = 0;
        term.check.due = Instant::now();
        let instance = term.instance;
        let heirloom = term.seat.heirloom();
        let (board, mut noted) = (&self.board, Ok(()));
        // Before it begins, or whoever comes after a supervisor killed just then would not know of it.
        let mut note = |pid| noted = board.note_server(Process::of(pid));
        let (service, layers) = (&self.service, &self.layers);
        let launched = Incarnation::launch(service, layers, instance, epoch, heirloom, &mut note);
        match launched {
            Ok(incarnation) => {
                let until = Instant::now() + self.service.start_timeout;
                term.life = Life::Starting(incarnation, until);
                self.written(noted);
                self.tell(instance, event::What::Starting, epoch, None, None);
            }
            Err(error) => self.crashed(&error.to_string(), false),
        }
    }

    /// What is due.
    pub(super) fn advance(&mut self) {
        let now = Instant::now();
        if let Phase::In(term) = &self.phase
            && term.seat.due().is_some_and(|due| due <= now)
        {
            self.prove();
        }
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        match &mut term.life {
            Life::Pausing(until) if *until <= now => self.renew(),
            Life::Starting(_, until) if *until <= now => {
                self.crashed("was not ready in time", false);
            }
            Life::Starting(..) | Life::Serving(_) => self.check(now),
            Life::Ending(Some(incarnation), until, _) if *until <= now => {
                incarnation.signal(Signal::SIGKILL);
                *until = now + LOOK;
            }
            Life::Ending(None, ..) => self.sweep(),
            _ => {}
        }
    }

    /// What the server says, and whether it has ended.
    pub(super) fn hear_server(&mut self) {
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        let starting = matches!(term.life, Life::Starting(..));
        let Some(incarnation) = term.incarnation_mut() else {
            return;
        };
        let said = match incarnation.ready().is_some_and(is_readable) && starting {
            true => incarnation.hear(),
            false => Said::Nothing,
        };
        let ended = incarnation.ended();
        let ending = matches!(term.life, Life::Ending(..));
        match (ended, said) {
            (Ok(Some(_)), _) if ending => {
                if let Life::Ending(incarnation, ..) = &mut term.life {
                    *incarnation = None;
                }
                self.sweep();
            }
            (Ok(Some(status)), _) => {
                self.crashed(&format!("server ended: {status}"), status.success())
            }
            (Err(error), _) => self.crashed(&error.to_string(), false),
            (Ok(None), Said::Address(address)) => self.ready(&address),
            (Ok(None), Said::Wrong(why)) => self.crashed(why, false),
            (Ok(None), Said::Nothing) => {}
        }
    }

    /// Ends the term in good order, if there is one.
    pub(super) fn give_up_term(&mut self, why: &str) {
        self.end(Then::Release, why);
    }

    /// Another incarnation under the same lock; or this host tries again.
    pub(super) fn recover(&mut self) {
        self.forgive();
        if self.service.standing != Standing::Managed {
            self.wanted = !self.leaving;
        }
        self.line_up_due = Instant::now();
        self.end(Then::Restart(Duration::ZERO), "told to recover");
    }

    /// What failed before does not count any more.
    pub(super) fn forgive(&mut self) {
        self.crashes.clear();
        if let Err(error) = self.board.note_failed(None) {
            self.trouble(&error.to_string());
        }
    }

    /// A signal for the server.
    pub(super) fn pass(&mut self, signal: Signal) {
        if let Phase::In(term) = &self.phase
            && let Some(incarnation) = term.incarnation()
        {
            incarnation.signal(signal);
            if signal == Signal::SIGHUP {
                let (instance, epoch) = (term.instance, term.epoch);
                self.tell_aside(instance, event::What::Reloaded, epoch);
            }
        }
    }

    /// The lock is gone, and somebody else may have it: no time for a good end.
    pub(super) fn lock_lost(&mut self, why: &str) {
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        let (instance, epoch) = (term.instance, term.epoch);
        if let Some(incarnation) = term.incarnation() {
            incarnation.signal(Signal::SIGKILL);
        }
        self.tell(instance, event::What::Suspect, epoch, None, Some(why));
        self.end(Then::Release, why);
        if let Phase::In(term) = &mut self.phase
            && let Life::Ending(_, until, _) = &mut term.life
        {
            *until = Instant::now();
        }
    }

    /// Whether this is still the lock, once a second.
    pub(super) fn prove(&mut self) {
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        let proven = term.seat.prove();
        // Those that ended of whom it left behind; they are living server processes otherwise.
        let serving = matches!(term.life, Life::Starting(..) | Life::Serving(_));
        let pid = term.pid();
        if serving {
            let mut ours = self.crew.pids();
            ours.push(pid);
            let _ = self.orphans.sweep(&ours, false);
        }
        if let Err(error) = proven {
            self.lock_lost(&error.to_string());
        }
    }

    /// This host has given up on its server.
    pub(super) fn gave_up(&self) -> bool {
        self.crashes.len() > self.service.restarts
    }

    pub(super) fn heard_check(&mut self, child: ChildId, what: &What) {
        let What::Ended(outcome) = what else {
            return;
        };
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        if term.check.running != Some(child) {
            return;
        }
        term.check.running = None;
        let (instance, epoch) = (term.instance, term.epoch);
        match (&term.life, outcome) {
            (Life::Starting(..), Ok(_)) => {
                if let Some(address) = self.service.address.clone() {
                    self.ready(&address);
                }
            }
            (Life::Starting(..), Err(_)) => {}
            (Life::Serving(_), Ok(_)) => {
                let failed = std::mem::take(&mut term.check.failed);
                let address = term.address.clone();
                if failed > 0 {
                    self.tell(
                        instance,
                        event::What::Ready,
                        epoch,
                        address.as_deref(),
                        None,
                    );
                }
            }
            (Life::Serving(_), Err(failure)) => {
                term.check.failed += 1;
                let why = format!("check failed: {failure}");
                if term.check.failed >= CHECKS {
                    self.crashed(&why, false);
                } else {
                    self.tell(instance, event::What::Suspect, epoch, None, Some(&why));
                }
            }
            _ => {}
        }
    }

    fn ready(&mut self, address: &str) {
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        // Before anybody is told. That it does not work is not the server's fault: a full disk.
        if let Err(error) = term.seat.publish(address, &self.host) {
            term.unpublished = Some(address.to_string());
            return self.trouble(&error.to_string());
        }
        term.unpublished = None;
        let life = std::mem::replace(&mut term.life, Life::Renewing);
        if let Life::Starting(incarnation, _) = life {
            term.life = Life::Serving(incarnation);
            term.address = Some(address.to_string());
            term.check.due = Instant::now() + CHECK_EVERY;
            let (instance, epoch) = (term.instance, term.epoch);
            self.tell(instance, event::What::Ready, epoch, Some(address), None);
        } else {
            term.life = life;
        }
    }

    /// As long as the server may take to be ready.
    pub(super) fn publish_again(&mut self) {
        if let Phase::In(term) = &self.phase
            && let (Life::Starting(..), Some(address)) = (&term.life, term.unpublished.clone())
        {
            self.ready(&address);
        }
    }

    /// The server ended by itself, or has to.
    fn crashed(&mut self, why: &str, well: bool) {
        if well && self.service.standing == Standing::OnDemand {
            // It is not needed any more, until somebody asks again.
            self.wanted = false;
            return self.end(Then::Release, why);
        }
        let now = Instant::now();
        self.crashes
            .retain(|crash| now.duration_since(*crash) < MINUTE);
        self.crashes.push(now);
        let then = match self.gave_up() {
            true => Then::GiveUp,
            false => {
                // 0, 1, 2, 4, 8, 10 s.
                let doubled = u32::try_from(self.crashes.len().saturating_sub(2))
                    .unwrap_or(8)
                    .min(8);
                let pause = match self.crashes.len() {
                    1 => Duration::ZERO,
                    _ => Duration::from_secs(1 << doubled).min(LONGEST_PAUSE),
                };
                Then::Restart(pause)
            }
        };
        self.end(then, why);
    }

    /// From whatever the server does to its end.
    fn end(&mut self, then: Then, why: &str) {
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        term.seat.withdraw();
        let until = Instant::now() + self.service.stop_timeout;
        let life = std::mem::replace(&mut term.life, Life::Renewing);
        term.life = match life {
            Life::Starting(incarnation, _) | Life::Serving(incarnation) => {
                incarnation.signal(Signal::SIGTERM);
                // A stopped one gets TERM only when it goes on.
                incarnation.signal(Signal::SIGCONT);
                Life::Ending(Some(incarnation), until, then)
            }
            // A wish to restart does not undo one to release.
            Life::Ending(incarnation, until, before) => {
                let then = match then {
                    Then::Restart(_) => before,
                    then => then,
                };
                Life::Ending(incarnation, until, then)
            }
            Life::Pausing(_) | Life::Renewing => Life::Ending(None, until, then),
        };
        self.last_words = why.to_string();
    }

    /// Nothing of the incarnation may be left when the next one starts, here or elsewhere.
    fn sweep(&mut self) {
        let ours = self.crew.pids();
        match self.orphans.sweep(&ours, true) {
            Ok(0) => {}
            Ok(_) => return,
            Err(error) => return self.trouble(&error.to_string()),
        }
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        let Life::Ending(None, _, then) = term.life else {
            return;
        };
        let (instance, epoch) = (term.instance, term.epoch);
        let why = std::mem::take(&mut self.last_words);
        self.note_server();
        // Unless there was none: told to give the lock up when it had just been granted.
        if epoch > 0
            && self
                .told
                .get(&instance)
                .is_some_and(|told| told.event != event::What::Lost)
        {
            self.tell(instance, event::What::Lost, epoch, None, Some(&why));
        }
        match then {
            Then::Restart(pause) => {
                if let Phase::In(term) = &mut self.phase {
                    term.life = Life::Pausing(Instant::now() + pause);
                }
            }
            Then::Release => self.release(),
            Then::GiveUp => {
                self.wanted = false;
                self.release();
                if let Err(error) = self.board.note_failed(Some(&why)) {
                    self.trouble(&error.to_string());
                }
                self.tell(instance, event::What::Failed, epoch, None, Some(&why));
            }
        }
    }

    fn release(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Self::out());
        // Those who waited are woken, and have to run before they have the lock: a newcomer is quicker.
        self.line_up_due = Instant::now() + LOOK;
        if let Phase::In(term) = phase {
            let (keeper, check) = (term.keeper, term.check.running);
            drop(term);
            self.crew.cancel(keeper);
            if let Some(check) = check {
                self.crew.cancel(check);
            }
        }
        // What was seen of this instance while it was ours is not said a second time.
        if let Some(seen) = self.seen.clone() {
            self.tell_of_others(&seen);
        }
    }

    fn renew(&mut self) {
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        term.life = Life::Renewing;
        match term.seat.renew() {
            Ok(Some(epoch)) => self.launch(epoch),
            Ok(None) => {}
            Err(error) => self.lock_lost(&error.to_string()),
        }
    }

    fn check(&mut self, now: Instant) {
        let Phase::In(term) = &mut self.phase else {
            return;
        };
        if term.check.running.is_some() || term.check.due > now {
            return;
        }
        let starting = matches!(term.life, Life::Starting(..));
        term.check.due = now
            + if starting {
                CHECK_AT_START
            } else {
                CHECK_EVERY
            };
        let Some(check) = &self.service.check else {
            term.check.due = now + MINUTE;
            if let (true, Some(address)) = (starting, self.service.address.clone()) {
                self.ready(&address);
            }
            return;
        };
        if starting && self.service.address.is_none() {
            return;
        }
        let mut words = check.iter();
        let spec = Spec::new(words.next().cloned().unwrap_or_default())
            .args(words)
            .env("ONESERVER_KIND", &self.service.name)
            .env("ONESERVER_INSTANCE", term.instance.to_string())
            .env("ONESERVER_EPOCH", term.epoch.to_string())
            .env(
                "ONESERVER_ADDRESS",
                term.address.as_deref().unwrap_or_default(),
            )
            .deadline(CHECK_TIMEOUT);
        let job = Job::new(move |_| match command::run(&spec) {
            Ok(finished) if finished.timed_out => Err("no answer in time".into()),
            Ok(finished) if finished.status.success() => Ok(String::new()),
            Ok(finished) => Err(finished.status.to_string()),
            Err(error) => Err(error.to_string()),
        });
        term.check.running = Some(self.crew.start(Task::Check, job));
    }
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut polled = [nix::poll::PollFd::new(fd, nix::poll::PollFlags::POLLIN)];
    nix::poll::poll(&mut polled, nix::poll::PollTimeout::ZERO).is_ok_and(|found| found > 0)
}
