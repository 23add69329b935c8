//! The manifest: everything about an image but its bytes.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;
use crate::frame::{BLOCK, Frame, LARGEST_FRAME, SMALLEST_FRAME, longest_stored};

/// The format number that is written; a higher one is refused.
pub const FORMAT: u64 = 1;
/// Longest manifest, in bytes.
pub const LONGEST_MANIFEST: usize = 64 << 20;
/// Most windows that a disk may have: 16 TiB in windows of 4 MiB.
pub const MOST_FRAMES: u64 = 4 << 20;
/// What a disk's size is a multiple of, in bytes.
pub(crate) const SECTOR: u64 = 512;
/// Most partitions that are listed.
pub(crate) const MOST_PARTITIONS: usize = 256;

/// An image, as its manifest tells it. Whoever has one has a consistent one: frames are in order, none
/// overlaps another or reaches past the disk's end, on the disk or in the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: u64,
    size: u64,
    frame_size: u32,
    object_size: u64,
    #[serde(rename = "sha256")]
    digest: Digest,
    source: Source,
    partitions: Partitions,
    frames: Vec<Frame>,
}

/// The file that an image was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What its format was declared to be: `raw`, `qcow2` and so on.
    pub format: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256: of the file, not of the disk in it.
    #[serde(rename = "sha256")]
    pub digest: Digest,
}

/// The partition table that was seen on the disk when it was added.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partitions {
    /// Its kind.
    pub table: PartitionTable,
    /// In the table's order.
    pub partitions: Vec<Partition>,
}

/// A kind of partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionTable {
    /// Neither of the others: one file system on the whole disk, or a table that we do not know.
    #[default]
    None,
    /// A DOS master boot record; logical partitions are not listed.
    Mbr,
    /// A GUID partition table.
    Gpt,
}

/// One entry of a partition table, as it was written there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// From 1; its place in the table.
    pub number: u32,
    /// Where it begins on the disk, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// MBR: two hexadecimal digits; GPT: the type's GUID.
    pub kind: String,
}

/// What only the format number is read from, before anything else is believed.
#[derive(Deserialize)]
struct Head {
    format: u64,
}

impl Manifest {
    /// A manifest of these parts, in the order of the disk.
    ///
    /// # Errors
    /// [`Error::Manifest`] if they do not agree with each other.
    pub fn new(
        size: u64,
        frame_size: u32,
        digest: Digest,
        source: Source,
        partitions: Partitions,
        frames: Vec<Frame>,
    ) -> Result<Manifest, Error> {
        let manifest = Manifest {
            format: FORMAT,
            size,
            frame_size,
            object_size: frames.last().map_or(0, |frame| frame.range().end),
            digest,
            source,
            partitions,
            frames,
        };
        manifest.check().map_err(Error::Manifest)?;
        Ok(manifest)
    }

    /// Reads a manifest and checks all of it.
    ///
    /// # Errors
    /// [`Error::Manifest`]: longer than 64 MiB, not JSON of that form, of a newer format, or not
    /// consistent.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, Error> {
        if bytes.len() > LONGEST_MANIFEST {
            let why = format!("is longer than {LONGEST_MANIFEST} bytes");
            return Err(Error::Manifest(why));
        }
        let wrong = |error: serde_json::Error| Error::Manifest(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(wrong)?;
        if head.format != FORMAT {
            let why = format!("has format {}; this program reads {FORMAT}", head.format);
            return Err(Error::Manifest(why));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(wrong)?;
        manifest.check().map_err(Error::Manifest)?;
        Ok(manifest)
    }

    /// The bytes of a manifest file.
    ///
    /// # Errors
    /// [`Error::Manifest`] if it is longer than a manifest may be.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::Manifest(error.to_string()))?;
        if bytes.len() <= LONGEST_MANIFEST {
            return Ok(bytes);
        }
        let why = format!("would be longer than {LONGEST_MANIFEST} bytes");
        Err(Error::Manifest(why))
    }

    /// What names an image: the SHA-256 of its manifest's bytes as they are stored and sent.
    pub fn digest(bytes: &[u8]) -> Digest {
        Digest::of(bytes)
    }

    /// The disk's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The length of a window of the disk, in bytes.
    pub fn frame_size(&self) -> u32 {
        self.frame_size
    }

    /// The length of the object in bytes: all frames, one behind the other.
    pub fn object_size(&self) -> u64 {
        self.object_size
    }

