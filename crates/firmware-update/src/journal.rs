//! A run's folder: its journal, its copies of the archives, who works on it.
//!
//! `/var/lib/xcat-nodetools/rflash/ID/` holds `journal` (a JSON object a line: the plan, then nodes as
//! they change, in the end the end), `image-N.tar`, and `lock`, which the working process holds. The
//! order on disk: archives and the first line, each followed by fsync, then the folder gets its name;
//! so a folder that has its name is whole.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tls::Sha256;

use crate::node::Node;
use crate::plan::Plan;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// A journal longer than this is not ours: 10,000 nodes with 100 changes each stay below.
const JOURNAL_LIMIT: u64 = 4 << 30;
const LINE_LIMIT: usize = 64 << 20;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Begin {
        format: u32,
        started: u64,
        plan: Plan,
    },
    Node(Node),
    /// The run is over; nothing is left to resume.
    End {
        why: String,
        at: u64,
    },
}

/// Why a run cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system's words.
    #[error("{}: {source}", path.display())]
    Io {
        /// What could not be read or written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a name of a run.
    #[error("{0}: no such run")]
    NoSuchRun(String),
    /// Journals are believed only if nobody else could write them.
    #[error("{}: others may write there, so it is not believed", .0.display())]
    NotOurs(PathBuf),
    /// Written by a later version.
    #[error("{}: has format {found}, this version reads up to {FORMAT}", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Not what we write.
    #[error("{}: line {line}: {why}", path.display())]
    Broken {
        /// The journal.
        path: PathBuf,
        /// Which line.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// Somebody works on it.
    #[error("{0}: is being worked on by process {1}")]
    Busy(String, String),
    /// The file is another one than was asked for.
    #[error("{}: has SHA-256 {found}, not {wanted}", path.display())]
    Digest {
        /// The archive.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What it has.
        found: String,
    },
}

/// A run as its journal has it.
#[derive(Debug, Clone)]
pub struct Journal {
    /// Its name.
    pub id: String,
    /// Milliseconds since 1970.
    pub started: u64,
    /// What is to be done.
    pub plan: Plan,
    /// Every node at its last line; nodes without a line stand at the beginning.
    pub nodes: BTreeMap<String, Node>,
    /// Why it ended, if it did.
    pub ended: Option<String>,
    /// When it ended.
    pub ended_at: Option<u64>,
}

/// A run that this process works on. The lock goes with it.
#[derive(Debug)]
pub struct Folder {
    id: String,
    path: PathBuf,
    journal: File,
    pending: Vec<u8>,
    _lock: File,
}

/// Where runs are kept.
pub fn directory() -> PathBuf {
    program::paths::state_dir().join("rflash")
}

impl Folder {
    /// Makes a run's folder: copies the archives (their digests go into the plan) and writes the first
    /// line. `wanted` is the digest that the first archive must have.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Digest`].
    pub fn create(plan: &mut Plan, wanted: Option<&str>) -> Result<Folder, Error> {
        let all = directory();
        make(&all)?;
        let started = now();
        let hidden = all.join(format!(".new.{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&hidden);
        make(&hidden)?;
        let folder = Folder::fill(&hidden, plan, wanted, started);
        let folder = match folder {
            Ok(folder) => folder,
            Err(error) => {
                let _ = std::fs::remove_dir_all(&hidden);
                return Err(error);
            }
        };
        // The name: time and pid, so that two of one second differ.
        let id = format!("{started}-{}", std::process::id());
        let path = all.join(&id);
        std::fs::rename(&hidden, &path).map_err(io_error(&path))?;
        sync_directory(&all)?;
        Ok(Folder { id, path, ..folder })
    }

    fn fill(
        hidden: &Path,
        plan: &mut Plan,
        wanted: Option<&str>,
        started: u64,
    ) -> Result<Folder, Error> {
        for (number, image) in plan.images.iter_mut().enumerate() {
            if image.id.is_some() {
                continue;
            }
            image.sha256 = copy(&image.path, &hidden.join(image_name(number)))?;
            if let Some(wanted) = wanted
                && !wanted.eq_ignore_ascii_case(&image.sha256)
            {
                return Err(Error::Digest {
                    path: image.path.clone(),
                    wanted: wanted.to_string(),
                    found: image.sha256.clone(),
                });
            }
        }
        let lock = lock(hidden)?
            .ok_or_else(|| Error::Busy(hidden.display().to_string(), String::new()))?;
        let path = hidden.join("journal");
        let journal = private()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(io_error(&path))?;
        let mut folder = Folder {
            id: String::new(),
            path: hidden.to_path_buf(),
            journal,
            pending: Vec::new(),
            _lock: lock,
        };
        folder.push(&Line::Begin {
            format: FORMAT,
            started,
            plan: plan.clone(),
        });
        folder.flush()?;
        sync_directory(hidden)?;
        Ok(folder)
    }

    /// Takes a run over that nobody works on.
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody does; see [`read`].
    pub fn resume(id: &str) -> Result<(Folder, Journal), Error> {
        let path = folder_of(id)?;
        let mut lock = lock(&path)?;
        // Somebody who only looks has it for a moment, and leaves no number.
        for _ in 0..100 {
            if lock.is_some() || !holder(&path).is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            lock = self::lock(&path)?;
        }
        let Some(lock) = lock else {
            return Err(Error::Busy(id.to_string(), holder(&path)));
        };
        let run = read(id)?;
        let name = path.join("journal");
        let journal = private()
            .append(true)
            .open(&name)
            .map_err(io_error(&name))?;
        // What a torn last line left must not join the next one.
        let length = whole_lines(&name)?;
        journal.set_len(length).map_err(io_error(&name))?;
        let folder = Folder {
            id: id.to_string(),
            path,
            journal,
            pending: Vec::new(),
            _lock: lock,
        };
        Ok((folder, run))
    }

    /// The run's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The copy of an archive.
    pub fn image(&self, number: usize) -> PathBuf {
        self.path.join(image_name(number))
    }

    /// Notes a node's change; on disk with the next [`Folder::flush`].
    pub fn note(&mut self, node: &Node) {
        self.push(&Line::Node(node.clone()));
    }

    /// Notes that the run is over.
    pub fn end(&mut self, why: &str) {
        self.push(&Line::End {
            why: why.to_string(),
            at: now(),
        });
    }

    /// Writes what was noted, and returns when it is on disk.
    ///
    /// # Errors
    /// [`Error::Io`]: then nothing more may be done that rests on it.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let path = self.path.join("journal");
        self.journal
            .write_all(&pending)
            .and_then(|()| self.journal.sync_data())
            .map_err(io_error(&path))
    }

    fn push(&mut self, line: &Line) {
        // Our own types, without maps whose keys are no texts: they always have a form.
        if let Ok(text) = serde_json::to_string(line) {
            self.pending.extend_from_slice(text.as_bytes());
            self.pending.push(b'\n');
        }
    }
}

/// Reads a run's journal. A last line without its end was torn by a crash and never took effect.
///
/// # Errors
/// [`Error`], for a journal that is not there, not ours, newer or broken.
pub fn read(id: &str) -> Result<Journal, Error> {
    let folder = folder_of(id)?;
    let path = folder.join("journal");
    believed(&folder)?;
    believed(&path)?;
    let file = File::open(&path).map_err(io_error(&path))?;
    let length = file.metadata().map_err(io_error(&path))?.len();
    let broken = |line: usize, why: String| Error::Broken {
        path: path.clone(),
        line,
        why,
    };
    if length > JOURNAL_LIMIT {
        return Err(broken(0, format!("has {length} bytes")));
    }
    let mut lines = io::BufReader::new(file);
    let mut run: Option<Journal> = None;
    let mut number = 0;
    let mut text = Vec::new();
    loop {
        text.clear();
        number += 1;
        let mut limited = Read::take(&mut lines, LINE_LIMIT as u64);
        io::BufRead::read_until(&mut limited, b'\n', &mut text).map_err(io_error(&path))?;
        if text.last() != Some(&b'\n') {
            break;
        }
        if number == 1 {
            newer(&path, &text)?;
        }
        let line: Line =
            serde_json::from_slice(&text).map_err(|error| broken(number, error.to_string()))?;
        match (line, &mut run) {
            (Line::Begin { started, plan, .. }, None) => {
                let nodes = plan
                    .nodes
                    .iter()
                    .map(|name| (name.clone(), Node::new(name, plan.images.len())));
                run = Some(Journal {
                    id: id.to_string(),
                    started,
                    nodes: nodes.collect(),
                    plan,
                    ended: None,
                    ended_at: None,
                });
            }
            (Line::Node(node), Some(run)) => match run.nodes.get_mut(&node.node) {
                Some(slot) => *slot = node,
                None => {
                    return Err(broken(
                        number,
                        format!("{}: is no node of this run", node.node),
                    ));
                }
            },
            (Line::End { why, at }, Some(run)) => {
                run.ended = Some(why);
                run.ended_at = Some(at);
            }
            _ => return Err(broken(number, "does not belong here".into())),
        }
    }
    run.ok_or_else(|| broken(1, "is not whole".into()))
}

/// All runs, oldest first; what cannot be read is left out.
pub fn list() -> Vec<String> {
    let entries = std::fs::read_dir(directory())
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_id(name)).collect();
    names.sort();
    names
}

/// The process that works on a run, if one does; its number may be unknown at the very beginning.
///
/// # Errors
/// [`Error::NoSuchRun`], [`Error::Io`].
pub fn worker(id: &str) -> Result<Option<String>, Error> {
    let folder = folder_of(id)?;
    let path = folder.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        // Whoever makes the folder makes its lock first.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(&path)(error)),
    };
    // Shared, so that two who look do not take each other for the worker.
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(std::fs::TryLockError::WouldBlock) => Ok(Some(holder(&folder))),
        Err(std::fs::TryLockError::Error(error)) => Err(io_error(&path)(error)),
    }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
}

