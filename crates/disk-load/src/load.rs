//! One image onto one disk, in an order in which a disk that is not whole cannot be booted.
//!
//! First the boot sector and a GPT header behind it are replaced by a [`Marker`], then both ends are
//! cleared; then everything but the first window is written and read back; then the first window but its
//! first block, and last of all, when all else is proven, that block. Killed anywhere in between, a node
//! finds nothing to boot; started again, it keeps what reads back right and gets the rest.

mod fetch;
mod window;

use std::io;
use std::time::{Duration, Instant};

use disk_image::order::Zero;
use disk_image::{Digest, Frame, Manifest};

use crate::device::Target;
use crate::inspect::{Found, inspect};
use crate::marker::{self, Marker, Phase};
use crate::pieces::{ENDS, Piece, pieces};
use crate::supply::{Ended, Supply};

use fetch::Disk;
use window::{begins_with, place};

/// How often what reads back wrong is written again.
const ROUNDS: usize = 2;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Onto this disk, which is large enough.
    pub target: &'a Target,
    /// The image.
    pub manifest: &'a Manifest,
    /// Its digest.
    pub digest: Digest,
    /// The order's digest.
    pub order: Digest,
    /// What becomes of the other bytes.
    pub zero: Zero,
    /// When to give up.
    pub deadline: Instant,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bytes of frames that were written.
    pub written: u64,
    /// Frames that were right already.
    pub kept: usize,
    /// Frames of the image.
    pub frames: usize,
}

/// Why a disk does not hold the image. Its boot sector is a marker then, or it was not touched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk does not take it.
    #[error("{disk}: cannot be written: {why}")]
    Write {
        /// Which disk.
        disk: String,
        /// The system's reason.
        why: io::Error,
    },
    /// The disk gives other bytes than it took, twice.
    #[error("{disk}: was written, but reads back wrong: {why}")]
    Verify {
        /// Which disk.
        disk: String,
        /// The first place that is wrong.
        why: String,
    },
    /// No more frames come.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// Makes the disk the image.
///
/// # Errors
/// [`Error`]; the disk is then not bootable, unless it was not touched at all.
pub fn load(job: &Job<'_>, supply: &mut dyn Supply) -> Result<Summary, Error> {
    let pieces = pieces(job.manifest, job.target.size(), job.zero);
    let mut work = Work {
        job,
        good: vec![false; pieces.len()],
        pieces,
        head: None,
        summary: Summary {
            frames: job.manifest.frames().len(),
            ..Summary::default()
        },
    };
    work.load(supply)?;
    // Best effort: what stands in the way of it is no matter of the disk's, and the node boots next.
    let _ = job.target.reread_partitions();
    Ok(work.summary)
}

/// True if the disk is one that osload was writing, or one that has the image already as far as its first
/// window tells: what stands on it belongs to nobody else.
pub fn is_ours(target: &Target, manifest: &Manifest) -> bool {
    let mut block = vec![0; marker::LENGTH];
    let read = target.read(0, &mut block);
    if read.is_ok() && Marker::from_block(&block).is_some() {
        return true;
    }
    let first = manifest.frames().first().filter(|frame| frame.offset == 0);
    first.is_some_and(|frame| begins_with(target, frame))
}

struct Work<'a> {
    job: &'a Job<'a>,
    pieces: Vec<Piece>,
    /// Which of them have been read from the disk and are right.
    good: Vec<bool>,
    /// The first window's extents, which are not written before the end.
    head: Option<Vec<u8>>,
    summary: Summary,
}

