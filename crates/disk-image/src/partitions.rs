//! Which partition table a disk has: for people, and for who reads the disk's table again.

use std::fs::File;
use std::io;

use crate::manifest::{MOST_PARTITIONS, Partition, PartitionTable, Partitions, SECTOR};
use crate::source::read_some;

/// Sizes of a sector that disks have.
const SECTORS: [u64; 2] = [512, 4096];
/// Longest list of GPT entries that is read.
const LONGEST_LIST: u64 = 1 << 20;
/// An MBR entry that says that there is a GPT.
const PROTECTIVE: u8 = 0xee;

impl Partitions {
    /// Reads the table of a disk: a GPT (at the beginning; of 512 or 4096 byte sectors), else a DOS
    /// MBR. Entries are listed as they stand; what overflows or is no table is none.
    ///
    /// # Errors
    /// What reading says.
    pub fn read(disk: &File) -> io::Result<Partitions> {
        let mut first = [0; 512];
        if read_some(disk, &mut first, 0)? < first.len() || first[510..] != [0x55, 0xaa] {
            return Ok(Partitions::default());
        }
        let primary = mbr(&first);
        if primary.iter().any(|(_, kind, _, _)| *kind == PROTECTIVE) {
            for sector in SECTORS {
                if let Some(partitions) = gpt(disk, sector)? {
                    let table = PartitionTable::Gpt;
                    return Ok(Partitions { table, partitions });
                }
            }
        }
        let partitions = primary
            .iter()
            .map(|(number, kind, begin, length)| Partition {
                number: *number,
                offset: u64::from(*begin) * SECTOR,
                length: u64::from(*length) * SECTOR,
                kind: format!("{kind:02x}"),
            });
        let partitions: Vec<Partition> = partitions.collect();
        // A file system's boot sector has the same two bytes at its end.
        let table = match partitions.is_empty() {
            true => PartitionTable::None,
            false => PartitionTable::Mbr,
        };
        Ok(Partitions { table, partitions })
    }
}

/// The used entries of an MBR: number, type, beginning and length in sectors. None if one of the four
/// is not of that form.
fn mbr(sector: &[u8; 512]) -> Vec<(u32, u8, u32, u32)> {
    let mut used = Vec::new();
    let (entries, _) = sector[446..510].as_chunks::<16>();
    for (entry, number) in entries.iter().zip(1..) {
        let (begin, length) = (le32(entry, 8), le32(entry, 12));
        if entry[0] & 0x7f != 0 {
            return Vec::new();
        }
        if entry[4] != 0 && length != 0 {
            used.push((number, entry[4], begin, length));
        }
    }
    used
}

/// The used entries of a GPT whose header is in the second sector.
fn gpt(disk: &File, sector: u64) -> io::Result<Option<Vec<Partition>>> {
    let mut header = [0; 92];
    if read_some(disk, &mut header, sector)? < header.len() || header[..8] != *b"EFI PART" {
        return Ok(None);
    }
    let (list, count, size) = (le64(&header, 72), le32(&header, 80), le32(&header, 84));
    let length = u64::from(count) * u64::from(size);
    let (Some(begin), 128..=4096, 1..=LONGEST_LIST) = (list.checked_mul(sector), size, length)
    else {
        return Ok(None);
    };
    // Within a mebibyte.
    let mut entries = vec![0; usize::try_from(length).unwrap_or_default()];
    let end = begin
        .checked_add(length)
        .and_then(|end| i64::try_from(end).ok());
    if end.is_none() || read_some(disk, &mut entries, begin)? < entries.len() {
        return Ok(None);
    }
    let entries = entries.chunks_exact(size as usize).zip(1..);
    let used = entries.filter(|(entry, _)| entry[..16] != [0; 16]);
    let partition = |(entry, number): (&[u8], u32)| {
        let (first, last) = (le64(entry, 32), le64(entry, 40));
        let count = last.checked_sub(first)?.checked_add(1)?;
        let offset = first.checked_mul(sector)?;
        let length = count.checked_mul(sector)?;
        offset.checked_add(length)?;
        let kind = guid(entry);
        Some(Partition {
            number,
            offset,
            length,
            kind,
        })
    };
    let partitions: Option<Vec<Partition>> = used.map(partition).collect();
    Ok(partitions.filter(|partitions| partitions.len() <= MOST_PARTITIONS))
}

/// The first three fields of a GUID are stored with their last byte first.
fn guid(bytes: &[u8]) -> String {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::new();
    for (at, from) in order.into_iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        text.push_str(&format!("{:02X}", bytes.get(from).unwrap_or(&0)));
    }
    text
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes
        .get(at..at + 8)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}
