//! What a kind of lock must be able to do.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fork_worker::{Job, What};
use serde::{Deserialize, Serialize};
use xcat_tables::Location;

use crate::database::Database;
use crate::error::Error;
use crate::flock::Flock;
use crate::kind::Kind;

/// Where the lock of a kind is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockAt {
    /// Files in a directory: on this host, or on a filesystem whose locks hold in the cluster.
    Directory(PathBuf),
    /// The database of the tables.
    Database(Location),
}

/// A kind's lock, as a candidate or an onlooker uses it.
pub trait Engine: fmt::Debug {
    /// What everybody can see. May keep a connection from one look to the next, so a process that is
    /// going to fork never looks.
    ///
    /// # Errors
    /// If it cannot be seen.
    fn look(&mut self) -> Result<Seen, Error>;

    /// Sleeps until something may have changed, but not longer than this.
    ///
    /// # Errors
    /// If there is nothing to wait for.
    fn pause(&mut self, most: Duration) -> Result<(), Error>;

    /// Counts this process among those that can start a server, until it ends.
    ///
    /// # Errors
    /// If it cannot be noted where all can see it.
    fn register(&mut self) -> Result<(), Error>;

    /// Asks those who are registered for a server.
    ///
    /// # Errors
    /// If it cannot be noted where all can see it.
    fn ask(&mut self) -> Result<(), Error>;

    /// Makes the kind, or changes how many instances there may be.
    ///
    /// # Errors
    /// As [`Kind::init`].
    fn init(&mut self, instances: u32) -> Result<(), Error>;

    /// A place in the line of an instance, and the process that stands there.
    ///
    /// # Errors
    /// If there is no such line.
    fn line_up(&self, instance: u32) -> Result<(Box<dyn Seat>, Job), Error>;
}

/// A place in the line; later, the lock. Dropping it lets go.
pub trait Seat: fmt::Debug {
    /// What the process at this place said, or how it ended.
    ///
    /// # Errors
    /// If the lock was granted and no epoch could be had for it: then there must be no server.
    fn hear(&mut self, what: &What) -> Result<Heard, Error>;

    /// A new incarnation under the same lock: its epoch, or None if [`Seat::hear`] will say it.
    ///
    /// # Errors
    /// If it cannot be written.
    fn renew(&mut self) -> Result<Option<u64>, Error>;

    /// What the server inherits: while any copy is open, nobody else gets the lock.
    fn heirloom(&self) -> Option<BorrowedFd<'_>>;

    /// Tells everybody where the server is.
    ///
    /// # Errors
    /// If that cannot be written.
    fn publish(&mut self, address: &str, host: &str) -> Result<(), Error>;

    /// Takes the address back.
    fn withdraw(&mut self);

    /// Looks, once a second and when it is due, whether this is still the lock.
    ///
    /// # Errors
    /// What is wrong with it: then the server has to end at once.
    fn prove(&mut self) -> Result<(), Error>;

    /// When it has to be looked at, if not only once a second.
    fn due(&self) -> Option<Instant> {
        None
    }
}

/// What there was to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that matters.
    Nothing,
    /// The lock is ours, and this is the epoch.
    Granted(u64),
    /// This line is not the one that counts any more: line up again.
    Again,
    /// The lock is gone, or could not be waited for: why.
    Lost(String),
}

/// What everybody can see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Each instance that may be, from the first on.
    pub instances: Vec<Instance>,
    /// Somebody asked for a server since the last one began.
    pub asked: bool,
    /// How many processes are registered.
    pub agents: usize,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The greatest epoch.
    pub epoch: u64,
    /// Somebody holds its lock.
    pub held: bool,
    /// Where the server is, and on which host, if it has said so.
    pub address: Option<(String, String)>,
}

impl LockAt {
    /// The engine for a kind's lock.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn engine(&self, name: &str) -> Result<Box<dyn Engine>, Error> {
        match self {
            LockAt::Directory(dir) => Ok(Box::new(Flock::new(Kind::new(dir, name)?))),
            LockAt::Database(location) => {
                // As careful as with files.
                Kind::new(std::path::Path::new(""), name)?;
                Ok(Box::new(Database::new(location, name)))
            }
        }
    }
}