impl Work<'_> {
    fn load(&mut self, supply: &mut dyn Supply) -> Result<(), Error> {
        let marker = self.marker();
        let mut wiped = self.job.zero != Zero::All;
        let seen = marker.is_some() || self.head_is_right();
        if seen {
            // Another attempt was here, or the image is there already.
            self.inspect(|| self.job.in_time())?;
            self.summary.kept = self.frames_that_are_good();
            if !self.good.contains(&false) {
                return Ok(());
            }
            wiped |= marker.as_ref().is_some_and(|marker| {
                marker.order == self.job.order && marker.phase == Phase::Writing
            });
        }
        let fresh = !seen || !wiped;
        self.good[0] = false;
        if !wiped {
            self.good.fill(false);
            self.summary.kept = 0;
        }
        self.destroy(fresh, wiped)?;
        for round in 1.. {
            self.write_zeros(round)?;
            self.fetch(supply)?;
            self.flush()?;
            let (job, head) = (self.job, self.head.take());
            let mut disk = Disk::of(job, head.as_deref());
            let wrong = self.inspect_but_head(|| {
                job.in_time()?;
                supply.next(&mut disk, Duration::ZERO).map(drop)
            })?;
            self.head = head;
            match wrong {
                None => break,
                Some(why) if round == ROUNDS => return Err(self.wrong(why)),
                Some(_) => {}
            }
        }
        self.write_head()?;
        supply.done(&mut Disk::of(self.job, None));
        Ok(())
    }

    /// What the disk's first block says, if it speaks of this image.
    fn marker(&self) -> Option<Marker> {
        let mut block = vec![0; marker::LENGTH];
        self.job.target.read(0, &mut block).ok()?;
        Marker::from_block(&block).filter(|marker| marker.manifest == self.job.digest)
    }

    fn head_is_right(&self) -> bool {
        // A window of zeros is right on any new disk, and says nothing.
        self.head_frame()
            .is_some_and(|(_, frame)| begins_with(self.job.target, frame))
    }

    /// Takes away what could be booted or taken for somebody's, the boot sector first. Resumed, the ends
    /// are among the pieces.
    fn destroy(&mut self, fresh: bool, wiped: bool) -> Result<(), Error> {
        let target = self.job.target;
        let size = target.size();
        let first = ENDS.min(self.length_of_head()).min(size);
        let behind = marker::LENGTH as u64;
        let phase = if wiped { Phase::Writing } else { Phase::Wiping };
        self.mark(phase)?;
        let rest = first.saturating_sub(behind);
        self.did(target.write_zeros(behind.min(first), rest))?;
        if fresh {
            let last = size.saturating_sub(ENDS).max(first);
            self.did(target.write_zeros(last, size.saturating_sub(last)))?;
        }
        self.flush()?;
        if !wiped {
            let mut at = behind.min(size);
            while at < size {
                self.job.in_time()?;
                let part = (size - at).min(64 << 20);
                self.did(target.write_zeros(at, part))?;
                at += part;
            }
            self.flush()?;
            self.mark(Phase::Writing)?;
        }
        Ok(())
    }

    fn mark(&self, phase: Phase) -> Result<(), Error> {
        let marker = Marker {
            order: self.job.order,
            manifest: self.job.digest,
            phase,
        };
        self.did(self.job.target.write(0, &marker.to_block()))?;
        self.flush()
    }

    /// The ranges of zeros that are not right. The second time they are written: a device that was asked
    /// to make zeros may have promised too much.
    fn write_zeros(&self, round: usize) -> Result<(), Error> {
        for (number, piece) in self.pieces.iter().enumerate().skip(1) {
            if let (Piece::Zeros { at, length }, false) = (*piece, self.good[number]) {
                self.job.in_time()?;
                self.did(match round {
                    1 => self.job.target.zero(at, length),
                    _ => self.job.target.write_zeros(at, length),
                })?;
            }
        }
        Ok(())
    }

    /// The first window: all but its first block, then that.
    fn write_head(&mut self) -> Result<(), Error> {
        let (target, length) = (self.job.target, self.length_of_head());
        let mut window = vec![0; usize::try_from(length).unwrap_or_default()];
        if let (Some((_, frame)), Some(raw)) = (self.head_frame(), &self.head) {
            place(frame, raw, &mut window);
        }
        let block = marker::LENGTH.min(window.len());
        let (first, rest) = window.split_at(block);
        self.did(target.write(block as u64, rest))?;
        self.flush()?;
        let mut back = vec![0; rest.len()];
        self.did(target.read(block as u64, &mut back))?;
        if back != rest {
            return Err(self.wrong("the first window".to_string()));
        }
        drop(back);
        let written = target.write(0, first).and_then(|()| target.flush());
        let whole = written.map_err(|why| self.cannot(why)).and_then(|()| {
            let mut back = vec![0; window.len()];
            self.did(target.read(0, &mut back))?;
            match back == window {
                true => Ok(()),
                false => Err(self.wrong("the first window".to_string())),
            }
        });
        if let Err(error) = whole {
            // What may be bootable now has not been proven.
            let _ = self.mark(Phase::Writing);
            return Err(error);
        }
        self.summary.written += self.head.take().map_or(0, |raw| raw.len() as u64);
        self.good[0] = true;
        Ok(())
    }

    fn inspect_but_head(
        &mut self,
        meanwhile: impl FnMut() -> Result<(), Ended>,
    ) -> Result<Option<String>, Error> {
        self.inspect_those(|number| number > 0, meanwhile)
    }

    fn inspect(&mut self, meanwhile: impl FnMut() -> Result<(), Ended>) -> Result<(), Error> {
        self.inspect_those(|_| true, meanwhile).map(drop)
    }

    /// Looks at the pieces that have not been seen right. What is wrong with the first that is not.
    fn inspect_those(
        &mut self,
        wanted: impl Fn(usize) -> bool,
        meanwhile: impl FnMut() -> Result<(), Ended>,
    ) -> Result<Option<String>, Error> {
        let which = (0..self.pieces.len()).filter(|&number| !self.good[number] && wanted(number));
        let which: Vec<usize> = which.collect();
        let job = self.job;
        let found = inspect(job.target, job.manifest, &self.pieces, &which, meanwhile)?;
        let mut wrong = None;
        for (number, found) in which.into_iter().zip(found) {
            let why = match found {
                Found::Right => {
                    self.good[number] = true;
                    continue;
                }
                Found::Wrong(why) => why,
                Found::Unreadable(why) => why.to_string(),
            };
            wrong.get_or_insert(why);
        }
        Ok(wrong)
    }

    fn head_frame(&self) -> Option<(usize, &Frame)> {
        match self.pieces.first() {
            Some(Piece::Frame(number)) => {
                let frame = self.job.manifest.frames().get(*number)?;
                Some((*number, frame))
            }
            _ => None,
        }
    }

    fn length_of_head(&self) -> u64 {
        match self.pieces.first() {
            Some(Piece::Zeros { length, .. }) => *length,
            _ => self
                .head_frame()
                .map_or(0, |(_, frame)| u64::from(frame.length)),
        }
    }

    fn frames_that_are_good(&self) -> usize {
        let pieces = self.pieces.iter().zip(&self.good);
        let good = pieces.filter(|(piece, good)| **good && matches!(piece, Piece::Frame(_)));
        good.count()
    }

    fn flush(&self) -> Result<(), Error> {
        self.did(self.job.target.flush())
    }

    fn did<T>(&self, result: io::Result<T>) -> Result<T, Error> {
        result.map_err(|why| self.cannot(why))
    }

    fn cannot(&self, why: io::Error) -> Error {
        let disk = self.job.target.path().display().to_string();
        Error::Write { disk, why }
    }

    fn wrong(&self, why: String) -> Error {
        let disk = self.job.target.path().display().to_string();
        Error::Verify { disk, why }
    }
}

impl Job<'_> {
    fn in_time(&self) -> Result<(), Ended> {
        match Instant::now() < self.deadline {
            true => Ok(()),
            false => Err(Ended::Late("the time for all of it is over".to_string())),
        }
    }
}

#[cfg(test)]
mod tests;
