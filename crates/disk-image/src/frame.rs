//! One window of the disk: what of it is stored, and how it is read back.

use serde::{Deserialize, Serialize};
use zstd::zstd_safe;

use crate::digest::Digest;
use crate::error::Error;

/// What an extent's place and length are multiples of, in bytes; only at the disk's end may it be less.
pub const BLOCK: u32 = 4096;
/// Smallest window, in bytes.
pub const SMALLEST_FRAME: u32 = 1 << 20;
/// Largest window, in bytes.
pub const LARGEST_FRAME: u32 = 4 << 20;

/// Stored blocks of one window of the disk. All of a manifest's frames have been checked when it was
/// parsed: places and lengths agree with the disk's size and with each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frame {
    /// Where the window begins on the disk, in bytes; a multiple of the image's frame size.
    pub offset: u64,
    /// The window's length on the disk, in bytes: the frame size, or what is left of the disk.
    pub length: u32,
    /// The parts of the window that are stored, in order, with at least a block between them. Never
    /// empty: a window of zeros has no frame.
    pub extents: Vec<Extent>,
    /// Where its bytes begin in the object.
    pub at: u64,
    /// How many they are there: one zstd frame, all of it.
    pub stored: u32,
    /// SHA-256 of the extents' bytes, one extent after the other.
    #[serde(rename = "sha256")]
    pub digest: Digest,
}

/// A part of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct Extent {
    /// Where it begins, in bytes from the window's beginning.
    pub offset: u32,
    /// Its length in bytes, never 0.
    pub length: u32,
}

/// The most bytes that zstd makes of `raw` bytes: what does not shrink is stored as it is. Beyond that
/// a frame's stored length is a lie.
pub fn longest_stored(raw: u32) -> u32 {
    raw.saturating_add(raw / 128).saturating_add(1024)
}

impl Frame {
    /// How many bytes of the disk the frame holds: the sum of its extents, at most 4 MiB.
    pub fn raw(&self) -> u32 {
        let add = |sum: u32, extent: &Extent| sum.saturating_add(extent.length);
        self.extents.iter().fold(0, add)
    }

    /// Where its bytes are in the object: what a range request asks for.
    pub fn range(&self) -> std::ops::Range<u64> {
        self.at..self.at.saturating_add(u64::from(self.stored))
    }

    /// Unpacks the stored bytes and checks them: the result holds the extents, one after the other
    /// ([`Frame::pieces`] says where each goes), and has the digest that the manifest promises. Takes
    /// no more memory than [`Frame::raw`] and zstd's tables, whatever the bytes say.
    ///
    /// # Errors
    /// [`Error::Frame`]: not one whole zstd frame of the promised length, or another content.
    pub fn decode(&self, stored: &[u8]) -> Result<Vec<u8>, Error> {
        let raw = self.unpack(stored)?;
        self.check(&raw)?;
        Ok(raw)
    }

    /// Checks bytes that were read back from the disk: the extents, one after the other.
    ///
    /// # Errors
    /// [`Error::Frame`].
    pub fn check(&self, raw: &[u8]) -> Result<(), Error> {
        let found = Digest::of(raw);
        if raw.len() as u64 == u64::from(self.raw()) && found == self.digest {
            return Ok(());
        }
        Err(self.wrong(format!(
            "its content has the digest {found}, not {}",
            self.digest
        )))
    }

    /// Each extent's place on the disk, in bytes, and its part of `raw`, which [`Frame::decode`] or the
    /// disk gave. Ends early if `raw` is shorter than [`Frame::raw`].
    pub fn pieces<'a>(&'a self, raw: &'a [u8]) -> impl Iterator<Item = (u64, &'a [u8])> + 'a {
        let mut rest = raw;
        self.extents.iter().map_while(move |extent| {
            let (piece, after) = rest.split_at_checked(extent.length as usize)?;
            rest = after;
            let place = self.offset.saturating_add(u64::from(extent.offset));
            Some((place, piece))
        })
    }

    /// [`Frame::decode`] without the digest.
    pub(crate) fn unpack(&self, stored: &[u8]) -> Result<Vec<u8>, Error> {
        if stored.len() as u64 != u64::from(self.stored) {
            let why = format!("{} bytes instead of {}", stored.len(), self.stored);
            return Err(self.wrong(why));
        }
        // One frame and nothing behind it: zstd itself would take more, and skip what it is told to.
        match zstd_safe::find_frame_compressed_size(stored) {
            Ok(length) if length == stored.len() => {}
            Ok(_) => return Err(self.wrong("there are bytes behind its zstd frame")),
            Err(code) => return Err(self.wrong(zstd_safe::get_error_name(code))),
        }
        let raw = self.raw();
        match zstd_safe::get_frame_content_size(stored) {
            Ok(Some(length)) if length == u64::from(raw) => {}
            _ => return Err(self.wrong(format!("its zstd frame does not hold {raw} bytes"))),
        }
        let mut content = Vec::with_capacity(raw as usize);
        match zstd_safe::DCtx::create().decompress(&mut content, stored) {
            Ok(length) if length == raw as usize => Ok(content),
            Ok(length) => Err(self.wrong(format!("{length} bytes unpacked instead of {raw}"))),
            Err(code) => Err(self.wrong(zstd_safe::get_error_name(code))),
        }
    }

    fn wrong(&self, why: impl Into<String>) -> Error {
        Error::Frame {
            offset: self.offset,
            why: why.into(),
        }
    }
}

