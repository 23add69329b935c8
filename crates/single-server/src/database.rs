//! A session lock of the tables' database.
//!
//! A process of its own waits for the lock and then keeps the session: no connection is shared with a
//! child, and nothing that the supervisor does can block on the network. It says after each round trip
//! when that began; without one for two seconds the server is killed, before the database gives the
//! lock to somebody else.
//!
//! The server inherits the end of a pipe that nobody writes to. The keeper lets the lock go only when
//! that pipe has no end any more: when the server and all that it left are gone, also if the supervisor
//! died before them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use fork_worker::{Job, Report, What};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::getppid;
use xcat_tables::{Location, LockSession};

use crate::engine::{Engine, Heard, Instance, Seat, Seen};
use crate::error::Error;

/// Between two round trips.
const BEAT: Duration = Duration::from_millis(400);
/// After so long without one the server has to be dead; less than
/// [`LONGEST_UNSEEN`](xcat_tables::LONGEST_UNSEEN).
const PATIENCE: Duration = Duration::from_secs(2);
/// Descriptors of locks are above this number.
const HIGH: i32 = 19;

/// The rows and locks of a kind as an engine.
#[derive(Debug)]
pub(crate) struct Database {
    location: Location,
    name: String,
    session: Option<LockSession>,
}

/// A place in the server's queue.
#[derive(Debug)]
struct Place {
    commands: File,
    lifeline: OwnedFd,
    epoch: Option<u64>,
    /// When the last round trip that was answered began.
    proven: Duration,
}

impl Database {
    pub(crate) fn new(location: &Location, name: &str) -> Database {
        Database {
            location: location.clone(),
            name: name.into(),
            session: None,
        }
    }

    fn session(&mut self) -> Result<&mut LockSession, Error> {
        let session = match self.session.take() {
            Some(session) => session,
            None => LockSession::open(&self.location)?,
        };
        Ok(self.session.insert(session))
    }

    /// A session that failed is not used again.
    fn with<R>(
        &mut self,
        work: impl FnOnce(&mut LockSession, &str) -> Result<R, xcat_tables::Error>,
    ) -> Result<R, Error> {
        let name = self.name.clone();
        let result = work(self.session()?, &name);
        if result.is_err() {
            self.session = None;
        }
        Ok(result?)
    }
}

impl Engine for Database {
    fn look(&mut self) -> Result<Seen, Error> {
        let found = self.with(|session, name| session.look(name))?;
        let found = found.ok_or_else(|| Error::NoKind(self.name.clone()))?;
        let sum = found.instances.iter().map(|row| row.epoch).sum::<i64>();
        let instances = found.instances.into_iter().map(|row| Instance {
            epoch: u64::try_from(row.epoch).unwrap_or(0),
            held: row.held,
            // The address of one who died stays in the row.
            address: row.address.filter(|_| row.held),
        });
        Ok(Seen {
            instances: instances.collect(),
            asked: found.needed == Some(sum),
            agents: found.agents,
        })
    }

    fn pause(&mut self, most: Duration) -> Result<(), Error> {
        std::thread::sleep(most);
        Ok(())
    }

    fn register(&mut self) -> Result<(), Error> {
        self.with(LockSession::register)
    }

    fn ask(&mut self) -> Result<(), Error> {
        self.with(LockSession::ask)
    }

    fn init(&mut self, instances: u32) -> Result<(), Error> {
        let fits = (1..=crate::lock::MOST).contains(&instances);
        let count = i32::try_from(instances).ok().filter(|_| fits);
        let count = count.ok_or(Error::Instances(instances))?;
        match self.with(|session, name| session.make(name, count))? {
            true => Ok(()),
            false => Err(Error::Exists(self.name.clone().into())),
        }
    }

    fn line_up(&self, instance: u32) -> Result<(Box<dyn Seat>, Job), Error> {
        let failed = |error: io::Error| Error::Supervisor(self.name.clone(), error);
        let pipe = || -> io::Result<(OwnedFd, OwnedFd)> {
            let (reader, writer) = io::pipe()?;
            Ok((
                fork_worker::above(reader.into(), HIGH)?,
                fork_worker::above(writer.into(), HIGH)?,
            ))
        };
        let (orders, commands) = pipe().map_err(failed)?;
        let (life, lifeline) = pipe().map_err(failed)?;
        let (location, name) = (self.location.clone(), self.name.clone());
        let numbers = [orders.as_raw_fd(), life.as_raw_fd()];
        let job = Job::new(move |report| {
            let keeper = Keeper {
                name,
                instance: i32::try_from(instance).unwrap_or(i32::MAX),
                orders: Some(orders.into()),
                heard: Vec::new(),
                life,
                epoch: 0,
            };
            keeper.keep(&location, report)
        });
        let place = Place {
            commands: commands.into(),
            lifeline,
            epoch: None,
            proven: Duration::ZERO,
        };
        let job = job.keep(numbers[0]).keep(numbers[1]);
        Ok((Box::new(place), job.total_limit(usize::MAX)))
    }
}

impl Place {
    fn order(&mut self, order: &str) -> Result<(), Error> {
        let sent = self.commands.write_all(format!("{order}\n").as_bytes());
        sent.map_err(|_| Error::Unanswered)
    }
}