    /// How many bytes of the disk are stored.
    pub fn raw(&self) -> u64 {
        self.frames.iter().map(|frame| u64::from(frame.raw())).sum()
    }

    /// SHA-256 of the whole disk, holes as zeros.
    pub fn disk_digest(&self) -> Digest {
        self.digest
    }

    /// What it was made from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The partition table that was seen.
    pub fn partitions(&self) -> &Partitions {
        &self.partitions
    }

    /// The frames, in the order of the disk and of the object.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    fn check(&self) -> Result<(), String> {
        let sizes = [SMALLEST_FRAME, 2 * SMALLEST_FRAME, LARGEST_FRAME];
        if !sizes.contains(&self.frame_size) {
            return Err(format!(
                "frame_size is {}, not 1, 2 or 4 MiB",
                self.frame_size
            ));
        }
        if self.size == 0 || !self.size.is_multiple_of(SECTOR) {
            return Err(format!("size is {}, not a multiple of {SECTOR}", self.size));
        }
        if self.size.div_ceil(u64::from(self.frame_size)) > MOST_FRAMES {
            return Err(format!(
                "size is {}, more than {MOST_FRAMES} frames",
                self.size
            ));
        }
        self.source.check()?;
        self.partitions.check()?;
        let (mut begin, mut at) = (0, 0);
        for (number, frame) in self.frames.iter().enumerate() {
            let wrong = |why: String| format!("frame {number}: {why}");
            self.check_frame(frame, begin, at).map_err(wrong)?;
            begin = frame.offset + u64::from(frame.length);
            at = frame.range().end;
        }
        if at != self.object_size {
            return Err(format!(
                "object_size is {}, but its frames have {at} bytes",
                self.object_size
            ));
        }
        Ok(())
    }

    /// `begin`: where the window before ends; `at`: where the bytes of the frame before end.
    fn check_frame(&self, frame: &Frame, begin: u64, at: u64) -> Result<(), String> {
        let window = u64::from(self.frame_size);
        if !frame.offset.is_multiple_of(window) || frame.offset < begin {
            return Err(format!(
                "offset {} is not a multiple of the frame size behind {begin}",
                frame.offset
            ));
        }
        let left = self.size.saturating_sub(frame.offset);
        if left == 0 {
            return Err(format!("offset {} is past the end", frame.offset));
        }
        if u64::from(frame.length) != window.min(left) {
            return Err(format!("length {} is not its window's", frame.length));
        }
        let raw = check_extents(frame)?;
        if frame.at != at {
            return Err(format!("at is {}, not {at}", frame.at));
        }
        if frame.stored == 0 || frame.stored > longest_stored(raw) {
            return Err(format!("{} bytes are stored for {raw}", frame.stored));
        }
        Ok(())
    }
}

impl Source {
    fn check(&self) -> Result<(), String> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        match self.format.len() {
            1..=16 if self.format.bytes().all(good) => Ok(()),
            _ => Err("source has a format that is none".to_string()),
        }
    }
}

impl Partitions {
    fn check(&self) -> Result<(), String> {
        let good = |partition: &Partition| {
            let kind = partition.kind.as_bytes();
            partition.offset.checked_add(partition.length).is_some()
                && kind.len() <= 36
                && kind
                    .iter()
                    .all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
        };
        match self.partitions.iter().all(good) && self.partitions.len() <= MOST_PARTITIONS {
            true => Ok(()),
            false => Err("partitions are no partitions".to_string()),
        }
    }
}

/// Checks that extents are in order, apart, on blocks and inside the window. Returns their sum, which
/// is at most the window's length.
fn check_extents(frame: &Frame) -> Result<u32, String> {
    if frame.extents.is_empty() {
        return Err("it has no extents".to_string());
    }
    let (mut raw, mut behind) = (0, None);
    for extent in &frame.extents {
        let end = extent.offset.checked_add(extent.length);
        let end = end.filter(|end| *end <= frame.length && extent.length > 0);
        let on_blocks = |end: &u32| {
            extent.offset.is_multiple_of(BLOCK)
                && (end.is_multiple_of(BLOCK) || *end == frame.length)
                && behind.is_none_or(|behind| extent.offset > behind)
        };
        let end = end.filter(on_blocks).ok_or_else(|| {
            let (offset, length) = (extent.offset, extent.length);
            format!(
                "extent [{offset},{length}] is not in its window, on blocks, behind the one before"
            )
        })?;
        raw += extent.length;
        behind = Some(end);
    }
    Ok(raw)
}
