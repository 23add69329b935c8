//! The lock of a file: in a local directory, or on a filesystem whose locks hold in the cluster.
//!
//! Beside a kind's own files: `NAME.need`, which says at which epochs a server was asked for, and
//! `NAME.agents/`, a locked file for each process that can start one.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use fork_worker::{Job, What};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::engine::{Engine, Heard, Instance, Seat, Seen};
use crate::error::Error;
use crate::held::Held;
use crate::kind::Kind;
use crate::lock::Lock;

/// What a waiter says.
const GRANTED: &str = "granted";

/// Files of a kind as an engine.
#[derive(Debug)]
pub(crate) struct Flock {
    kind: Kind,
    changes: Option<Inotify>,
    registered: Option<Lock>,
}

/// A place in the kernel's queue for the lock.
#[derive(Debug)]
pub(crate) struct Place {
    kind: Kind,
    lock: Option<Lock>,
    pub(crate) held: Option<Held>,
}

impl Flock {
    pub(crate) fn new(kind: Kind) -> Flock {
        Flock {
            kind,
            changes: None,
            registered: None,
        }
    }

    /// All epochs in one number, which changes whenever a server begins.
    fn epochs(&self) -> Result<u64, Error> {
        let mut sum = 0_u64;
        for number in 1..=self.kind.instances()? {
            sum = sum.wrapping_add(self.kind.instance(number).last_epoch()?);
        }
        Ok(sum)
    }

    fn need(&self) -> PathBuf {
        self.kind.dir().join(format!("{}.need", self.kind.name()))
    }

    fn agents(&self) -> PathBuf {
        self.kind.dir().join(format!("{}.agents", self.kind.name()))
    }

    /// The files of those who live; what the dead left is removed.
    fn living(&self) -> Result<usize, Error> {
        let path = self.agents();
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            other => other.map_err(Error::io(&path))?,
        };
        let mut living = 0;
        for entry in entries {
            let path = entry.map_err(Error::io(&path))?.path();
            match Lock::is_held(&path)? {
                true => living += 1,
                false => drop(std::fs::remove_file(&path)),
            }
        }
        Ok(living)
    }
}

impl Engine for Flock {
    fn look(&mut self) -> Result<Seen, Error> {
        let mut instances = Vec::new();
        for number in 1..=self.kind.instances()? {
            let kind = self.kind.instance(number);
            let published = kind.published()?;
            instances.push(Instance {
                epoch: kind.last_epoch()?,
                held: kind.is_held()?,
                address: published.and_then(|published| {
                    let (address, host) = published.address.split_once(' ')?;
                    Some((address.into(), host.into()))
                }),
            });
        }
        let asked = std::fs::read_to_string(self.need()).unwrap_or_default();
        Ok(Seen {
            asked: asked.trim_end().parse() == Ok(self.epochs()?),
            instances,
            agents: self.living()?,
        })
    }

    fn pause(&mut self, most: Duration) -> Result<(), Error> {
        let refused = |error: Errno| Error::io(self.kind.dir())(error.into());
        if self.changes.is_none() {
            let flags = InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC;
            let changes = Inotify::init(flags).map_err(refused)?;
            // The last close of a lock's file is its holder's end.
            let events = AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_DELETE
                | AddWatchFlags::IN_CLOSE_WRITE
                | AddWatchFlags::IN_ONLYDIR;
            changes
                .add_watch(self.kind.dir(), events)
                .map_err(refused)?;
            self.changes = Some(changes);
        }
        let Some(changes) = &self.changes else {
            return Ok(());
        };
        let mut polled = [PollFd::new(changes.as_fd(), PollFlags::POLLIN)];
        match poll(
            &mut polled,
            PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX),
        ) {
            Ok(0) | Err(Errno::EINTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(refused(error)),
        }
        match changes.read_events() {
            // The directory is another one, or none: watch anew.
            Ok(events)
                if events
                    .iter()
                    .any(|event| event.mask.contains(AddWatchFlags::IN_IGNORED)) =>
            {
                self.changes = None;
                Ok(())
            }
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }

    fn register(&mut self) -> Result<(), Error> {
        let dir = self.agents();
        match std::fs::create_dir(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(Error::io(&dir)(error));
            }
            _ => {}
        }
        let path = dir.join(format!("{}.{}", crate::host(), std::process::id()));
        loop {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .custom_flags(OFlag::O_NOFOLLOW.bits())
                .open(&path)
                .map_err(Error::io(&path))?;
            let lock = Lock::from_descriptor(file.into(), &path);
            lock.show_life()?;
            // Until it was locked, others took it for a dead one's.
            if lock.is_current()? {
                self.registered = Some(lock);
                return Ok(());
            }
        }
    }

