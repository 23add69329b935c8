//! One window of the disk: written, put together, looked at.

use std::io;

use disk_image::Frame;

use crate::device::Target;
use crate::inspect::{Found, check_window};

/// A hole in a window that is smaller is written with what is around it.
const HOLE: u32 = 64 << 10;

/// True if the disk begins with the first window of an image.
pub(super) fn begins_with(target: &Target, frame: &Frame) -> bool {
    let mut window = vec![0; frame.length as usize];
    let read = target.read(0, &mut window);
    read.is_ok() && matches!(check_window(&window, frame), Found::Right)
}

/// The whole window becomes what the frame says. Small holes are written with what is around them.
pub(super) fn write_frame(target: &Target, frame: &Frame, raw: &[u8]) -> io::Result<()> {
    if frame.raw() == frame.length {
        return target.write(frame.offset, raw);
    }
    let mut window = vec![0; frame.length as usize];
    place(frame, raw, &mut window);
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for extent in &frame.extents {
        let end = extent.offset + extent.length;
        match spans.last_mut() {
            Some(last) if extent.offset - last.1 < HOLE => last.1 = end,
            _ => spans.push((extent.offset, end)),
        }
    }
    if let Some(first) = spans.first_mut().filter(|first| first.0 < HOLE) {
        first.0 = 0;
    }
    if let Some(last) = spans.last_mut().filter(|last| frame.length - last.1 < HOLE) {
        last.1 = frame.length;
    }
    let mut behind = 0;
    for (begin, end) in spans {
        let hole = u64::from(begin - behind);
        if hole > 0 {
            target.zero(frame.offset + u64::from(behind), hole)?;
        }
        let span = window.get(begin as usize..end as usize);
        target.write(frame.offset + u64::from(begin), span.unwrap_or_default())?;
        behind = end;
    }
    match frame.length - behind {
        0 => Ok(()),
        hole => target.zero(frame.offset + u64::from(behind), u64::from(hole)),
    }
}

/// Puts a frame's extents into its window.
pub(super) fn place(frame: &Frame, raw: &[u8], window: &mut [u8]) {
    for (at, piece) in frame.pieces(raw) {
        let begin = usize::try_from(at - frame.offset).unwrap_or_default();
        if let Some(place) = window.get_mut(begin..begin + piece.len()) {
            place.copy_from_slice(piece);
        }
    }
}
