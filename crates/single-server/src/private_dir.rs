//! A directory that is ours alone, held open and checked through the descriptor.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, geteuid, unlinkat};

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// Something else than a directory has its name: a symbolic link above all.
    #[error("{0}: is not a directory of its own (symbolic links are not followed)")]
    NotADirectory(PathBuf),
    /// Whoever owns it could put anything into it.
    #[error("{path}: belongs to user {owner}, not to user {us}")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user that we run as.
        us: u32,
    },
    /// Others could have written into it.
    #[error("{0}: others may write into it; remove it, it is made again with mode 0700")]
    Writable(PathBuf),
    /// A system call failed.
    #[error("{path}: {why}")]
    System {
        /// The directory or file.
        path: PathBuf,
        /// The system's reason.
        why: Errno,
    },
}

/// A 0700 directory of the effective user. Every file in it is reached through the descriptor, so
/// that nobody can swap the directory under us.
#[derive(Debug)]
pub struct PrivateDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl PrivateDir {
    /// Opens `path`, making it (and its parents, as usual directories) if it is missing. Looser
    /// permissions for reading, as xCAT's own code leaves them, are tightened.
    pub fn open(path: &Path) -> Result<PrivateDir, DirError> {
        let system = |why| DirError::System {
            path: path.into(),
            why,
        };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| system(errno(&error)))?;
        }
        match nix::unistd::mkdir(path, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(why) => return Err(system(why)),
        }
        let dir = PrivateDir::existing(path)?.ok_or_else(|| system(Errno::ENOENT))?;
        dir.check()?;
        Ok(dir)
    }

    /// Opens `path` to look into it, whoever it belongs to: nothing is made or changed. None if it
    /// does not exist.
    pub fn existing(path: &Path) -> Result<Option<PrivateDir>, DirError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match nix::fcntl::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(PrivateDir {
                fd,
                path: path.into(),
            })),
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => Err(DirError::NotADirectory(path.into())),
            Err(why) => Err(DirError::System {
                path: path.into(),
                why,
            }),
        }
    }

    /// A private directory inside this one.
    pub fn inside(&self, name: &str) -> Result<PrivateDir, DirError> {
        match mkdirat(&self.fd, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => PrivateDir::open(&self.path.join(name)),
            Err(why) => Err(self.error(name, why)),
        }
    }

    /// Where it is, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file in it; never through a symbolic link.
    pub fn open_file(&self, name: &str, flags: OFlag, mode: u32) -> Result<File, Errno> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.fd, name, flags, Mode::from_bits_truncate(mode)).map(File::from)
    }

    /// What `name` is, without following it.
    pub fn stat(&self, name: &str) -> Result<FileStat, Errno> {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Moves a file, within this directory or into `to`.
    pub fn rename(&self, old: &str, to: &PrivateDir, new: &str) -> Result<(), Errno> {
        renameat(&self.fd, old, &to.fd, new)
    }

    /// Removes a file; one that is not there is fine.
    pub fn remove(&self, name: &str) -> Result<(), Errno> {
        match unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) => Ok(()),
            other => other,
        }
    }

    /// Makes renames and removals durable.
    pub fn sync(&self) -> Result<(), Errno> {
        fsync(&self.fd)
    }

    /// The names in it, sorted bytewise, without `.` and `..`; a name that is not UTF-8 is none of
    /// ours and left out.
    pub fn names(&self) -> Result<Vec<String>, DirError> {
        let list = || -> Result<Vec<String>, Errno> {
            // A descriptor of its own: the offset of a directory stream belongs to the descriptor.
            let fd = openat(
                &self.fd,
                ".",
                OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
                Mode::empty(),
            )?;
            let mut names = Vec::new();
            for entry in Dir::from_fd(fd)?.iter() {
                let bytes = entry?.file_name().to_bytes().to_vec();
                if bytes != b"." && bytes != b".." {
                    names.extend(OsString::from_vec(bytes).into_string().ok());
                }
            }
            Ok(names)
        };
        let mut names = list().map_err(|why| self.error(".", why))?;
        names.sort_unstable();
        Ok(names)
    }

    /// An error about a file in it.
    pub fn error(&self, name: &str, why: Errno) -> DirError {
        DirError::System {
            path: if name == "." {
                self.path.clone()
            } else {
                self.path.join(name)
            },
            why,
        }
    }

    fn check(&self) -> Result<(), DirError> {
        let stat = fstat(&self.fd).map_err(|why| self.error(".", why))?;
        let us = geteuid().as_raw();
        if stat.st_uid != us {
            return Err(DirError::Foreign {
                path: self.path.clone(),
                owner: stat.st_uid,
                us,
            });
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(DirError::Writable(self.path.clone()));
        }
        if stat.st_mode & 0o077 != 0 {
            fchmod(&self.fd, Mode::S_IRWXU).map_err(|why| self.error(".", why))?;
        }
        Ok(())
    }
}

impl AsFd for PrivateDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// True if the mode says FIFO.
pub fn is_fifo(stat: &FileStat) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFIFO.bits()
}

/// The system's reason inside an I/O error.
pub fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
