//! What runs on this host, and whether it is what it says.

use std::os::unix::fs::MetadataExt;

use crate::board::Board;
use crate::engine::LockAt;
use crate::epoch;
use crate::error::Error;
use crate::event::{Event, What};
use crate::kind::Kind;
use crate::process::Process;

/// Where this host stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of the kind runs here.
    Nothing,
    /// No supervisor, but its server still runs.
    Abandoned(Process),
    /// A supervisor, and no server.
    Standby,
    /// A supervisor that does not start its server again by itself.
    Failed,
    /// The server runs here.
    Owner(Process),
    /// A server should run here, and does not, or is in doubt.
    Broken(String),
}

/// One look.
#[derive(Debug)]
pub struct Status {
    /// The supervisor on this host.
    pub supervisor: Option<Process>,
    /// Where this host stands.
    pub standing: Standing,
    /// The newest event about the server of this host.
    pub own: Option<Event>,
    name: String,
    lock: LockAt,
}

impl Status {
    /// Looks at processes and files of this host only.
    ///
    /// # Errors
    /// If this host's directory cannot be used.
    pub fn look(name: &str, lock: &LockAt) -> Result<Status, Error> {
        let board = Board::open(name)?;
        let published = board.supervisor()?.published()?;
        let supervisor = published.and_then(|published| Process::parse(&published.address));
        let supervisor = supervisor.filter(Process::lives);
        let server = board.server();
        let mut state = board.state().into_iter();
        // Of another host's server no process is known.
        let own = state.find(|event| match event.event {
            What::Lost | What::Failed => false,
            _ => event.pid != 0,
        });
        let standing = match (&supervisor, &own, server) {
            (None, _, Some(server)) => Standing::Abandoned(server),
            (None, _, None) => Standing::Nothing,
            (Some(_), _, None) if board.failed().is_some() => Standing::Failed,
            (Some(_), Some(own), Some(server)) => match own.event {
                What::Starting | What::Ready => Standing::Owner(server),
                _ => Standing::Broken(own.reason.clone().unwrap_or_else(|| "suspect".into())),
            },
            (Some(_), Some(_), None) => Standing::Broken("the server is gone".into()),
            (Some(_), None, Some(_)) => Standing::Broken("the server is ending".into()),
            (Some(_), None, None) => Standing::Standby,
        };
        Ok(Status {
            supervisor,
            standing,
            own,
            name: name.into(),
            lock: lock.clone(),
        })
    }

    /// Depth 10: the lock is really held for this host's server, and its epoch is the greatest. Depth
    /// 20: what is published, what is stored and what this host says agree. Only for an owner.
    ///
    /// # Errors
    /// What is not so.
    pub fn confirm(&self, depth: u32) -> Result<(), String> {
        let (Standing::Owner(server), Some(own)) = (&self.standing, &self.own) else {
            return Err("is not the owner".into());
        };
        let engine = self.lock.engine(&self.name);
        let seen = engine.and_then(|mut engine| engine.look());
        let seen = seen.map_err(|error| error.to_string())?;
        let number = usize::try_from(own.instance).unwrap_or(0).wrapping_sub(1);
        let instance = seen
            .instances
            .get(number)
            .ok_or("there are fewer instances")?;
        if !instance.held {
            return Err("nobody holds the lock".into());
        }
        if instance.epoch != own.epoch {
            return Err(format!(
                "epoch {} is not the greatest, which is {}",
                own.epoch, instance.epoch
            ));
        }
        if let LockAt::Directory(dir) = &self.lock {
            let kind = Kind::new(dir, &self.name).map_err(|error| error.to_string())?;
            let kind = kind.instance(own.instance);
            let holders = [Some(*server), self.supervisor];
            let held = holders
                .into_iter()
                .flatten()
                .any(|process| holds(process.pid, &kind));
            if !held {
                return Err("the lock is not held by this server".into());
            }
            if depth >= 20 && !epoch::is_whole(&kind.epoch()).map_err(|error| error.to_string())? {
                return Err("a slot of the epoch file is damaged".into());
            }
        }
        let address = instance.address.as_ref().map(|(address, _)| address);
        if depth >= 20 && address != own.address.as_ref() {
            return Err("what is published is not what this host says".into());
        }
        Ok(())
    }
}

/// True if a descriptor of the process is the kind's lock file, locked.
fn holds(pid: i32, kind: &Kind) -> bool {
    let Ok(lock) = kind.lock().metadata() else {
        return false;
    };
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    descriptors.flatten().any(|entry| {
        let same = std::fs::metadata(entry.path())
            .is_ok_and(|file| (file.dev(), file.ino()) == (lock.dev(), lock.ino()));
        let info = entry.file_name().into_string().map(|number| {
            std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).unwrap_or_default()
        });
        same && info.is_ok_and(|info| info.lines().any(is_flock))
    })
}

fn is_flock(line: &str) -> bool {
    line.starts_with("lock:") && line.contains("FLOCK") && line.contains("WRITE")
}
