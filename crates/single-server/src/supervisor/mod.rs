//! The one process on a host that stands in line for a kind, runs its server, and tells what happens.
//!
//! One loop over descriptors and children; nothing in it blocks. What may block (waiting for the lock,
//! looking at a remote filesystem or a database, a check) is done by forked children.

mod standing;
mod telling;
mod term;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use fork_worker::{ChildId, Crew, Limits, Orphans, What};
use nix::sys::signal::Signal;
use program::Interrupt;

use crate::board::Board;
use crate::engine::{Engine, Seat, Seen};
use crate::error::Error;
use crate::event::Event;
use crate::fifo::Fifo;
use crate::held::Held;
use crate::process::Process;
use crate::service::{Layers, Service, Standing};
use term::Term;

/// How often it looks at what no descriptor tells.
const LOOK: Duration = Duration::from_secs(1);
/// And at the end of a server, on kernels that do not tell that.
const LOOK_FOR_END: Duration = Duration::from_millis(20);
/// So much of what does not work is remembered.
const TROUBLES: usize = 32;
/// Children at a time: a waiter for each instance and a few more.
const CHILDREN: usize = 1100;

/// What a supervisor has to say to its log.
#[derive(Debug)]
pub enum Remark<'a> {
    /// Something happened to a server.
    Event(&'a Event),
    /// Something does not work; it is tried again.
    Trouble(&'a str),
}

/// Runs a service until it is told to stop: stands in line, runs the server while the lock is held,
/// tells subscribers. `listening` is called when requests can be sent.
///
/// # Errors
/// [`Error::Running`]; or this host's directory cannot be used. What befalls the lock or the server is
/// said and tried again.
pub fn supervise(
    service: Service,
    listening: &mut dyn FnMut(),
    say: &mut dyn FnMut(&Remark<'_>),
) -> Result<(), Error> {
    supervise_with(service, Layers::BOTH, listening, say)
}

/// [`supervise`] without one safety layer or both. For the tests that show that each is needed; no
/// program calls it.
///
/// # Errors
/// As [`supervise`].
#[doc(hidden)]
pub fn supervise_mutilated(
    service: Service,
    inherited_lock: bool,
    dies_with_supervisor: bool,
) -> Result<(), Error> {
    let layers = Layers {
        inherited_lock,
        dies_with_supervisor,
    };
    supervise_with(service, layers, &mut || {}, &mut |_| {})
}

fn supervise_with(
    service: Service,
    layers: Layers,
    listening: &mut dyn FnMut(),
    say: &mut dyn FnMut(&Remark<'_>),
) -> Result<(), Error> {
    let board = Board::open(&service.name)?;
    let only = board.supervisor()?;
    let only = only
        .try_hold()?
        .ok_or_else(|| Error::Running(service.name.clone()))?;
    let own = i32::try_from(std::process::id()).ok().and_then(Process::of);
    only.publish(&own.map(|own| own.to_string()).unwrap_or_default())?;
    // One that was killed leaves a server that has cleared its death signal. It keeps the lock: nobody
    // could start another one, and nobody looks after this one.
    if let Some(abandoned) = board.server() {
        abandoned.kill();
    }
    let control = Fifo::open(&board.dir, "control")?;
    let failed = |error| Error::Supervisor(service.name.clone(), error);
    let signals = Signals::new().map_err(failed)?;
    let orphans = Orphans::adopt().map_err(failed)?;
    let engine = service.lock.engine(&service.name)?;
    let mut supervisor = Supervisor {
        wanted: service.standing == Standing::Always,
        host: crate::host(),
        board,
        _only: only,
        control,
        signals,
        orphans,
        engine,
        layers,
        crew: Crew::new(Limits::fanout(CHILDREN)),
        phase: Phase::Out(BTreeMap::new()),
        leaving: false,
        scout: None,
        scout_due: Instant::now(),
        line_up_due: Instant::now(),
        look_due: Instant::now(),
        crashes: Vec::new(),
        seen: None,
        told: BTreeMap::new(),
        seq: 0,
        unwritten: false,
        trouble: BTreeSet::new(),
        last_words: String::new(),
        say,
        service,
    };
    supervisor.forgive();
    supervisor.write_state();
    listening();
    supervisor.run()
}

struct Supervisor<'s> {
    service: Service,
    layers: Layers,
    engine: Box<dyn Engine>,
    host: String,
    board: Board,
    _only: Held,
    control: Fifo,
    signals: Signals,
    orphans: Orphans,
    crew: Crew<Task>,
    phase: Phase,
    /// This host is to stand in line.
    wanted: bool,
    leaving: bool,
    /// Who looks at the lock for us.
    scout: Option<ChildId>,
    scout_due: Instant,
    line_up_due: Instant,
    look_due: Instant,
    /// When the server ended by itself, in the last minute.
    crashes: Vec<Instant>,
    seen: Option<Seen>,
    /// The newest event of each instance.
    told: BTreeMap<u32, Event>,
    seq: u64,
    /// What this host is to know could not be written: once more, and the next event may be far away.
    unwritten: bool,
    /// What was said of what does not work.
    trouble: BTreeSet<String>,
    /// Why the server has to end.
    last_words: String,
    say: &'s mut dyn FnMut(&Remark<'_>),
}

/// What a child is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    Scout,
    Seat(u32),
    Check,
}

