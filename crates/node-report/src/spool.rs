//! Reports on their way to the table: files, durable before the node is told so.

use std::io::{Read, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::record::{FileName, LONGEST, Report, fits_a_file_name};
use single_server::{DirError, PrivateDir, errno};

/// More waiting reports than this are answered "busy".
const MOST: usize = 20_000;

/// And more of one node than this: one that reports with ever new nonces keeps nobody else out.
const MOST_OF_A_NODE: usize = 8;

/// Why a report was not taken. It is not acknowledged: the node tries again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The spool holds as much as it may.
    #[error("{0} reports wait already")]
    Full(usize),
    /// The node's name cannot be a file's name.
    #[error("the node's name does not fit a file's name")]
    Name,
    /// The system refused: a full disk above all.
    #[error("the spool: {0}")]
    System(Errno),
}

/// Why a spool file cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The system refused; another time it may not.
    #[error("{0}")]
    System(Errno),
    /// It is no report of ours, and never will be.
    #[error("{0}")]
    Content(String),
}

/// `/var/lib/xcat-nodetools/reports`: reports, and the folders `applied` (the newest of each node),
/// `loads` (the newest of each node of what `osload-agent` said) and `rejected`.
#[derive(Debug)]
pub struct Spool {
    dir: PrivateDir,
    applied: PrivateDir,
    loads: PrivateDir,
    rejected: PrivateDir,
}

/// Held while reports are applied; the kernel drops it with the process.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held for its Drop")] Flock<std::fs::File>);

impl Spool {
    /// Opens the spool under the project's state directory, making it if needed.
    pub fn open(state_dir: &Path) -> Result<Spool, DirError> {
        let dir = PrivateDir::open(&state_dir.join("reports"))?;
        let (applied, rejected) = (dir.inside("applied")?, dir.inside("rejected")?);
        let loads = dir.inside("loads")?;
        Ok(Spool {
            dir,
            applied,
            loads,
            rejected,
        })
    }

    /// Stores reports, one result each. On return every accepted one is on disk under its final
    /// name: file synced, renamed, directory synced once for all of them. An older report of the same
    /// node that still waits is replaced.
    pub fn store(&self, reports: &[Report]) -> Vec<Result<(), StoreError>> {
        let waiting = match self.waiting() {
            Ok(waiting) => waiting,
            Err(_) => {
                return reports
                    .iter()
                    .map(|_| Err(StoreError::System(Errno::EIO)))
                    .collect();
            }
        };
        let mut results: Vec<Result<(), StoreError>> = reports
            .iter()
            .enumerate()
            .map(|(at, report)| {
                let count = waiting.len() + at;
                let of_node = waiting.iter().filter(|(_, name)| name.node == report.node);
                if count >= MOST || of_node.count() >= MOST_OF_A_NODE {
                    Err(StoreError::Full(count))
                } else {
                    self.write(report, at)
                }
            })
            .collect();
        if let Err(why) = self.dir.sync() {
            results
                .iter_mut()
                .filter(|result| result.is_ok())
                .for_each(|result| *result = Err(StoreError::System(why)));
            return results;
        }
        for (report, _) in reports
            .iter()
            .zip(&results)
            .filter(|(_, result)| result.is_ok())
        {
            let older = waiting
                .iter()
                .filter(|(_, name)| name.node == report.node && name.time < report.received);
            for (file, _) in older {
                // One with another nonce stays: which of them counts is judged when they are applied.
                let same = matches!(self.read(file), Some(Ok(older)) if report.replaces(&older));
                // If the removal is lost in a crash the older one is applied first, then this one.
                if same {
                    let _ = self.dir.remove(file);
                }
            }
        }
        results
    }

    /// The waiting reports in the order of their arrival: file name, and what it says.
    pub fn waiting(&self) -> Result<Vec<(String, FileName)>, DirError> {
        Ok(self
            .dir
            .names()?
            .into_iter()
            .filter_map(|name| FileName::parse(&name).map(|parsed| (name, parsed)))
            .collect())
    }

    /// Waits for, then holds, the right to apply. Holders do bounded work.
    pub fn lock(&self) -> Result<Lock, DirError> {
        let file = self
            .dir
            .open_file(".lock", OFlag::O_RDWR | OFlag::O_CREAT, 0o600)
            .map_err(|why| self.dir.error(".lock", why))?;
        match Flock::lock(file, FlockArg::LockExclusive) {
            Ok(lock) => {
                self.sweep();
                Ok(Lock(lock))
            }
            Err((_, why)) => Err(self.dir.error(".lock", why)),
        }
    }