fn is_id(id: &str) -> bool {
    let digits = |part: &str| {
        !part.is_empty() && part.len() < 20 && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    id.split_once('-')
        .is_some_and(|(time, pid)| digits(time) && digits(pid))
}

fn folder_of(id: &str) -> Result<PathBuf, Error> {
    let path = directory().join(id);
    if is_id(id) && path.is_dir() {
        Ok(path)
    } else {
        Err(Error::NoSuchRun(id.to_string()))
    }
}

fn image_name(number: usize) -> String {
    format!("image-{number}.tar")
}

/// Takes the folder's lock, or says that somebody has it. The holder's pid is in the file.
fn lock(folder: &Path) -> Result<Option<File>, Error> {
    let path = folder.join("lock");
    let mut file = private()
        .create(true)
        .truncate(false)
        .read(true)
        .open(&path)
        .map_err(io_error(&path))?;
    match file.try_lock() {
        Ok(()) => {
            let pid = std::process::id().to_string();
            file.set_len(0)
                .and_then(|()| file.write_all(pid.as_bytes()))
                .map_err(io_error(&path))?;
            Ok(Some(file))
        }
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(io_error(&path)(error)),
    }
}

/// The number in the lock, if that process has the lock open: a number that was left by a dead one
/// may be anybody's by now.
fn holder(folder: &Path) -> String {
    let path = folder.join("lock");
    let pid = std::fs::read_to_string(&path).unwrap_or_default();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let mut open = open.into_iter().flatten().flatten();
    let it = std::fs::canonicalize(&path).ok();
    match open.any(|file| std::fs::read_link(file.path()).ok() == it) {
        true => pid,
        false => String::new(),
    }
}

/// Copies, digests on the way, and returns when the copy is on disk.
fn copy(from: &Path, to: &Path) -> Result<String, Error> {
    let mut source = File::open(from).map_err(io_error(from))?;
    let mut target = private().create_new(true).open(to).map_err(io_error(to))?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        let count = source.read(&mut chunk).map_err(io_error(from))?;
        if count == 0 {
            break;
        }
        digest.update(&chunk[..count]);
        target.write_all(&chunk[..count]).map_err(io_error(to))?;
    }
    target.sync_all().map_err(io_error(to))?;
    Ok(hex(&digest.finish()))
}

