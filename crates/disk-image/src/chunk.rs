//! What one child does of an image: pack the windows of one part of the disk, or digest all of it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::digest::{Digest, Hasher};
use crate::error::Error;
use crate::files;
use crate::frame::Frame;
use crate::pack::Packer;
use crate::source::read_some;

/// Bytes that are read at once where the whole disk is digested.
const READ: usize = 1 << 20;
/// Longest list of a part's frames: 256 windows with 512 extents each make a tenth of it.
const LONGEST_LIST: usize = 64 << 20;

/// A part of the disk.
#[derive(Debug, Clone)]
pub(crate) struct Chunk {
    /// Its number, from 0.
    pub(crate) number: u64,
    /// Where it begins, in bytes: at a window.
    pub(crate) begin: u64,
    /// Where it ends.
    pub(crate) end: u64,
}

impl Chunk {
    /// The file of its frames' bytes.
    pub(crate) fn part(&self) -> String {
        format!("part-{:04}", self.number)
    }

    /// The file of its frames; once it is there, the part is whole.
    pub(crate) fn list(&self) -> String {
        format!("part-{:04}.json", self.number)
    }

    /// Packs all windows of it into files in `work`. Their places are counted from 0.
    pub(crate) fn pack(
        &self,
        disk: &File,
        work: &Path,
        frame_size: u32,
        level: i32,
    ) -> Result<(), Error> {
        let part = work.join(self.part());
        let failed = |why: io::Error| Error::system(&part, why);
        let mut out = BufWriter::new(files::create(&part, 0o600).map_err(failed)?);
        let mut packer = Packer::new(level)?;
        let mut buffer = vec![0; frame_size as usize];
        let mut frames: Vec<Frame> = Vec::new();
        let (mut offset, mut at) = (self.begin, 0);
        while offset < self.end {
            let next = data_from(disk, offset).map_err(|why| Error::system(work, why))?;
            let Some(next) = next.filter(|next| *next < self.end) else {
                break;
            };
            // The window that holds the next data.
            offset = next - next % u64::from(frame_size);
            let length = (self.end - offset).min(u64::from(frame_size));
            // At most a frame.
            let window = &mut buffer[..usize::try_from(length).unwrap_or_default()];
            fill(disk, window, offset).map_err(|why| Error::system(work, why))?;
            if let Some((frame, stored)) = packer.pack(offset, window, at)? {
                out.write_all(stored).map_err(failed)?;
                at = frame.range().end;
                frames.push(frame);
            }
            offset += length;
        }
        out.flush().map_err(failed)?;
        let list =
            serde_json::to_vec(&frames).map_err(|error| Error::Manifest(error.to_string()))?;
        let new = work.join(format!("{}.new", self.list()));
        std::fs::write(&new, list).map_err(|why| Error::system(&new, why))?;
        files::rename(&new, &work.join(self.list()))
    }

    /// The frames of a part that is whole; none if it is not.
    pub(crate) fn frames(&self, work: &Path) -> Result<Option<Vec<Frame>>, Error> {
        let path = work.join(self.list());
        let Some(list) = files::read(&path, LONGEST_LIST)? else {
            return Ok(None);
        };
        let frames = serde_json::from_slice(&list);
        frames
            .map(Some)
            .map_err(|error| Error::store(&path, error.to_string()))
    }
}

/// SHA-256 of a whole file; holes count as zeros and are not read.
pub(crate) fn digest(disk: &File, size: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; READ];
    let mut offset = 0;
    while offset < size {
        let data = data_from(disk, offset)?.unwrap_or(size).min(size);
        hasher.zeros(data - offset);
        offset = data;
        let end = hole_from(disk, offset)?.min(size);
        while offset < end {
            let length = usize::try_from(end - offset).unwrap_or(READ).min(READ);
            fill(disk, &mut buffer[..length], offset)?;
            hasher.update(&buffer[..length]);
            offset += length as u64;
        }
    }
    Ok(hasher.finish())
}

/// Reads as much as fits; the file has it, or was made shorter.
pub(crate) fn fill(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    match read_some(file, buffer, offset)? {
        read if read == buffer.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Where the first data at or behind `offset` is; none if there is none. The file's own position moves,
/// which nobody here uses.
fn data_from(file: &File, offset: u64) -> io::Result<Option<u64>> {
    match seek(file, offset, Whence::SeekData) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::ENXIO) => Ok(None),
        // A file system that knows no holes.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(Some(offset)),
        Err(why) => Err(why.into()),
    }
}

/// Where the data at `offset` ends.
fn hole_from(file: &File, offset: u64) -> io::Result<u64> {
    match seek(file, offset, Whence::SeekHole) {
        Ok(found) => Ok(found),
        // At the end there is nothing more.
        Err(Errno::ENXIO) => Ok(offset),
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(u64::MAX),
        Err(why) => Err(why.into()),
    }
}

fn seek(file: &File, offset: u64, whence: Whence) -> Result<u64, Errno> {
    let offset = i64::try_from(offset).map_err(|_| Errno::EOVERFLOW)?;
    let found = lseek(file.as_fd(), offset, whence)?;
    u64::try_from(found).map_err(|_| Errno::EOVERFLOW)
}
