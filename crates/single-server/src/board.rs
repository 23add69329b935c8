//! What this host knows, where its programs find it: a directory for each kind.
//!
//! | File | What |
//! |---|---|
//! | `supervisor.lock` and others | there is one supervisor of the kind on this host, and its pid |
//! | `server` | pid and start time of the server that it runs |
//! | `failed` | why this host does not start the server again by itself |
//! | `state` | the newest event of each instance, replaced by rename |
//! | `control` | FIFO for requests, read by the supervisor |
//! | `events/` | a FIFO for each subscriber |

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::error::Error;
use crate::event::Event;
use crate::fifo::Fifo;
use crate::kind::Kind;
use crate::private_dir::{PrivateDir, is_fifo};
use crate::process::Process;

/// The directory of a kind on this host.
#[derive(Debug)]
pub struct Board {
    pub(crate) dir: PrivateDir,
    pub(crate) events: PrivateDir,
    /// Subscribers that have missed something.
    slow: BTreeSet<String>,
}

impl Board {
    /// Opens it, and makes what is missing.
    ///
    /// # Errors
    /// If it is not ours alone.
    pub fn open(name: &str) -> Result<Board, Error> {
        // A kind's name is a safe file name.
        Kind::new(std::path::Path::new(""), name)?;
        let run = PrivateDir::open(&program::paths::run_dir())?;
        let dir = run.inside("oneserver")?.inside(name)?;
        Ok(Board {
            events: dir.inside("events")?,
            dir,
            slow: BTreeSet::new(),
        })
    }

    /// Kinds that have a directory on this host.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn names() -> Result<Vec<String>, Error> {
        let path = program::paths::run_dir().join("oneserver");
        match PrivateDir::existing(&path)? {
            Some(dir) => Ok(dir.names()?),
            None => Ok(Vec::new()),
        }
    }

    /// The lock of which this host's supervisor is the one holder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn supervisor(&self) -> Result<Kind, Error> {
        let kind = Kind::new(self.dir.path(), "supervisor")?;
        kind.init_once()?;
        Ok(kind)
    }

    /// What was last known of each instance; nothing if there was nothing.
    pub fn state(&self) -> Vec<Event> {
        self.read("state")
            .lines()
            .filter_map(Event::parse)
            .collect()
    }

    /// The server that a supervisor of this host started last, if it still runs.
    pub fn server(&self) -> Option<Process> {
        Process::parse(self.read("server").trim_end()).filter(Process::lives)
    }

    /// Sends a request to the supervisor. False: there is none.
    pub fn request(&self, word: &str) -> bool {
        Fifo::writer(&self.dir, "control")
            .is_some_and(|mut control| control.write_all(format!("{word}\n").as_bytes()).is_ok())
    }

    /// What runs here. One that still lives, though it was killed, stays noted until there is another.
    pub(crate) fn note_server(&self, server: Option<Process>) -> Result<(), Error> {
        match server {
            Some(server) => self.write("server", &format!("{server}\n")),
            None if self.server().is_some() => Ok(()),
            None => self
                .dir
                .remove("server")
                .map_err(|why| self.dir.error("server", why).into()),
        }
    }

    /// Why this host does not start the server again by itself.
    pub fn failed(&self) -> Option<String> {
        let why = self.read("failed");
        (!why.is_empty()).then(|| why.trim_end().to_string())
    }

    pub(crate) fn note_failed(&self, why: Option<&str>) -> Result<(), Error> {
        match why {
            Some(why) => self.write("failed", &format!("{why}\n")),
            None => Ok(self
                .dir
                .remove("failed")
                .map_err(|why| self.dir.error("failed", why))?),
        }
    }

    pub(crate) fn write_state(&self, state: &[Event]) -> Result<(), Error> {
        let lines: String = state.iter().map(|event| format!("{event}\n")).collect();
        self.write("state", &lines)
    }

    /// Hands an event to every subscriber, without waiting for any of them. Who cannot take it gets
    /// the whole state as soon as there is room again.
    pub(crate) fn deliver(&mut self, event: &Event, state: &[Event]) {
        for name in self.subscribers() {
            if self.slow.contains(&name) {
                self.catch_up(&name, state);
            } else if self.hand(&name, &format!("{event}\n")).is_err() {
                self.slow.insert(name);
            }
        }
    }

    /// Looks whether slow subscribers have room again.
    pub(crate) fn catch_up_all(&mut self, state: &[Event]) {
        for name in std::mem::take(&mut self.slow) {
            self.slow.insert(name.clone());
            self.catch_up(&name, state);
        }
    }

    fn catch_up(&mut self, name: &str, state: &[Event]) {
        let mut lines = state.iter().map(|event| {
            let resync = true;
            format!(
                "{}\n",
                Event {
                    resync,
                    ..event.clone()
                }
            )
        });
        let taken = lines.try_for_each(|line| self.hand(name, &line));
        if taken.is_ok() {
            self.slow.remove(name);
        }
    }

    fn subscribers(&self) -> Vec<String> {
        let names = self.events.names().unwrap_or_default();
        let fifos = names.into_iter().filter(|name| {
            // Half-made ones have a dot in front.
            !name.starts_with('.') && self.events.stat(name).is_ok_and(|stat| is_fifo(&stat))
        });
        fifos.collect()
    }

    /// A line, whole or not at all. One whose reader is gone is removed.
    fn hand(&self, name: &str, line: &str) -> Result<(), Errno> {
        let Some(mut fifo) = Fifo::writer(&self.events, name) else {
            let _ = self.events.remove(name);
            return Ok(());
        };
        match fifo.write(line.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Errno::EAGAIN),
            _ => Ok(()),
        }
    }

    fn read(&self, name: &str) -> String {
        let mut text = String::new();
        if let Ok(file) = self
            .dir
            .open_file(name, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0)
        {
            let _ = file.take(4 << 20).read_to_string(&mut text);
        }
        text
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let beside = format!(".{name}.new");
        let write = || -> Result<(), Errno> {
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
            let mut file = self.dir.open_file(&beside, flags, 0o600)?;
            file.write_all(text.as_bytes())
                .map_err(|error| crate::private_dir::errno(&error))?;
            self.dir.rename(&beside, &self.dir, name)
        };
        write().map_err(|why| self.dir.error(name, why).into())
    }
}
