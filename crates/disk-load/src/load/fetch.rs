//! Frames come, are compared and written at the same time, and are handed on to peers.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, TrySendError, channel, sync_channel};
use std::time::Duration;

use super::window::write_frame;
use super::{Error, Job, Work};
use crate::inspect::raw;
use crate::pieces::Piece;
use crate::supply::{Supply, Written};

/// Bytes of frames that wait for the disk.
const QUEUE: usize = 4 << 20;
/// The longest that a peer waits while the disk is busy, or the disk while nothing comes.
const TURN: Duration = Duration::from_millis(20);

impl Work<'_> {
    /// Gets the frames that are not right, and writes all but the first window. Getting, unpacking and
    /// comparing happen here, writing in a thread beside.
    pub(super) fn fetch(&mut self, supply: &mut dyn Supply) -> Result<(), Error> {
        let frames = self.job.manifest.frames();
        let mut have = vec![false; frames.len()];
        for (piece, good) in self.pieces.iter().zip(&self.good) {
            if let Piece::Frame(number) = *piece {
                have[number] = *good;
            }
        }
        let head = self.head_frame().map(|(number, _)| number);
        if let (Some(number), true) = (head, self.head.is_some()) {
            have[number] = true;
        }
        supply.begin(&have)?;
        let mut asked = have.iter().filter(|have| !**have).count();
        let mut unwritten = asked;
        let (job, depth) = (self.job, QUEUE / self.job.manifest.frame_size() as usize);
        let mut bytes = 0;
        let mut head_raw = self.head.take();
        std::thread::scope(|scope| {
            let (queue, frames_to_write) = sync_channel::<(usize, Vec<u8>)>(depth.max(1));
            let (said, says) = channel::<io::Result<usize>>();
            scope.spawn(move || {
                for (number, raw) in frames_to_write {
                    let result = write_frame(job.target, &frames[number], &raw).map(|()| number);
                    let failed = result.is_err();
                    if said.send(result).is_err() || failed {
                        return;
                    }
                }
            });
            let mut waiting: Option<(usize, Vec<u8>)> = None;
            while unwritten > 0 {
                job.in_time()?;
                let busy = waiting.is_some() || asked == 0;
                // Nothing more is taken from the network while the disk is behind, but peers are served.
                match says.recv_timeout(if busy { TURN } else { Duration::ZERO }) {
                    Ok(result) => {
                        let number = self.did(result)?;
                        bytes += u64::from(frames[number].raw());
                        supply.written(number);
                        unwritten -= 1;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => {
                        let why = io::Error::other("the writer has ended");
                        return self.did(Err(why));
                    }
                }
                if let Some(frame) = waiting.take() {
                    match queue.try_send(frame) {
                        Ok(()) => {}
                        // If it has ended, it has said why.
                        Err(TrySendError::Full(frame) | TrySendError::Disconnected(frame)) => {
                            waiting = Some(frame);
                        }
                    }
                    if waiting.is_some() {
                        continue;
                    }
                }
                let timeout = if asked == 0 { Duration::ZERO } else { TURN };
                let mut disk = Disk::of(job, head_raw.as_deref());
                let Some((number, raw)) = supply.next(&mut disk, timeout)? else {
                    continue;
                };
                if have.get(number) != Some(&false) {
                    continue;
                }
                have[number] = true;
                asked -= 1;
                if head == Some(number) {
                    head_raw = Some(raw);
                    supply.written(number);
                    unwritten -= 1;
                } else {
                    waiting = Some((number, raw));
                }
            }
            Ok(())
        })?;
        self.head = head_raw;
        self.summary.written += bytes;
        Ok(())
    }
}

/// What peers may be given of a disk that is being written.
pub(super) struct Disk<'a> {
    job: &'a Job<'a>,
    head: Option<&'a [u8]>,
}

impl<'a> Disk<'a> {
    pub(super) fn of(job: &'a Job<'a>, head: Option<&'a [u8]>) -> Disk<'a> {
        Disk { job, head }
    }
}

impl Written for Disk<'_> {
    fn raw(&mut self, number: usize) -> io::Result<Vec<u8>> {
        let frame = self.job.manifest.frames().get(number);
        let frame = frame.ok_or(io::ErrorKind::NotFound)?;
        match self.head {
            Some(head) if frame.offset == 0 => Ok(head.to_vec()),
            _ => raw(self.job.target, frame),
        }
    }
}
