//! The number that only grows.
//!
//! Two slots of 512 bytes; an epoch goes to the slot of its parity, in place. A slot: 8 bytes of
//! magic, the epoch and the writer's pid as little-endian 64-bit numbers, 32 bytes of the lock's
//! identity, zeroes, and in the last 4 bytes the CRC-32 of all before.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::error::Error;
use crate::lock::{IDENTITY, is_identity};

const MAGIC: &[u8; 8] = b"XNTEPOCH";
const SLOT: usize = 512;
const SUM: usize = SLOT - 4;

/// One valid slot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    epoch: u64,
    identity: String,
}

/// What the file says: the greatest epoch, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// The greatest one that can be read.
    pub(crate) last: u64,
    /// The next one to use.
    pub(crate) next: u64,
    /// Identity of the lock.
    pub(crate) identity: String,
}

/// Reads the file. None if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Epoch>, Error> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(Error::io(path))?,
    };
    let mut bytes = Vec::new();
    file.take(2 * SLOT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(Error::io(path))?;
    let epoch = judge(&bytes).ok_or_else(|| Error::EpochLost(path.to_owned()))?;
    Ok(Some(epoch))
}

/// True if both slots can be read.
pub(crate) fn is_whole(path: &Path) -> Result<bool, Error> {
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    let (first, second) = bytes.split_at(SLOT.min(bytes.len()));
    Ok(decode(first).is_some() && decode(second).is_some())
}

/// The bytes of the file of a lock that was never used.
pub(crate) fn fresh(identity: &str) -> Vec<u8> {
    let mut bytes = encode(0, identity);
    bytes.extend(encode(0, identity));
    bytes
}

/// Writes an epoch to its slot, in place, and to the disk.
pub(crate) fn write(path: &Path, epoch: u64, identity: &str) -> Result<(), Error> {
    let write = || {
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)?;
        file.write_all_at(&encode(epoch, identity), epoch % 2 * SLOT as u64)?;
        file.sync_all()
    };
    write().map_err(Error::io(path))
}

fn judge(bytes: &[u8]) -> Option<Epoch> {
    if bytes.len() != 2 * SLOT {
        return None;
    }
    let (first, second) = bytes.split_at(SLOT);
    let (found, whole) = match (decode(first), decode(second)) {
        (Some(first), Some(second)) if first.identity != second.identity => return None,
        (Some(first), Some(second)) if first.epoch < second.epoch => (second, true),
        (Some(first), Some(_)) => (first, true),
        (Some(only), None) | (None, Some(only)) => (only, false),
        (None, None) => return None,
    };
    // The slot that cannot be read may have had the next number, and somebody may have used it. Three
    // on, the number goes to the broken slot and leaves the good one alone.
    let next = found.epoch.checked_add(if whole { 1 } else { 3 })?;
    Some(Epoch {
        last: found.epoch,
        next,
        identity: found.identity,
    })
}

fn encode(epoch: u64, identity: &str) -> Vec<u8> {
    let mut slot = Vec::with_capacity(SLOT);
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(&epoch.to_le_bytes());
    slot.extend_from_slice(&u64::from(std::process::id()).to_le_bytes());
    slot.extend_from_slice(identity.as_bytes());
    slot.resize(SUM, 0);
    slot.extend_from_slice(&crc32(&slot).to_le_bytes());
    slot
}

fn decode(slot: &[u8]) -> Option<Slot> {
    let (body, sum) = slot.split_at_checked(SUM)?;
    let sum = u32::from_le_bytes(sum.try_into().ok()?);
    let rest = body.strip_prefix(MAGIC)?;
    let (epoch, rest) = rest.split_at_checked(8)?;
    let identity = std::str::from_utf8(rest.get(8..8 + IDENTITY)?).ok()?;
    (sum == crc32(body) && is_identity(identity)).then(|| Slot {
        epoch: u64::from_le_bytes(epoch.try_into().unwrap_or_default()),
        identity: identity.to_string(),
    })
}

/// CRC-32 as in zlib and Ethernet; a kilobyte a take-over needs no table.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::{SLOT, crc32, encode, judge};

    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn file(even: u64, odd: u64) -> Vec<u8> {
        let mut bytes = encode(even, ID);
        bytes.extend(encode(odd, ID));
        bytes
    }

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn the_greatest_counts() {
        for (even, odd, last, next) in [(0, 0, 0, 1), (0, 1, 1, 2), (2, 1, 2, 3), (2, 5, 5, 6)] {
            let epoch = judge(&file(even, odd)).unwrap();
            assert_eq!((epoch.last, epoch.next), (last, next));
        }
    }

    #[test]
    fn what_is_no_epoch() {
        let good = file(2, 3);
        assert_eq!(judge(&good[1..]), None);
        assert_eq!(judge(&[good.clone(), vec![0]].concat()), None);
        assert_eq!(judge(&vec![0; 2 * SLOT]), None);
        assert_eq!(judge(&file(0, u64::MAX)), None);
        let mut other = encode(2, ID);
        other.extend(encode(3, &ID.replace('0', "1")));
        assert_eq!(judge(&other), None);
    }

    proptest! {
        /// The writer of `last + 1` dies in the middle of its write.
        #[test]
        fn a_torn_write_never_repeats_a_number(last in 1_u64..1 << 40, torn in 0..SLOT) {
            let mut bytes = if last % 2 == 0 { file(last, last - 1) } else { file(last - 1, last) };
            let new = encode(last + 1, ID);
            let at = if (last + 1) % 2 == 0 { 0 } else { SLOT };
            bytes[at..at + torn].copy_from_slice(&new[..torn]);
            let epoch = judge(&bytes).unwrap();
            prop_assert!(epoch.next > last);
            prop_assert!(epoch.last == last || epoch.last == last + 1);
        }

        /// One slot rots, the newest or the other: no number comes twice, and a second torn write
        /// still leaves one slot.
        #[test]
        fn a_rotten_slot_is_skipped(last in 1_u64..1 << 40, at in 0..2 * SLOT, bit in 0..8) {
            let mut bytes = if last % 2 == 0 { file(last, last - 1) } else { file(last - 1, last) };
            bytes[at] ^= 1_u8 << bit;
            let epoch = judge(&bytes).unwrap();
            prop_assert!(epoch.next > last);
            prop_assert_eq!(epoch.next % 2, (at / SLOT) as u64);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..1100)) {
            prop_assert_eq!(judge(&bytes), None);
        }
    }
}
