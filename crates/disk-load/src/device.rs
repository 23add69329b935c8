//! An open disk: read, written and zeroed past the page cache where that can be.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, PosixFadviseAdvice, fallocate, posix_fadvise};
use nix::libc::{O_CLOEXEC, O_DIRECT, O_EXCL};

use crate::aligned::{ALIGNMENT, Aligned};
use crate::signature::Bytes;

/// What one call of the kernel zeroes at most: it cannot be interrupted.
const ZEROED_AT_ONCE: u64 = 1 << 30;
/// What is written in one call where zeros have to be written.
const WRITTEN_AT_ONCE: u64 = 1 << 20;

/// How long udev may look at a disk.
const LOOK: Duration = Duration::from_secs(3);

/// A block device, or a file that stands for one. Nobody else of ours has it open: two agents for one
/// disk would each undo what the other has proven.
#[derive(Debug)]
pub struct Target {
    file: Flock<File>,
    path: PathBuf,
    size: u64,
    /// What places and lengths must be multiples of; 1 where the page cache is in between.
    unit: u64,
    block: bool,
    /// Zeroing without writing is not known to fail.
    offload: AtomicBool,
}

impl Target {
    /// Opens a disk for itself: a block device fails with `EBUSY` if it is mounted, swapped to, or a
    /// part of another device, and so does anything that another agent has open.
    ///
    /// # Errors
    /// What the system says; a file that is neither a block device nor a regular file.
    pub fn open(path: &Path) -> io::Result<Target> {
        let about = std::fs::metadata(path)?;
        let kind = about.file_type();
        let block = kind.is_block_device();
        if block && is_read_only(about.rdev()) {
            return Err(Errno::EROFS.into());
        }
        if !block && !kind.is_file() {
            let why = "is neither a block device nor a regular file";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        // Without O_CREAT, O_EXCL on a block device asks for it alone.
        let exclusive = if block { O_EXCL } else { 0 };
        let open = |flags: i32| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(O_CLOEXEC | exclusive | flags)
                .open(path)
        };
        let (mut file, mut direct) = match open(O_DIRECT) {
            Ok(file) => (file, true),
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => (open(0)?, false),
            Err(error) => return Err(error),
        };
        let size = file.seek(SeekFrom::End(0))?;
        // A disk's size is a multiple of its sectors; a file's need not be.
        let mut unit = [4096, 512].into_iter().find(|unit| size % unit == 0);
        if direct && !unit.is_some_and(|unit| may_be_direct(&file, unit)) {
            // Some file systems say it at the first read only.
            (file, direct) = (open(0)?, false);
        }
        if !direct {
            unit = None;
        }
        let file = lock(file)?;
        Ok(Target {
            file,
            path: path.to_owned(),
            size,
            unit: unit.unwrap_or(1),
            block,
            offload: AtomicBool::new(true),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads from the disk itself, not from what was kept of it.
    ///
    /// # Errors
    /// It cannot be read, or ends before.
    pub fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        if self.unit == 1 {
            return self.file.read_exact_at(into, at);
        }
        let (begin, end) = self.around(at, into.len())?;
        let mut buffer = Aligned::new(end - begin)?;
        self.file.read_exact_at(buffer.bytes(), begin)?;
        let from = usize::try_from(at - begin).map_err(|_| past_the_end())?;
        let wanted = buffer.bytes().get_mut(from..from + into.len());
        into.copy_from_slice(wanted.ok_or_else(past_the_end)?);
        Ok(())
    }

    /// Writes; it is on the disk after [`Target::flush`].
    ///
    /// # Errors
    /// It cannot be written, or ends before.
    pub fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let (begin, end) = self.around(at, bytes.len())?;
        if self.unit == 1 {
            return self.file.write_all_at(bytes, at);
        }
        let mut buffer = Aligned::new(end - begin)?;
        let whole = at == begin && end - begin == bytes.len() as u64;
        if !whole {
            self.file.read_exact_at(buffer.bytes(), begin)?;
        }
        let from = usize::try_from(at - begin).map_err(|_| past_the_end())?;
        let place = buffer.bytes().get_mut(from..from + bytes.len());
        place.ok_or_else(past_the_end)?.copy_from_slice(bytes);
        self.file.write_all_at(buffer.bytes(), begin)
    }

    /// Makes a range read as zeros: by the kernel's and the device's own means, else by writing them.
    ///
    /// # Errors
    /// As [`Target::write`].
    pub fn zero(&self, at: u64, length: u64) -> io::Result<()> {
        let end = at.checked_add(length).filter(|end| *end <= self.size);
        let end = end.ok_or_else(past_the_end)?;
        // Whole blocks only: at the edges it is left to a write.
        let (first, last) = (at.next_multiple_of(4096), end & !4095);
        if !self.offload.load(Ordering::Relaxed) || first >= last {
            return self.write_zeros(at, length);
        }
        let mut now = first;
        while now < last {
            let part = (last - now).min(ZEROED_AT_ONCE);
            if !self.punch(now, part)? {
                self.offload.store(false, Ordering::Relaxed);
                return self.write_zeros(at, length);
            }
            now += part;
        }
        self.write_zeros(at, first - at)?;
        self.write_zeros(last, end - last)
    }

    /// As [`Target::zero`], but zeros are written, whatever the device offers.
    ///
    /// # Errors
    /// As [`Target::write`].
    pub fn write_zeros(&self, at: u64, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        let zeros = Aligned::new(length.min(WRITTEN_AT_ONCE))?;
        let (mut at, end) = (at, at.saturating_add(length));
        // Up to a multiple first, so that all others are whole.
        while at < end {
            let next = (at + 1).next_multiple_of(WRITTEN_AT_ONCE).min(end);
            let part = usize::try_from(next - at).map_err(|_| past_the_end())?;
            self.write(at, zeros.shared().get(..part).unwrap_or_default())?;
            at = next;
        }
        Ok(())
    }

    /// Returns when everything that was written is where a loss of power leaves it, and forgets what the
    /// page cache has of it: what is read next comes from the disk.
    ///
    /// # Errors
    /// The kernel could not write it; which part is not known.
    pub fn flush(&self) -> io::Result<()> {
        self.file.sync_all()?;
        if self.unit == 1 {
            // Advice: where it is not taken, memory is what there is (a file system in memory).
            let _ = posix_fadvise(&*self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        }
        Ok(())
    }

    /// Lets the kernel read the partition table that is now there. A file has none.
    ///
    /// # Errors
    /// The kernel's: a partition is in use, or the device can have none.
    pub fn reread_partitions(&self) -> io::Result<()> {
        match self.block {
            true => fork_worker::block::reread_partitions(&self.file),
            false => Ok(()),
        }
    }

    /// The kernel's fast way; false where there is none.
    fn punch(&self, at: u64, length: u64) -> io::Result<bool> {
        let number = |value: u64| i64::try_from(value).map_err(|_| past_the_end());
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        match fallocate(&*self.file, flags, number(at)?, number(length)?) {
            Ok(()) => Ok(true),
            // EREMOTEIO: the disk had promised it and does not do it.
            Err(
                Errno::EOPNOTSUPP
                | Errno::ENOSYS
                | Errno::ENODEV
                | Errno::EINVAL
                | Errno::EREMOTEIO,
            ) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The units that hold the range.
    fn around(&self, at: u64, length: usize) -> io::Result<(u64, u64)> {
        let end = at
            .checked_add(length as u64)
            .filter(|end| *end <= self.size);
        let end = end.ok_or_else(past_the_end)?;
        Ok((at - at % self.unit, end.next_multiple_of(self.unit)))
    }
}

impl Bytes for Target {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        Target::read(self, at, into)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// Not every driver says it at opening.
fn is_read_only(device: u64) -> bool {
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let said = std::fs::read(format!("/sys/dev/block/{major}:{minor}/ro"));
    said.is_ok_and(|said| said.starts_with(b"1"))
}

/// udev looks at a disk under a shared lock, and leaves alone what is locked exclusively: a look ends
/// soon, another agent does not.
fn lock(mut file: File) -> io::Result<Flock<File>> {
    let until = Instant::now() + LOOK;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((again, Errno::EWOULDBLOCK)) if Instant::now() < until => file = again,
            Err((_, Errno::EWOULDBLOCK)) => return Err(Errno::EBUSY.into()),
            Err((_, errno)) => return Err(errno.into()),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn may_be_direct(file: &File, unit: u64) -> bool {
    debug_assert!(unit <= ALIGNMENT as u64);
    let Ok(mut buffer) = Aligned::new(unit) else {
        return false;
    };
    // Reading nothing, at the end of an empty file, shows nothing and does no harm.
    !matches!(file.read_at(buffer.bytes(), 0), Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32))
}

fn past_the_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "past the end of the disk")
}

#[cfg(test)]
mod tests;
