//! What was moved, on disk: the way to finish and the way back.
//!
//! One directory per move under `/var/lib/xcat-nodetools/snmove`: `plan.json` as it was decided, and `log`, a line of
//! JSON for each thing done, each on disk before the next begins.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::plan::{FORMAT, Plan};

/// Largest file that is read back: 100,000 nodes make a tenth of it.
const LIMIT: u64 = 1 << 30;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// All rows are written.
    Written,
    /// The step of this number was taken; these nodes failed, with the reason.
    Step(usize, BTreeMap<String, String>),
    /// All steps were taken.
    Ended,
    /// The rows were put back, but for these, which somebody has changed since.
    Undone(Vec<String>),
}

/// A move that was begun.
#[derive(Debug, Clone)]
pub struct Record {
    /// Seconds since 1970 at its start, and the number of the process.
    pub id: String,
    /// What was decided.
    pub plan: Plan,
    /// What was done, in order.
    pub notes: Vec<Note>,
}

impl Record {
    /// True if neither all its steps were taken nor its rows put back.
    pub fn is_unfinished(&self) -> bool {
        !self
            .notes
            .iter()
            .any(|note| matches!(note, Note::Ended | Note::Undone(_)))
    }

    /// True if its rows were put back.
    pub fn is_undone(&self) -> bool {
        self.notes
            .iter()
            .any(|note| matches!(note, Note::Undone(_)))
    }

    /// True if the write is known to have been made.
    pub fn is_written(&self) -> bool {
        self.notes.contains(&Note::Written)
    }

    /// The first step that was not taken.
    pub fn next_step(&self) -> usize {
        self.notes
            .iter()
            .filter(|note| matches!(note, Note::Step(..)))
            .count()
    }
}

/// The directory of all moves, held by this process: two moves at once would plan on each other's rows.
#[derive(Debug)]
pub struct Journals {
    directory: PathBuf,
    _lock: Flock<File>,
}

/// One move's log, open at its end.
#[derive(Debug)]
pub struct Journal {
    /// The move.
    pub id: String,
    path: PathBuf,
    log: File,
}

impl Journals {
    /// Opens the directory, makes it if there is none; waits for nobody who holds it.
    ///
    /// # Errors
    /// [`Error::Journal`] if another move is under way, or somebody else could write there.
    pub fn open() -> Result<Journals, Error> {
        let directory = directory();
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(Error::file(&directory))?;
        trusted(&directory)?;
        let path = directory.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(Error::file(&path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|_| Error::journal(&directory, "another snmove is at work"))?;
        Ok(Journals {
            directory,
            _lock: lock,
        })
    }

    /// Begins a move: its plan is on disk when this returns.
    ///
    /// # Errors
    /// What the system says; then nothing was begun.
    pub fn begin(&self, plan: &Plan) -> Result<Journal, Error> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let id = format!("{now}-{}", std::process::id());
        // Made beside its place, so that there is no move without its plan.
        let hidden = self.directory.join(format!(".{id}"));
        let file = Error::file;
        DirBuilder::new()
            .mode(0o700)
            .create(&hidden)
            .map_err(file(&hidden))?;
        let path = hidden.join("plan.json");
        let text = serde_json::to_vec(plan).map_err(|error| Error::journal(&path, error))?;
        put(&path, &text).map_err(file(&path))?;
        put(&hidden.join("log"), b"").map_err(file(&hidden))?;
        flush(&hidden).map_err(file(&hidden))?;
        let place = self.directory.join(&id);
        std::fs::rename(&hidden, &place).map_err(file(&place))?;
        flush(&self.directory).map_err(file(&self.directory))?;
        self.resume(&id)
    }

    /// Opens the log of a move that was begun.
    ///
    /// # Errors
    /// What the system says.
    pub fn resume(&self, id: &str) -> Result<Journal, Error> {
        let path = self.directory.join(id).join("log");
        let log = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(Error::file(&path))?;
        Ok(Journal {
            id: id.to_string(),
            path,
            log,
        })
    }

    /// All moves, oldest first.
    ///
    /// # Errors
    /// [`Error::Journal`] for one that cannot be read or believed.
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        records(&self.directory)
    }
}

impl Journal {
    /// Adds a note; it is on disk when this returns.
    ///
    /// # Errors
    /// What the system says.
    pub fn note(&mut self, note: &Note) -> Result<(), Error> {
        let mut line =
            serde_json::to_vec(note).map_err(|error| Error::journal(&self.path, error))?;
        line.push(b'\n');
        self.log
            .write_all(&line)
            .and_then(|()| self.log.sync_all())
            .map_err(Error::file(&self.path))
    }
}

/// All moves of this host without holding them, oldest first: for looking.
///
/// # Errors
/// [`Error::Journal`] for one that cannot be read or believed.
pub fn look() -> Result<Vec<Record>, Error> {
    records(&directory())
}

/// Reads a plan that `--plan --json` printed, or a journal's.
///
/// # Errors
/// [`Error::Journal`] if somebody other than its reader or root could have written it, or it is of another form.
pub fn read_plan(path: &Path) -> Result<Plan, Error> {
    trusted(path)?;
    let text = read(path)?;
    #[derive(Deserialize)]
    struct Form {
        format: u32,
    }
    let form: Form = serde_json::from_str(&text).map_err(|error| Error::journal(path, error))?;
    if form.format != FORMAT {
        let why = format!(
            "is of format {}, and this program knows format {FORMAT}",
            form.format
        );
        return Err(Error::journal(path, why));
    }
    let plan: Plan = serde_json::from_str(&text).map_err(|error| Error::journal(path, error))?;
    plan.check().map_err(|why| Error::journal(path, why))?;
    Ok(plan)
}

fn directory() -> PathBuf {
    program::paths::state_dir().join("snmove")
}

fn records(directory: &Path) -> Result<Vec<Record>, Error> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::file(directory))?,
    };
    let mut names: Vec<(u64, String)> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let (seconds, process) = name.split_once('-')?;
            process.parse::<u32>().ok()?;
            Some((seconds.parse().ok()?, name))
        })
        .collect();
    names.sort_unstable();
    names
        .into_iter()
        .map(|(_, id)| record(&directory.join(&id), id))
        .collect()
}

fn record(directory: &Path, id: String) -> Result<Record, Error> {
    trusted(directory)?;
    let plan = read_plan(&directory.join("plan.json"))?;
    let path = directory.join("log");
    let text = read(&path)?;
    let mut notes = Vec::new();
    for line in text.split_inclusive('\n') {
        // A line without its end was being written when the power went: it did not happen.
        let Some(line) = line.strip_suffix('\n') else {
            break;
        };
        notes.push(serde_json::from_str(line).map_err(|error| Error::journal(&path, error))?);
    }
    Ok(Record { id, plan, notes })
}

/// Refuses what somebody else than root (or the reader) could have written.
fn trusted(path: &Path) -> Result<(), Error> {
    let metadata = std::fs::symlink_metadata(path).map_err(Error::file(path))?;
    let owner = metadata.uid();
    if metadata.file_type().is_symlink() || (owner != 0 && owner != nix::unistd::geteuid().as_raw())
    {
        return Err(Error::journal(path, "is not root's: not believed"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(Error::journal(path, "others may write it: not believed"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, Error> {
    let file = File::open(path).map_err(Error::file(path))?;
    let mut text = String::new();
    file.take(LIMIT)
        .read_to_string(&mut text)
        .map_err(Error::file(path))?;
    Ok(text)
}

fn put(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn flush(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}
