//! What a disk consists of when an image is on it: frames, and ranges that read as zeros.

use disk_image::Manifest;
use disk_image::order::Zero;

/// How much of each end of a disk is cleared of what others left: partition tables and their copies,
/// labels of volume managers, RAID and file systems.
pub const ENDS: u64 = 1 << 20;

/// Longest range of zeros that is one piece.
const LONGEST: u64 = 64 << 20;

/// A part of the disk that is right or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The frame with this number in the manifest: its whole window.
    Frame(usize),
    /// A range that reads as zeros.
    Zeros {
        /// Where it begins, in bytes.
        at: u64,
        /// Its length in bytes.
        length: u64,
    },
}

/// The pieces of a disk of so many bytes, in its order: the image, then what is to be zeros behind it:
/// the last MiB at least. The first piece begins at byte 0.
pub fn pieces(manifest: &Manifest, disk: u64, zero: Zero) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for (number, frame) in manifest.frames().iter().enumerate() {
        zeros(&mut pieces, at, frame.offset);
        pieces.push(Piece::Frame(number));
        at = frame.offset + u64::from(frame.length);
    }
    zeros(&mut pieces, at, manifest.size());
    let rest = match zero {
        Zero::Nothing => disk.saturating_sub(ENDS).max(manifest.size()),
        Zero::Rest | Zero::All => manifest.size(),
    };
    zeros(&mut pieces, rest, disk);
    pieces
}

/// Cut at multiples of the longest, so that a resumed load cuts as the one before did.
fn zeros(pieces: &mut Vec<Piece>, mut at: u64, end: u64) {
    while at < end {
        let next = (at + 1).next_multiple_of(LONGEST).min(end);
        let length = next - at;
        pieces.push(Piece::Zeros { at, length });
        at = next;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{ENDS, Piece, pieces};
    use disk_image::order::Zero;
    use disk_image::{Manifest, testing};

    const M: u64 = 1 << 20;

    #[test]
    fn they_are_the_whole_disk_or_all_that_is_promised_of_it() {
        let mut disk = vec![0; 5 << 20];
        disk[M as usize] = 1;
        disk[5 * M as usize - 1] = 1;
        let (bytes, _) = testing::image(&disk, 1 << 20).unwrap();
        let manifest = Manifest::parse(&bytes).unwrap();
        let zeros = |at, length| Piece::Zeros { at, length };
        let image = [
            zeros(0, M),
            Piece::Frame(0),
            zeros(2 * M, 2 * M),
            Piece::Frame(1),
        ];
        assert_eq!(pieces(&manifest, 5 * M, Zero::All), image);
        let end = |disk, zero| pieces(&manifest, disk, zero).split_off(image.len());
        assert_eq!(end(5 * M + 512, Zero::Nothing), [zeros(5 * M, 512)]);
        assert_eq!(end(9 * M, Zero::Nothing), [zeros(9 * M - ENDS, ENDS)]);
        assert_eq!(end(9 * M, Zero::Rest), [zeros(5 * M, 4 * M)]);
        let long = end(130 * M, Zero::Rest);
        assert_eq!(long[0], zeros(5 * M, 59 * M));
        assert_eq!(long[1..], [zeros(64 * M, 64 * M), zeros(128 * M, 2 * M)]);
    }
}