    fn ask(&mut self) -> Result<(), Error> {
        let (path, beside) = (self.need(), self.kind.instance(0).beside());
        let beside = beside.with_extension(format!("need.{}", std::process::id()));
        let text = format!("{}\n", self.epochs()?);
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, &path))
            .map_err(Error::io(&path))
    }

    fn init(&mut self, instances: u32) -> Result<(), Error> {
        self.kind.init(instances)
    }

    fn line_up(&self, instance: u32) -> Result<(Box<dyn Seat>, Job), Error> {
        let (place, job) = Place::new(self.kind.instance(instance))?;
        Ok((Box::new(place), job))
    }
}

impl Place {
    /// The process blocks in flock on the same open file, so that when it is granted we have it too;
    /// its end is the grant.
    pub(crate) fn new(kind: Kind) -> Result<(Place, Job), Error> {
        let lock = Lock::open(&kind.lock())?;
        let copy = lock.copy()?;
        let number = copy.as_raw_fd();
        let job = Job::new(move |report| {
            loop {
                match copy.lock() {
                    // Said, which is quicker than an end.
                    Ok(()) => {
                        let said = report.line(GRANTED);
                        return said
                            .map(|()| String::new())
                            .map_err(|error| error.to_string());
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.to_string()),
                }
            }
        });
        let place = Place {
            kind,
            lock: Some(lock),
            held: None,
        };
        Ok((place, job.keep(number)))
    }

    fn held(&mut self) -> Result<&mut Held, Error> {
        let path = self.kind.lock();
        self.held.as_mut().ok_or(Error::NotHeld(path))
    }
}

impl Seat for Place {
    fn hear(&mut self, what: &What) -> Result<Heard, Error> {
        let lock = match (what, self.lock.take()) {
            (What::Line(said), Some(lock)) if said == GRANTED => lock,
            (What::Ended(Err(failure)), Some(_)) => return Ok(Heard::Lost(failure.to_string())),
            // The waiter has done its work.
            (_, lock) => {
                self.lock = lock;
                return Ok(Heard::Nothing);
            }
        };
        // The file was replaced while we stood in line: another line counts now.
        if !lock.is_current()? {
            return Ok(Heard::Again);
        }
        let held = Held::begin(self.kind.clone(), lock)?;
        let epoch = held.epoch();
        self.held = Some(held);
        Ok(Heard::Granted(epoch))
    }

    fn renew(&mut self) -> Result<Option<u64>, Error> {
        self.held()?.renew().map(Some)
    }

    fn heirloom(&self) -> Option<BorrowedFd<'_>> {
        self.held.as_ref().map(AsFd::as_fd)
    }

    fn publish(&mut self, address: &str, host: &str) -> Result<(), Error> {
        self.held()?.publish(&format!("{address} {host}"))
    }

    fn withdraw(&mut self) {
        if let Some(held) = &self.held {
            // Left behind it is disbelieved.
            let _ = held.withdraw();
        }
    }

    fn prove(&mut self) -> Result<(), Error> {
        let path = self.kind.lock();
        match self.held()?.is_valid()? {
            true => Ok(()),
            false => Err(Error::Replaced(path)),
        }
    }
}
