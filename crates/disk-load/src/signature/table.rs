//! Where partitions are, as far as it takes to look into them.

use std::io;

use super::Region;

/// Partitions that are looked into; a table with more is cut.
const MOST: usize = 256;
/// Bytes of a GPT's entries that are read; its usual 128 entries have 16 KiB.
const ENTRIES: usize = 128 << 10;
/// Extended partitions that are followed.
const CHAIN: usize = 64;
/// `37affc90-ef7d-4e96-91c3-2d7ae055b174` as it is stored: IBM's type for GPFS.
pub(super) const GPFS: [u8; 16] = [
    0x90, 0xfc, 0xaf, 0x37, 0x7d, 0xef, 0x96, 0x4e, 0x91, 0xc3, 0x2d, 0x7a, 0xe0, 0x55, 0xb1, 0x74,
];

/// A partition's place, in bytes; inside the disk, whatever the table says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) begin: u64,
    pub(super) length: u64,
    /// Its type says GPFS.
    pub(super) gpfs: bool,
}

/// The partitions of a GPT, of the first or the last sector, for sectors of 512 or 4096 bytes; else
/// those of a DOS table. Checksums are not looked at: a table that others would mend counts as well.
pub(super) fn partitions(disk: &Region<'_>) -> io::Result<Vec<Partition>> {
    for sector in [512, 4096] {
        let last = (disk.length / sector).saturating_sub(1);
        for place in [1, last] {
            let found = gpt(disk, sector, place)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    dos(disk)
}

fn gpt(disk: &Region<'_>, sector: u64, place: u64) -> io::Result<Vec<Partition>> {
    let Some(header) = disk.get(place * sector, 92)? else {
        return Ok(Vec::new());
    };
    if !header.starts_with(b"EFI PART") {
        return Ok(Vec::new());
    }
    let (table, count, size) = (long(&header, 72), word(&header, 80), word(&header, 84));
    let size = usize::try_from(size).unwrap_or_default();
    if !(128..=4096).contains(&size) {
        return Ok(Vec::new());
    }
    let count = usize::try_from(count).unwrap_or_default();
    let length = count.saturating_mul(size).min(ENTRIES);
    let Some(at) = table.checked_mul(sector) else {
        return Ok(Vec::new());
    };
    // Cut at the disk's end.
    let length = disk.length.saturating_sub(at).min(length as u64);
    let Some(entries) = disk.get(at, usize::try_from(length).unwrap_or_default())? else {
        return Ok(Vec::new());
    };
    let entries = entries.chunks_exact(size).filter_map(|entry| {
        let (first, last) = (long(entry, 32), long(entry, 40));
        let kind = entry
            .get(..16)
            .filter(|kind| kind.iter().any(|b| *b != 0))?;
        let partition = inside(
            disk,
            first,
            last.checked_sub(first)?.checked_add(1)?,
            sector,
        )?;
        Some(Partition {
            gpfs: *kind == GPFS,
            ..partition
        })
    });
    Ok(entries.take(MOST).collect())
}

fn dos(disk: &Region<'_>) -> io::Result<Vec<Partition>> {
    let mut found = Vec::new();
    let mut extended = None;
    for (kind, first, count) in entries(disk, 0)? {
        if is_extended(kind) {
            extended = Some(first);
        } else {
            found.extend(inside(disk, first, count, 512));
        }
    }
    // A chain of tables, each with one partition and the next table, counted from the first.
    let (Some(base), mut next) = (extended, 0) else {
        return Ok(found);
    };
    for _ in 0..CHAIN {
        let here = base.saturating_add(next);
        let mut link = None;
        for (kind, first, count) in entries(disk, here)? {
            if is_extended(kind) {
                link = Some(first);
            } else {
                found.extend(inside(disk, here.saturating_add(first), count, 512));
            }
        }
        match link {
            // Forward only: a chain that leads back would not end.
            Some(link) if link > next => next = link,
            _ => break,
        }
    }
    found.truncate(MOST);
    Ok(found)
}

/// The used entries of a DOS table: type, first sector, sectors.
fn entries(disk: &Region<'_>, sector: u64) -> io::Result<Vec<(u8, u64, u64)>> {
    let Some(at) = sector.checked_mul(512) else {
        return Ok(Vec::new());
    };
    let Some(table) = disk.get(at, 512)? else {
        return Ok(Vec::new());
    };
    if table[510..] != [0x55, 0xaa] {
        return Ok(Vec::new());
    }
    let entries = table[446..510].chunks_exact(16).map(|entry| {
        let (first, count) = (word(entry, 8), word(entry, 12));
        (entry[4], u64::from(first), u64::from(count))
    });
    Ok(entries.filter(|(kind, ..)| *kind != 0).collect())
}

fn is_extended(kind: u8) -> bool {
    matches!(kind, 0x05 | 0x0f | 0x85)
}

fn inside(disk: &Region<'_>, first: u64, count: u64, sector: u64) -> Option<Partition> {
    let begin = first.checked_mul(sector)?;
    let length = count.checked_mul(sector)?;
    let left = disk.length.checked_sub(begin)?;
    let length = length.min(left);
    (begin > 0 && length > 0).then_some(Partition {
        begin,
        length,
        gpfs: false,
    })
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + 8).and_then(|b| b.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}
