//! Signatures of those whose disks are not to be overwritten unasked: volume managers, RAID, encryption,
//! parallel and object stores.
//!
//! They are looked for where their own programs look: at fixed places at both ends of the disk and of
//! each of its partitions. An ordinary file system is no such signature. Every byte is hostile; reads
//! are small and their number is bounded.

use std::io;

mod kinds;
mod table;

/// Bytes of a disk.
pub trait Bytes {
    /// Fills `into` from that place.
    ///
    /// # Errors
    /// It cannot be read; past the end is an error as well.
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
    /// How many there are.
    fn size(&self) -> u64;
}

/// A signature that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whose, by the names of blkid(8) where it has one.
    pub kind: &'static str,
    /// Where the disk or partition that bears it begins, in bytes.
    pub at: u64,
    /// The partition's number in order of the table, or 0 for the whole disk.
    pub partition: usize,
}

/// Everything that is looked for, by the name that an order gives.
pub const KINDS: [&str; 15] = [
    "LVM2_member",
    "linux_raid_member",
    "isw_raid_member",
    "ddf_raid_member",
    "crypto_LUKS",
    "zfs_member",
    "GPFS",
    "lustre",
    "ceph_bluestore",
    "drbd",
    "bcache",
    "stratis",
    "VMFS_volume_member",
    "VMFS",
    "BitLocker",
];

/// Looks at the whole disk, then at each partition. The same kind at the same place is named once.
///
/// # Errors
/// The disk cannot be read.
pub fn find(disk: &dyn Bytes) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let whole = Region {
        disk,
        begin: 0,
        length: disk.size(),
    };
    let mut note = |kinds: Vec<&'static str>, at: u64, partition: usize| {
        found.extend(kinds.into_iter().map(|kind| Found {
            kind,
            at,
            partition,
        }));
    };
    note(kinds::of(&whole)?, 0, 0);
    for (number, partition) in table::partitions(&whole)?.iter().enumerate() {
        if partition.gpfs {
            note(vec!["GPFS"], partition.begin, number + 1);
        }
        let region = Region {
            disk,
            begin: partition.begin,
            length: partition.length,
        };
        note(kinds::of(&region)?, partition.begin, number + 1);
    }
    found.dedup();
    Ok(found)
}

/// A part of a disk, as a disk.
pub(crate) struct Region<'d> {
    disk: &'d dyn Bytes,
    begin: u64,
    length: u64,
}

impl Region<'_> {
    /// The bytes at that place, or nothing where the region does not have them.
    fn get(&self, at: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        let end = at.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        self.disk.read(self.begin + at, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// True if those bytes stand there.
    fn has(&self, at: u64, wanted: &[u8]) -> io::Result<bool> {
        let bytes = self.get(at, wanted.len())?;
        Ok(bytes.is_some_and(|bytes| bytes == wanted))
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.partition {
            0 => write!(f, "{}", self.kind),
            number => write!(f, "{} in partition {number} at byte {}", self.kind, self.at),
        }
    }
}

#[cfg(test)]
mod tests;
