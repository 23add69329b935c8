//! Reading back: which pieces of the disk are what they have to be.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use disk_image::{Frame, Manifest};

use crate::device::Target;
use crate::pieces::Piece;

/// One reads while the other compares.
const READERS: usize = 2;
/// How much of a range of zeros is read at once.
const AT_ONCE: u64 = 1 << 20;
/// How often the caller is let do something else.
const TURN: Duration = Duration::from_millis(20);

/// What was found of a piece.
#[derive(Debug)]
pub(crate) enum Found {
    Right,
    Wrong(String),
    Unreadable(io::Error),
}

/// Reads these pieces (their numbers) from the disk and compares. `meanwhile` is called all the time;
/// its error ends it.
pub(crate) fn inspect<E>(
    target: &Target,
    manifest: &Manifest,
    pieces: &[Piece],
    which: &[usize],
    mut meanwhile: impl FnMut() -> Result<(), E>,
) -> Result<Vec<Found>, E> {
    let next = AtomicUsize::new(0);
    let found: Vec<Mutex<Option<Found>>> = which.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        let (sender, ended) = channel::<()>();
        for _ in 0..READERS {
            let (next, found, sender) = (&next, &found, sender.clone());
            scope.spawn(move || {
                let _sender = sender;
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(number), Some(place)) = (which.get(turn), found.get(turn)) else {
                        return;
                    };
                    let result = match pieces[*number] {
                        Piece::Frame(frame) => check_frame(target, &manifest.frames()[frame]),
                        Piece::Zeros { at, length } => check_zeros(target, at, length),
                    };
                    if let Ok(mut place) = place.lock() {
                        *place = Some(result.unwrap_or_else(Found::Unreadable));
                    }
                }
            });
        }
        drop(sender);
        while ended.recv_timeout(TURN) == Err(RecvTimeoutError::Timeout) {
            if let Err(error) = meanwhile() {
                // The others find nothing left to do.
                next.store(which.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    })?;
    let found = found.into_iter().map(|place| {
        let found = place.into_inner().ok().flatten();
        found.unwrap_or_else(|| Found::Wrong("was not read".to_string()))
    });
    Ok(found.collect())
}

/// The extents of a frame from the disk, one after the other.
pub(crate) fn raw(target: &Target, frame: &Frame) -> io::Result<Vec<u8>> {
    let window = window(target, frame)?;
    Ok(extents(&window, frame).unwrap_or(window))
}

fn check_frame(target: &Target, frame: &Frame) -> io::Result<Found> {
    Ok(check_window(&window(target, frame)?, frame))
}

/// Compares a whole window with its frame: the extents by their digest, all else with zeros.
pub(crate) fn check_window(window: &[u8], frame: &Frame) -> Found {
    let mut behind = 0;
    let ends = frame
        .extents
        .iter()
        .map(|e| (e.offset, e.offset + e.length));
    for (begin, end) in ends.chain([(frame.length, frame.length)]) {
        let hole = window.get(behind as usize..begin as usize);
        if !hole.is_some_and(is_zero) {
            return Found::Wrong(format!("no zeros in the window at byte {}", frame.offset));
        }
        behind = end;
    }
    let extents = extents(window, frame);
    match frame.check(extents.as_deref().unwrap_or(window)) {
        Ok(()) => Found::Right,
        Err(why) => Found::Wrong(why.to_string()),
    }
}

fn window(target: &Target, frame: &Frame) -> io::Result<Vec<u8>> {
    let mut window = vec![0; frame.length as usize];
    target.read(frame.offset, &mut window)?;
    Ok(window)
}

/// The extents' bytes, if they are not just the window.
fn extents(window: &[u8], frame: &Frame) -> Option<Vec<u8>> {
    if frame.raw() == frame.length {
        return None;
    }
    let mut raw = Vec::with_capacity(frame.raw() as usize);
    for extent in &frame.extents {
        let begin = extent.offset as usize;
        let piece = window.get(begin..begin + extent.length as usize);
        raw.extend_from_slice(piece.unwrap_or_default());
    }
    Some(raw)
}

fn check_zeros(target: &Target, at: u64, length: u64) -> io::Result<Found> {
    let mut buffer = vec![0; usize::try_from(length.min(AT_ONCE)).unwrap_or_default()];
    let (mut at, end) = (at, at + length);
    while at < end {
        let next = (at + 1).next_multiple_of(AT_ONCE).min(end);
        let part = usize::try_from(next - at).unwrap_or_default();
        let part = buffer.get_mut(..part).unwrap_or_default();
        target.read(at, part)?;
        if !is_zero(part) {
            return Ok(Found::Wrong(format!("no zeros behind byte {at}")));
        }
        at = next;
    }
    Ok(Found::Right)
}

fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes
        .chunks(ZEROS.len())
        .all(|part| ZEROS.get(..part.len()) == Some(part))
}
