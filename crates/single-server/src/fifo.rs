//! A FIFO of one reader, under a name in a private directory.
//!
//! Opening it for writing without blocking is the only test of life (ENXIO = nobody reads).

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{geteuid, mkfifoat};

use crate::private_dir::{DirError, PrivateDir, is_fifo};

/// The reader's side, open at both ends for as long as it lives: poll never reports a hang-up and
/// nothing written between two writers is lost.
#[derive(Debug)]
pub struct Fifo {
    name: String,
    inode: u64,
    reader: File,
    _own_writer: File,
}

impl Fifo {
    /// Makes the FIFO under a hidden name, opens both ends, then renames it: whoever sees the name
    /// finds a reader. Whatever had the name belonged to somebody who is gone.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn open(dir: &PrivateDir, name: &str) -> Result<Fifo, DirError> {
        let hidden = format!(".{name}.new");
        let make = || -> Result<Fifo, Errno> {
            dir.remove(&hidden)?;
            mkfifoat(dir.as_fd(), hidden.as_str(), Mode::S_IRUSR | Mode::S_IWUSR)?;
            let reader = dir.open_file(&hidden, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0)?;
            let writer = dir.open_file(&hidden, OFlag::O_WRONLY | OFlag::O_NONBLOCK, 0)?;
            dir.rename(&hidden, dir, name)?;
            Ok(Fifo {
                name: name.into(),
                inode: fstat(&reader)?.st_ino,
                reader,
                _own_writer: writer,
            })
        };
        make().map_err(|why| dir.error(name, why))
    }

    /// The other side: None if nobody reads, or what has the name is no FIFO of ours.
    pub fn writer(dir: &PrivateDir, name: &str) -> Option<File> {
        let file = dir
            .open_file(name, OFlag::O_WRONLY | OFlag::O_NONBLOCK, 0)
            .ok()?;
        // Through the descriptor: the name may have changed hands since.
        let stat = fstat(&file).ok()?;
        let ours = is_fifo(&stat) && stat.st_uid == geteuid().as_raw() && stat.st_nlink <= 1;
        ours.then_some(file)
    }

    /// Reads what has come, without blocking.
    pub fn drain(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut chunk = [0; 65_536];
        loop {
            match self.reader.read(&mut chunk) {
                Ok(0) => return all,
                Ok(n) => all.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return all,
            }
        }
    }

    /// True if the name still leads to this FIFO. Somebody who cleans `/var/run` removes it, and then
    /// others would take us for dead.
    pub fn in_place(&self, dir: &PrivateDir) -> bool {
        dir.stat(&self.name)
            .is_ok_and(|stat| stat.st_ino == self.inode)
    }

    /// Takes the name away; from now on writers find nobody.
    ///
    /// # Errors
    /// If the directory cannot be written.
    pub fn close(&self, dir: &PrivateDir) -> Result<(), Errno> {
        if self.in_place(dir) {
            dir.remove(&self.name)
        } else {
            Ok(())
        }
    }
}

impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
