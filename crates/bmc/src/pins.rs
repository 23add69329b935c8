//! The keys that BMCs showed first, a file per node.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use tls::Pin;

use crate::{Error, Target};

/// Longest pin file that is read.
const LONGEST: u64 = 1024;

/// Compares `found` with the pin of the target's node; one that is seen for the first time is written
/// down. With `accept_new` a changed one is taken over.
///
/// Many processes may do this for one node at once: a first pin is linked into place, so that exactly
/// one is first, and the others compare with it.
///
/// # Errors
/// [`Error::PinChanged`], [`Error::PinFile`].
pub(crate) fn check(
    dir: &Path,
    target: &Target,
    found: Pin,
    accept_new: bool,
) -> Result<(), Error> {
    let file = file(dir, &target.node);
    let known = match read(&file)? {
        Some(known) => known,
        None => {
            place(dir, &file, found, Place::First)?;
            // Somebody else may have been first.
            read(&file)?.unwrap_or(found)
        }
    };
    if known == found {
        return Ok(());
    }
    if accept_new {
        return place(dir, &file, found, Place::Over);
    }
    Err(Error::PinChanged {
        bmc: target.host.clone(),
        found,
        pinned: known,
        file,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Over,
}

/// A node's name may hold anything that a table takes; a file's name may not.
fn file(dir: &Path, node: &str) -> PathBuf {
    let mut name = String::new();
    for c in node.bytes() {
        match c {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => name.push(c.into()),
            _ => name.push_str(&format!("%{c:02x}")),
        }
    }
    // A file on its way ends otherwise.
    dir.join(format!("{name}.pin"))
}

fn read(file: &Path) -> Result<Option<Pin>, Error> {
    let mut text = String::new();
    let read = File::open(file).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(unusable(file, &why)),
    }
    match text.trim().parse() {
        Ok(pin) => Ok(Some(pin)),
        Err(why) => Err(unusable(file, &why)),
    }
}

fn place(dir: &Path, file: &Path, pin: Pin, how: Place) -> Result<(), Error> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|why| unusable(dir, &why))?;
    let beside = dir.join(format!(".{}.{number}", std::process::id()));
    // One of an earlier process with our pid, which died right here.
    let _ = std::fs::remove_file(&beside);
    let placed = write(&beside, pin).and_then(|()| match how {
        Place::First => match std::fs::hard_link(&beside, file) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        },
        Place::Over => std::fs::rename(&beside, file),
    });
    let _ = std::fs::remove_file(&beside);
    placed.map_err(|why| unusable(file, &why))
}

/// The content is on disk before the name is: a power failure leaves a whole pin or none.
fn write(path: &Path, pin: Pin) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(format!("{pin}\n").as_bytes())?;
    file.sync_all()
}

fn unusable(file: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::PinFile {
        file: file.to_owned(),
        why: why.to_string(),
    }
}