impl Seat for Place {
    fn hear(&mut self, what: &What) -> Result<Heard, Error> {
        let line = match what {
            What::Line(line) => line,
            What::Ended(Ok(_)) => return Ok(Heard::Lost("its keeper ended".into())),
            What::Ended(Err(failure)) => return Ok(Heard::Lost(failure.to_string())),
        };
        let number = |text: &str| text.parse::<u64>().ok();
        if let Some(proven) = line.strip_prefix("alive ").and_then(number) {
            self.proven = Duration::from_millis(proven);
        }
        match line.strip_prefix("granted ").and_then(number) {
            Some(epoch) => {
                self.epoch = Some(epoch);
                Ok(Heard::Granted(epoch))
            }
            None => Ok(Heard::Nothing),
        }
    }

    fn renew(&mut self) -> Result<Option<u64>, Error> {
        self.order("epoch").map(|()| None)
    }

    fn heirloom(&self) -> Option<BorrowedFd<'_>> {
        Some(self.lifeline.as_fd())
    }

    fn publish(&mut self, address: &str, host: &str) -> Result<(), Error> {
        self.order(&format!("publish {address} {host}"))
    }

    fn withdraw(&mut self) {
        // The keeper may be gone.
        let _ = self.order("withdraw");
    }

    fn prove(&mut self) -> Result<(), Error> {
        match self.epoch.is_none() || now().saturating_sub(self.proven) < PATIENCE {
            true => Ok(()),
            false => Err(Error::Unanswered),
        }
    }

    fn due(&self) -> Option<Instant> {
        self.epoch?;
        let left = (self.proven + PATIENCE).saturating_sub(now());
        Instant::now().checked_add(left)
    }
}

/// The process with the session.
struct Keeper {
    name: String,
    instance: i32,
    /// None once the supervisor is gone.
    orders: Option<File>,
    heard: Vec<u8>,
    life: OwnedFd,
    epoch: i64,
}

impl Keeper {
    fn keep(mut self, location: &Location, report: &mut Report) -> Result<String, String> {
        let said = |error: xcat_tables::Error| error.to_string();
        let supervisor = getppid();
        let mut session = LockSession::open(location).map_err(said)?;
        session.take(&self.name, self.instance).map_err(said)?;
        // From now on this process outlives the supervisor for as long as the server does.
        prctl::set_pdeathsig(None).map_err(|error| error.to_string())?;
        if getppid() != supervisor {
            return Ok(String::new());
        }
        self.grant(&mut session, report)?;
        loop {
            let began = now();
            session.prove().map_err(said)?;
            self.say(report, &format!("alive {}", began.as_millis()))?;
            if !self.wait(&mut session, report)? {
                return Ok(String::new());
            }
        }
    }

    fn grant(&mut self, session: &mut LockSession, report: &mut Report) -> Result<(), String> {
        let began = now();
        let epoch = session.next_epoch(&self.name, self.instance);
        self.epoch = epoch.map_err(|error| error.to_string())?;
        self.say(report, &format!("alive {}", began.as_millis()))?;
        self.say(report, &format!("granted {}", self.epoch))
    }

    /// Sleeps for a beat, or until there is something to do. False: nobody is left.
    fn wait(&mut self, session: &mut LockSession, report: &mut Report) -> Result<bool, String> {
        let beat = PollTimeout::try_from(BEAT).unwrap_or(PollTimeout::MAX);
        let mut polled = match &self.orders {
            Some(orders) => vec![PollFd::new(orders.as_fd(), PollFlags::POLLIN)],
            None => vec![PollFd::new(self.life.as_fd(), PollFlags::POLLIN)],
        };
        match poll(&mut polled, beat) {
            Ok(0) | Err(Errno::EINTR) => return Ok(true),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
        let Some(orders) = &mut self.orders else {
            // The pipe has no end any more; a byte in it would be the server's nonsense.
            return match nix::unistd::read(self.life.as_fd(), &mut [0; 64]) {
                Ok(0) => Ok(false),
                _ => Ok(true),
            };
        };
        let mut chunk = [0; 4096];
        match orders.read(&mut chunk) {
            Ok(0) => self.orders = None,
            Ok(count) => self.heard.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let rest = self.heard.split_off(end + 1);
            let line = std::mem::replace(&mut self.heard, rest);
            self.obey(
                &String::from_utf8_lossy(line.trim_ascii_end()),
                session,
                report,
            )?;
        }
        Ok(true)
    }

    fn obey(
        &mut self,
        order: &str,
        session: &mut LockSession,
        report: &mut Report,
    ) -> Result<(), String> {
        let address = order
            .strip_prefix("publish ")
            .and_then(|rest| rest.split_once(' '));
        let done = match (order, address) {
            ("epoch", _) => return self.grant(session, report),
            ("withdraw", _) => session.publish(&self.name, self.instance, self.epoch, None),
            (_, Some(_)) => session.publish(&self.name, self.instance, self.epoch, address),
            _ => Ok(()),
        };
        done.map_err(|error| error.to_string())
    }

    /// The supervisor may be gone, and then nobody needs to be told.
    fn say(&self, report: &mut Report, line: &str) -> Result<(), String> {
        match report.line(line) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
            _ => Ok(()),
        }
    }
}

/// Time since boot, also while the host sleeps: a lease runs on then.
fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
