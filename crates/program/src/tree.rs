//! Files below a root, each read up to a limit: what programs know of a machine they read from sysfs and
//! procfs, of this machine or of a tree that a test has made.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A sysfs attribute is a page at most.
const ATTRIBUTE_LIMIT: usize = 4096;

/// Entries of a directory that are looked at: above any real number of interfaces, functions or disks.
const ENTRIES_LIMIT: usize = 8192;

/// The files of a machine: this one, or a copy of its trees somewhere.
#[derive(Debug, Clone)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// The files below `root`; `/` for this machine's.
    pub fn new(root: &Path) -> Tree {
        Tree {
            root: root.to_path_buf(),
        }
    }

    /// Where an absolute path of the machine is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Opens a regular file; anything else there could block or act.
    pub fn open(&self, path: &str) -> Option<File> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(self.at(path))
            .ok()?;
        file.metadata()
            .is_ok_and(|data| data.is_file())
            .then_some(file)
    }

    /// A file's first `limit` bytes, as far as they can be read.
    pub fn bytes(&self, path: &str, limit: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = self.open(path)?;
        file.take(u64::try_from(limit).ok()?)
            .read_to_end(&mut bytes)
            .ok()?;
        Some(bytes)
    }

    /// An attribute without the white space around it; bytes that are no UTF-8 become U+FFFD, which
    /// no value bears.
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = self.bytes(path, ATTRIBUTE_LIMIT)?;
        Some(String::from_utf8_lossy(&bytes).trim().to_string())
    }

    /// The names in a directory, in order; `.` and `..` not.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.at(path))?.take(ENTRIES_LIMIT);
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// True if something is there.
    pub fn exists(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    /// Where a symbolic link points, as an absolute path of the machine. Sysfs links are relative
    /// and go through no other link, so the text alone tells.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.at(path)).ok()?;
        let target = target.to_str()?;
        let from = if target.starts_with('/') {
            ""
        } else {
            path.rsplit_once('/')?.0
        };
        let mut parts: Vec<&str> = Vec::new();
        for part in from.split('/').chain(target.split('/')) {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(format!("/{}", parts.join("/")))
    }
}