    /// Reads a waiting report. `None`: somebody replaced it meanwhile by a newer one.
    pub fn read(&self, file: &str) -> Option<Result<Report, Unreadable>> {
        read_file(&self.dir, file)
    }

    /// When the newest applied report of the node came, if one is known.
    pub fn applied_at(&self, node: &str) -> Option<u64> {
        self.last(node).map(|report| report.received)
    }

    /// The newest applied report of the node: it holds more than the table's column does.
    pub fn last(&self, node: &str) -> Option<Report> {
        read_file(&self.applied, node)?.ok()
    }

    /// The newest that the node's `osload-agent` said and somebody has seen: a verdict that came after
    /// its osload had died is found here.
    pub fn last_load(&self, node: &str) -> Option<Report> {
        read_file(&self.loads, node)?.ok()
    }

    /// Takes applied reports out of the queue: each becomes the node's newest applied one.
    pub fn settle(&self, files: &[(String, String)]) -> Result<(), DirError> {
        self.move_to(&self.applied, files)
    }

    /// The same for what `osload-agent` said.
    pub(crate) fn settle_loads(&self, files: &[(String, String)]) -> Result<(), DirError> {
        self.move_to(&self.loads, files)
    }

    fn move_to(&self, folder: &PrivateDir, files: &[(String, String)]) -> Result<(), DirError> {
        if files.is_empty() {
            return Ok(());
        }
        for (file, node) in files {
            match self.dir.rename(file, folder, node) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(why) => return Err(self.dir.error(file, why)),
            }
        }
        folder
            .sync()
            .and_then(|()| self.dir.sync())
            .map_err(|why| self.dir.error(".", why))
    }

    /// Drops a report that is older than what the table holds.
    pub fn discard(&self, file: &str) -> Result<(), DirError> {
        self.dir
            .remove(file)
            .map_err(|why| self.dir.error(file, why))
    }

    /// Puts a report aside that can never be applied, where an administrator finds it: the newest of
    /// each node, so that no node can fill the disk.
    pub fn reject(&self, file: &str, node: &str) -> Result<(), DirError> {
        match self.dir.rename(file, &self.rejected, node) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(why) => Err(self.dir.error(file, why)),
        }
    }

    fn write(&self, report: &Report, at: usize) -> Result<(), StoreError> {
        if !fits_a_file_name(&report.node) {
            return Err(StoreError::Name);
        }
        let pid = std::process::id();
        let hidden = format!(".{pid}.{at}.new");
        let write = || -> Result<(), Errno> {
            let text = serde_json::to_vec(report).map_err(|_| Errno::EINVAL)?;
            self.dir.remove(&hidden)?;
            let mut file = self.dir.open_file(
                &hidden,
                OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL,
                0o600,
            )?;
            file.write_all(&text)
                .and_then(|()| file.sync_all())
                .map_err(|error| errno(&error))?;
            self.dir.rename(&hidden, &self.dir, &report.file_name(pid))
        };
        write().map_err(|why| {
            // On a full disk the half-written file is what fills it.
            let _ = self.dir.remove(&hidden);
            StoreError::System(why)
        })
    }

    /// Half-written files of processes that are gone.
    fn sweep(&self) {
        for name in self.dir.names().unwrap_or_default() {
            let pid = name
                .strip_prefix('.')
                .and_then(|rest| rest.strip_suffix(".new"))
                .and_then(|rest| rest.split('.').next()?.parse().ok());
            if pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)) {
                let _ = self.dir.remove(&name);
            }
        }
    }
}

fn read_file(dir: &PrivateDir, name: &str) -> Option<Result<Report, Unreadable>> {
    let file = match dir.open_file(name, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0) {
        Ok(file) => file,
        Err(Errno::ENOENT) => return None,
        Err(Errno::ELOOP) => return Some(Err(Unreadable::Content("is a symbolic link".into()))),
        Err(why) => return Some(Err(Unreadable::System(why))),
    };
    let mut text = Vec::new();
    match file.take(LONGEST + 1).read_to_end(&mut text) {
        Ok(_) if text.len() as u64 > LONGEST => Some(Err(Unreadable::Content(format!(
            "is longer than {LONGEST} bytes"
        )))),
        Ok(_) => Some(Report::parse(&text).map_err(Unreadable::Content)),
        Err(error) => Some(Err(Unreadable::System(errno(&error)))),
    }
}
