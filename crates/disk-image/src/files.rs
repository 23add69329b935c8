//! Files and directories of the store: never through a symbolic link, never without a bound.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

use crate::error::Error;

/// Opens a regular file for reading. None if there is none of that name.
pub(crate) fn open(path: &Path) -> Result<Option<File>, Error> {
    // A FIFO would block, a device do what devices do: both are opened first and looked at then.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(Error::system(path, why)),
    };
    let about = file.metadata().map_err(|why| Error::system(path, why))?;
    match about.is_file() {
        true => Ok(Some(file)),
        false => Err(Error::store(path, "is no regular file")),
    }
}

/// Reads a whole regular file of at most `longest` bytes. None if there is none of that name.
pub(crate) fn read(path: &Path, longest: usize) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(longest as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| Error::system(path, why))?;
    match bytes.len() <= longest {
        true => Ok(Some(bytes)),
        false => Err(Error::store(
            path,
            format!("is longer than {longest} bytes"),
        )),
    }
}

/// Writes a file and waits until it is on disk.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    create(path, mode)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|why| Error::system(path, why))
}

/// Makes a file, or one of its name empty.
pub(crate) fn create(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
}

/// Renames within the store's file system.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::rename(from, to).map_err(|why| Error::system(to, why))
}

/// Makes a directory's renames and removals durable.
pub(crate) fn sync(directory: &Path) -> Result<(), Error> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|why| Error::system(directory, why))
}

/// Makes a directory, and its parents, if it is missing.
pub(crate) fn make(directory: &Path, mode: u32) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(directory)
        .map_err(|why| Error::system(directory, why))
}

/// Checks that a directory is ours or root's, and that nobody else can write into it.
pub(crate) fn trust(directory: &Path) -> Result<(), Error> {
    let about = std::fs::metadata(directory).map_err(|why| Error::system(directory, why))?;
    if ![0, geteuid().as_raw()].contains(&about.uid()) {
        let why = format!("belongs to user {}", about.uid());
        return Err(Error::store(directory, why));
    }
    match about.mode() & 0o022 {
        0 => Ok(()),
        _ => Err(Error::store(directory, "others may write into it")),
    }
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(Error::system(path, why)),
        _ => Ok(()),
    }
}

/// The names in a directory, sorted; none if it is not there. Names that are not UTF-8 are none of ours.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(Error::system(directory, why)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|why| Error::system(directory, why))?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}