/// The digest of a file, as `sha256sum` prints it.
///
/// # Errors
/// [`Error::Io`].
pub fn digest(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(io_error(path))?;
    let mut digest = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk).map_err(io_error(path))? {
            0 => return Ok(hex(&digest.finish())),
            count => digest.update(&chunk[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The length without a torn last line.
fn whole_lines(path: &Path) -> Result<u64, Error> {
    let bytes = std::fs::read(path).map_err(io_error(path))?;
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    Ok(whole as u64)
}

/// Refuses formats that only a later version understands, before anything else of the line is read.
fn newer(path: &Path, text: &[u8]) -> Result<(), Error> {
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    match value["begin"]["format"].as_u64() {
        Some(found) if found > u64::from(FORMAT) => Err(Error::Newer {
            path: path.to_path_buf(),
            found: u32::try_from(found).unwrap_or(u32::MAX),
        }),
        _ => Ok(()),
    }
}

fn believed(path: &Path) -> Result<(), Error> {
    let meta = std::fs::symlink_metadata(path).map_err(io_error(path))?;
    let ours = meta.uid() == nix::unistd::geteuid().as_raw() && meta.mode() & 0o022 == 0;
    if ours && !meta.file_type().is_symlink() {
        Ok(())
    } else {
        Err(Error::NotOurs(path.to_path_buf()))
    }
}

fn make(path: &Path) -> Result<(), Error> {
    let mut builder = std::fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io_error(path))
}

fn private() -> OpenOptions {
    let mut options = File::options();
    options.write(true).mode(0o600);
    options
}

fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error(path))
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |source| Error::Io {
        path: path.clone(),
        source,
    }
}
