//! Many small files, each of which is there whole or as it was, whenever the power goes.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Above this many files one flush of the file system is cheaper than a flush of each.
const FLUSH_EACH: usize = 32;

/// Stands between a file's name and our process' number while the file is written.
const SUFFIX: &str = ".nodetools.";
/// Nobody writes a batch for so long; the number alone may be that of another host's process.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// Files written beside their places; [`Batch::commit`] makes them safe and puts them there.
#[derive(Debug)]
pub(crate) struct Batch {
    directory: PathBuf,
    mode: u32,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Closed already where there are many: ten thousand would be more than a process may hold.
    file: Option<File>,
    beside: PathBuf,
    name: String,
}

impl Batch {
    /// For files of `mode` in `directory`, which exists. Takes away what killed processes left there.
    pub(crate) fn new(directory: &Path, mode: u32) -> Batch {
        sweep(directory);
        Batch {
            directory: directory.to_path_buf(),
            mode,
            waiting: Vec::new(),
        }
    }

    /// Writes `content` beside `name` (one checked component). Nothing is seen of it yet.
    pub(crate) fn write(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let beside = self
            .directory
            .join(format!(".{name}{SUFFIX}{}", std::process::id()));
        let mut file = create_new(&beside, self.mode)?;
        let written = file
            .write_all(content)
            // The mode at creation passed through the umask; a boot server must be able to read.
            .and_then(|()| file.set_permissions(Permissions::from_mode(self.mode)));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&beside);
            return Err(error);
        }
        self.waiting.push(Waiting {
            file: (self.waiting.len() < FLUSH_EACH).then_some(file),
            beside,
            name: name.to_string(),
        });
        Ok(())
    }

    /// Flushes the contents, renames each file into place, then flushes the directory. Returns the
    /// names that could not be put in place, with the reason.
    pub(crate) fn commit(mut self) -> Vec<(String, String)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.waiting);
        let mut failed = Vec::new();
        let mut placed = Vec::new();
        let flushed = self.flush(&waiting);
        for Waiting { beside, name, .. } in waiting {
            let moved = match &flushed {
                Ok(()) => std::fs::rename(&beside, self.directory.join(&name)),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            };
            match moved {
                Ok(()) => placed.push(name),
                Err(error) => {
                    let _ = std::fs::remove_file(&beside);
                    failed.push((name, error.to_string()));
                }
            }
        }
        if let Err(error) = flush_directory(&self.directory) {
            failed.extend(placed.into_iter().map(|name| (name, error.to_string())));
        }
        failed
    }

    fn flush(&self, waiting: &[Waiting]) -> io::Result<()> {
        if waiting.len() > FLUSH_EACH {
            return Ok(nix::unistd::syncfs(File::open(&self.directory)?)?);
        }
        waiting
            .iter()
            .filter_map(|each| each.file.as_ref())
            .try_for_each(File::sync_all)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for Waiting { beside, .. } in &self.waiting {
            let _ = std::fs::remove_file(beside);
        }
    }
}

/// Makes renames and removals in `directory` survive a power cut.
pub(crate) fn flush_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Removes half-written files of processes that are gone. What cannot be read or removed only takes room.
fn sweep(directory: &Path) {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .filter(|name| name.starts_with('.'))
            .and_then(|name| name.rsplit_once(SUFFIX)?.1.parse::<u32>().ok());
        let is_gone = |pid: u32| !Path::new("/proc").join(pid.to_string()).exists();
        let is_old = || {
            let changed = entry.metadata().and_then(|data| data.modified()).ok();
            changed.and_then(|at| at.elapsed().ok()) > Some(LEFT_BEHIND)
        };
        if pid.is_some_and(is_gone) && is_old() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Creates the file, and never follows what somebody laid in its place. A leftover of a process with
/// our number is taken away first: that one is dead.
fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)
    };
    match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            open()
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_seen_before_the_commit_and_nothing_is_left_without_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("n1"), "old").unwrap();
        let mut batch = Batch::new(dir.path(), 0o644);
        batch.write("n1", b"new").unwrap();
        assert_eq!(std::fs::read(dir.path().join("n1")).unwrap(), b"old");
        drop(batch);
        assert_eq!(names(dir.path()), ["n1"]);
        assert_eq!(std::fs::read(dir.path().join("n1")).unwrap(), b"old");
    }

    #[test]
    fn few_and_many_files_take_their_places() {
        for count in [2, FLUSH_EACH + 1] {
            let dir = tempfile::tempdir().unwrap();
            let mut batch = Batch::new(dir.path(), 0o640);
            for n in 0..count {
                batch
                    .write(&format!("n{n}"), format!("{n}").as_bytes())
                    .unwrap();
            }
            assert_eq!(batch.commit(), []);
            assert_eq!(names(dir.path()).len(), count);
            let one = dir.path().join("n1");
            assert_eq!(std::fs::read(&one).unwrap(), b"1");
            assert_eq!(
                std::fs::metadata(&one).unwrap().permissions().mode() & 0o777,
                0o640
            );
        }
    }

    #[test]
    fn what_killed_processes_left_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        let old = std::time::SystemTime::now() - LEFT_BEHIND * 2;
        // Linux gives no process such a number.
        for (name, is_old) in [
            (".n1.nodetools.4294967295", true),
            (".n2.nodetools.4294967295", false),
            (".n3.nodetools.1", true),
            (".n4.other", true),
            ("n5.nodetools.4294967295", true),
        ] {
            let file = File::create(dir.path().join(name)).unwrap();
            if is_old {
                file.set_modified(old).unwrap();
            }
        }
        Batch::new(dir.path(), 0o644);
        assert_eq!(
            names(dir.path()),
            [
                ".n2.nodetools.4294967295",
                ".n3.nodetools.1",
                ".n4.other",
                "n5.nodetools.4294967295"
            ]
        );
    }

    #[test]
    fn a_symlink_laid_in_the_way_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("n1")).unwrap();
        std::os::unix::fs::symlink(
            &victim,
            dir.path()
                .join(format!(".n1.nodetools.{}", std::process::id())),
        )
        .unwrap();
        let mut batch = Batch::new(dir.path(), 0o644);
        batch.write("n1", b"new").unwrap();
        assert_eq!(batch.commit(), []);
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert_eq!(std::fs::read(dir.path().join("n1")).unwrap(), b"new");
    }

    #[test]
    fn a_place_that_cannot_be_taken_is_named_and_the_others_go_on() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("n1")).unwrap();
        let mut batch = Batch::new(dir.path(), 0o644);
        batch.write("n1", b"new").unwrap();
        batch.write("n2", b"new").unwrap();
        let failed = batch.commit();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].0, "n1");
        assert_eq!(names(dir.path()), ["n1", "n2"]);
    }
}
