//! From a window of the disk to a frame.

use zstd::zstd_safe::{self, CCtx, CParameter};

use crate::digest::Digest;
use crate::error::Error;
use crate::frame::{BLOCK, Extent, Frame, LARGEST_FRAME};

/// Packs windows, one after the other. What it needs (two windows and zstd's tables) is made once.
pub(crate) struct Packer {
    context: CCtx<'static>,
    raw: Vec<u8>,
    stored: Vec<u8>,
}

impl Packer {
    /// Packs at this level of zstd's.
    pub(crate) fn new(level: i32) -> Result<Packer, Error> {
        let mut context = CCtx::create();
        context
            .set_parameter(CParameter::CompressionLevel(level))
            .map_err(|code| refused(0, code))?;
        Ok(Packer {
            context,
            raw: Vec::new(),
            stored: Vec::new(),
        })
    }

    /// Packs a window: its frame, which is to lie at `at` in the object, and the bytes to be stored
    /// there. None if it holds nothing but zeros.
    pub(crate) fn pack(
        &mut self,
        offset: u64,
        window: &[u8],
        at: u64,
    ) -> Result<Option<(Frame, &[u8])>, Error> {
        let length = u32::try_from(window.len()).ok();
        let Some(length) = length.filter(|length| *length <= LARGEST_FRAME) else {
            let why = format!("{} bytes are more than a frame may have", window.len());
            return Err(Error::Frame { offset, why });
        };
        let extents = extents(window);
        let raw = match extents.first() {
            None => return Ok(None),
            Some(all) if all.length == length => window,
            Some(_) => {
                self.raw.clear();
                for extent in &extents {
                    let begin = extent.offset as usize;
                    let part = &window[begin..begin + extent.length as usize];
                    self.raw.extend_from_slice(part);
                }
                &self.raw
            }
        };
        self.stored.clear();
        self.stored.reserve(zstd_safe::compress_bound(raw.len()));
        self.context
            .compress2(&mut self.stored, raw)
            .map_err(|code| refused(offset, code))?;
        let frame = Frame {
            offset,
            length,
            extents,
            at,
            // Little more than the length of a frame.
            stored: u32::try_from(self.stored.len()).unwrap_or(u32::MAX),
            digest: Digest::of(raw),
        };
        Ok(Some((frame, &self.stored)))
    }
}

impl Frame {
    /// Packs one window of the disk: its frame, which is to lie at `at` in the object, and the bytes to be
    /// stored there. None if it holds nothing but zeros.
    ///
    /// # Errors
    /// [`Error::Frame`] if the window is longer than 4 MiB, or zstd refuses the level.
    pub fn pack(
        offset: u64,
        window: &[u8],
        at: u64,
        level: i32,
    ) -> Result<Option<(Frame, Vec<u8>)>, Error> {
        let mut packer = Packer::new(level)?;
        let packed = packer.pack(offset, window, at)?;
        Ok(packed.map(|(frame, stored)| (frame, stored.to_vec())))
    }
}

fn refused(offset: u64, code: zstd_safe::ErrorCode) -> Error {
    let why = zstd_safe::get_error_name(code).to_string();
    Error::Frame { offset, why }
}

/// The parts of a window that hold anything but zeros.
fn extents(window: &[u8]) -> Vec<Extent> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut offset = 0;
    for block in window.chunks(BLOCK as usize) {
        // At most a block.
        let length = u32::try_from(block.len()).unwrap_or(BLOCK);
        if !is_zero(block) {
            match extents.last_mut() {
                Some(last) if last.offset + last.length == offset => last.length += length,
                _ => extents.push(Extent { offset, length }),
            }
        }
        offset += length;
    }
    extents
}

/// Sixteen bytes at a time: a disk is mostly zeros, and each is looked at.
fn is_zero(block: &[u8]) -> bool {
    let (words, rest) = block.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}