impl From<(u32, u32)> for Extent {
    fn from((offset, length): (u32, u32)) -> Extent {
        Extent { offset, length }
    }
}

impl From<Extent> for (u32, u32) {
    fn from(extent: Extent) -> (u32, u32) {
        (extent.offset, extent.length)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Extent, Frame, longest_stored};
    use crate::digest::Digest;

    fn frame(raw: &[u8], stored: &[u8]) -> Frame {
        Frame {
            offset: 1 << 20,
            length: 1 << 20,
            extents: vec![Extent {
                offset: 8192,
                length: u32::try_from(raw.len()).unwrap(),
            }],
            at: 0,
            stored: u32::try_from(stored.len()).unwrap(),
            digest: Digest::of(raw),
        }
    }

    fn packed(raw: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(raw, 3).unwrap()
    }

    #[test]
    fn what_was_stored_comes_back_with_its_place() {
        let raw = [b"a".repeat(4096), b"b".repeat(8192)].concat();
        let stored = packed(&raw);
        let mut frame = frame(&raw, &stored);
        frame.extents = vec![(0, 4096).into(), (1 << 19, 8192).into()];
        assert_eq!(frame.decode(&stored).unwrap(), raw);
        let pieces: Vec<(u64, usize, u8)> = frame
            .pieces(&raw)
            .map(|(place, piece)| (place, piece.len(), piece[0]))
            .collect();
        let second = (1 << 20) + (1 << 19);
        assert_eq!(pieces, [(1 << 20, 4096, b'a'), (second, 8192, b'b')]);
        assert_eq!(frame.pieces(&raw[..5000]).count(), 1);
        assert_eq!(frame.range(), 0..stored.len() as u64);
    }

    #[test]
    fn what_is_not_what_was_stored_is_refused() {
        let raw = b"x".repeat(4096);
        let stored = packed(&raw);
        let good = frame(&raw, &stored);
        let why = |frame: &Frame, stored: &[u8]| frame.decode(stored).unwrap_err().to_string();
        let expect = |why: String, part: &str| {
            assert!(
                why.starts_with("frame at byte 1048576 of the disk: ") && why.contains(part),
                "{why}"
            );
        };
        expect(why(&good, &stored[1..]), "bytes instead of");
        expect(why(&good, b""), "0 bytes instead of");
        // Other content of the same form.
        let other = packed(&b"y".repeat(4096));
        expect(why(&frame(&raw, &other), &other), "has the digest");
        // A bomb: a few bytes that are 64 MiB.
        let bomb = packed(&vec![0; 64 << 20]);
        expect(why(&frame(&raw, &bomb), &bomb), "does not hold 4096 bytes");
        // One that lies about its length. RFC 8878: this descriptor is followed by a byte for the
        // window and four for the content's size.
        let mut liar = bomb.clone();
        assert_eq!(liar[4] & 0xe0, 0x80);
        liar[6..10].copy_from_slice(&4096_u32.to_le_bytes());
        assert!(frame(&raw, &liar).decode(&liar).is_err());
        for behind in [
            packed(b""),
            packed(&raw),
            // A skippable frame of four bytes.
            b"\x50\x2a\x4d\x18\x04\0\0\0abcd".to_vec(),
        ] {
            let long = [stored.clone(), behind.clone()].concat();
            expect(why(&frame(&raw, &long), &long), "bytes behind");
            let before = [behind, stored.clone()].concat();
            expect(why(&frame(&raw, &before), &before), "");
        }
        let garbage = b"garbage at the end".to_vec();
        let long = [stored.clone(), garbage].concat();
        assert!(frame(&raw, &long).decode(&long).is_err());
        for cut in 1..stored.len() {
            assert!(frame(&raw, &stored[..cut]).decode(&stored[..cut]).is_err());
        }
    }

    #[test]
    fn zstd_keeps_to_the_bound() {
        for raw in [1_usize, 4096, 100_000, 1 << 20, 4 << 20] {
            let bound = zstd::zstd_safe::compress_bound(raw);
            assert!(bound <= longest_stored(u32::try_from(raw).unwrap()) as usize);
        }
    }
}