enum Phase {
    /// In no line, or in that of each instance.
    Out(BTreeMap<u32, (ChildId, Box<dyn Seat>)>),
    /// The lock of one instance is ours.
    In(Box<Term>),
}

struct Signals {
    stop: Interrupt,
    passed: [(Interrupt, Signal); 3],
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        let one = |signal: Signal| -> std::io::Result<(Interrupt, Signal)> {
            Ok((Interrupt::of(&[signal as i32])?, signal))
        };
        let stop = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];
        Ok(Signals {
            stop: Interrupt::of(&stop.map(|signal| signal as i32))?,
            passed: [
                one(Signal::SIGHUP)?,
                one(Signal::SIGUSR1)?,
                one(Signal::SIGUSR2)?,
            ],
        })
    }
}

impl Supervisor<'_> {
    fn run(mut self) -> Result<(), Error> {
        while !(self.leaving && matches!(&self.phase, Phase::Out(_))) {
            self.look();
            self.line_up();
            self.advance();
            self.wait()?;
        }
        self.phase = Phase::Out(BTreeMap::new());
        self.board.note_server(None)?;
        self.crew.terminate();
        self.told.clear();
        self.write_state();
        let _ = self.control.close(&self.board.dir);
        Ok(())
    }

    /// Sleeps until something happens, and takes it in.
    fn wait(&mut self) -> Result<(), Error> {
        let timeout = self.due().saturating_duration_since(Instant::now());
        let mut polled: Vec<BorrowedFd<'_>> = vec![self.control.as_fd(), self.signals.stop.as_fd()];
        polled.extend(self.signals.passed.iter().map(|(signal, _)| signal.as_fd()));
        if let Phase::In(term) = &self.phase {
            polled.extend(term.descriptors());
        }
        let ready = self.crew.wait(&polled, Some(timeout));
        let ready = ready.map_err(|error| Error::Supervisor(self.service.name.clone(), error))?;
        for event in ready.events {
            self.heard(event.key, event.child, &event.what);
        }
        if self.signals.stop.take() {
            self.request("stop");
        }
        for at in 0..self.signals.passed.len() {
            if let Some((signal, number)) = self.signals.passed.get(at)
                && signal.take()
            {
                self.pass(*number);
            }
        }
        if ready.readable.contains(&0) {
            let requests = self.control.drain();
            for request in String::from_utf8_lossy(&requests).lines() {
                self.request(request);
            }
        }
        self.hear_server();
        Ok(())
    }

    fn due(&self) -> Instant {
        let mut due = self.look_due;
        if let Phase::In(term) = &self.phase {
            due = due.min(term.due(Instant::now()));
        }
        due
    }

    /// A request; whatever else comes is nobody's.
    fn request(&mut self, word: &str) {
        match word {
            "stop" => {
                self.leaving = true;
                self.wanted = false;
                self.give_up_term("told to stop");
            }
            "demote" => {
                self.wanted = false;
                self.give_up_term("told to hand over");
            }
            "promote" => {
                self.forgive();
                self.wanted = !self.leaving;
                self.line_up_due = Instant::now();
            }
            "handover" => self.give_up_term("told to hand over"),
            "recover" => self.recover(),
            "reload" => self.pass(Signal::SIGHUP),
            _ => {}
        }
    }

    fn heard(&mut self, task: Task, child: ChildId, what: &What) {
        match task {
            Task::Scout if self.scout == Some(child) => self.heard_scout(what),
            Task::Seat(instance) => self.heard_seat(instance, child, what),
            Task::Check => self.heard_check(child, what),
            Task::Scout => {}
        }
    }

    /// Once a second.
    fn look(&mut self) {
        let now = Instant::now();
        if self.scout.is_none() && self.scout_due <= now {
            self.send_scout();
        }
        if self.look_due > now {
            return;
        }
        self.look_due = now + LOOK;
        let state: Vec<Event> = self.told.values().cloned().collect();
        self.board.catch_up_all(&state);
        self.publish_again();
        if self.unwritten {
            self.unwritten = false;
            self.note_server();
            self.write_state();
            if !self.unwritten {
                self.trouble.clear();
            }
        }
        if !self.control.in_place(&self.board.dir) {
            match Fifo::open(&self.board.dir, "control") {
                Ok(control) => self.control = control,
                Err(error) => self.trouble(&error.to_string()),
            }
        }
        self.prove();
    }

    /// Says once what does not work.
    fn trouble(&mut self, why: &str) {
        if self.trouble.len() >= TROUBLES {
            self.trouble.clear();
        }
        if self.trouble.insert(why.to_string()) {
            (self.say)(&Remark::Trouble(why));
        }
    }
}
