//! The places and the bytes.

use std::io;

use super::Region;

/// ZFS: a label has its uberblocks in its second half; two labels stand at each end.
const ZFS_LABEL: u64 = 256 << 10;
const ZFS_UBERBLOCK: u64 = 0x00ba_b10c;

/// Linux RAID: the superblock's first word.
const RAID: u32 = 0xa92b_4efc;

/// ext4 features that ldiskfs sets and that mkfs.ext4 does not by itself.
const INCOMPAT_DIRDATA: u32 = 0x1000;

/// Looks for one kind.
type Test = fn(&Region<'_>) -> io::Result<bool>;

/// What stands in the region; reads at most some 400 KiB.
pub(super) fn of(region: &Region<'_>) -> io::Result<Vec<&'static str>> {
    let tests: [(&'static str, Test); 15] = [
        ("LVM2_member", lvm),
        ("linux_raid_member", raid),
        ("isw_raid_member", |r| {
            from_end(r, 1024, b"Intel Raid ISM Cfg Sig. ")
        }),
        ("ddf_raid_member", ddf),
        ("crypto_LUKS", luks),
        ("zfs_member", zfs),
        ("GPFS", gpfs),
        ("lustre", lustre),
        ("ceph_bluestore", |r| r.has(0, b"bluestore block device")),
        ("drbd", drbd),
        ("bcache", |r| r.has(4096 + 24, &BCACHE)),
        ("stratis", |r| {
            r.has(512 + 4, b"!Stra0tis\x86\xff\x02^\x41rh")
        }),
        ("VMFS_volume_member", |r| {
            r.has(1 << 20, &0xc001_d00d_u32.to_le_bytes())
        }),
        ("VMFS", |r| r.has(2 << 20, &0x2fab_f15e_u32.to_le_bytes())),
        ("BitLocker", |r| r.has(3, b"-FVE-FS-")),
    ];
    let mut found = Vec::new();
    for (kind, test) in tests {
        if test(region)? {
            found.push(kind);
        }
    }
    Ok(found)
}

const BCACHE: [u8; 16] = [
    0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81,
];

fn from_end(region: &Region<'_>, before: u64, wanted: &[u8]) -> io::Result<bool> {
    match region.length.checked_sub(before) {
        Some(at) => region.has(at, wanted),
        None => Ok(false),
    }
}

/// A label in one of the first four sectors.
fn lvm(region: &Region<'_>) -> io::Result<bool> {
    for sector in 0..4 {
        let at = sector * 512;
        if region.has(at, b"LABELONE")? && region.has(at + 24, b"LVM2 001")? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Versions 1.1, 1.2, 1.0 and 0.90, in this order; the last can be of either byte order.
fn raid(region: &Region<'_>) -> io::Result<bool> {
    let mut places = vec![0, 4096];
    if let Some(at) = region.length.checked_sub(8 << 10) {
        places.push(at & !0xfff);
    }
    if let Some(at) = (region.length & !0xffff).checked_sub(64 << 10) {
        places.push(at);
    }
    for at in places {
        if region.has(at, &RAID.to_le_bytes())? || region.has(at, &RAID.to_be_bytes())? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The anchor in the last sector, of either byte order; some firmware leaves 256 sectors behind it.
fn ddf(region: &Region<'_>) -> io::Result<bool> {
    for before in [512, 257 * 512] {
        if from_end(region, before, b"\xde\x11\xde\x11")?
            || from_end(region, before, b"\x11\xde\x11\xde")?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The header, or the second one of version 2, whose place depends on the first one's size.
fn luks(region: &Region<'_>) -> io::Result<bool> {
    if region.has(0, b"LUKS\xba\xbe")? {
        return Ok(true);
    }
    for shift in 14..=22 {
        if region.has(1 << shift, b"SKUL\xba\xbe")? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An uberblock in one of the four labels: without one the label is of no use to anybody.
fn zfs(region: &Region<'_>) -> io::Result<bool> {
    let end = region.length & !(ZFS_LABEL - 1);
    let mut labels = vec![0, ZFS_LABEL];
    labels.extend(end.checked_sub(2 * ZFS_LABEL));
    labels.extend(end.checked_sub(ZFS_LABEL));
    for label in labels {
        let Some(ring) = region.get(label + ZFS_LABEL / 2, 128 << 10)? else {
            continue;
        };
        let uberblock = ring.chunks(1024).any(|slot| {
            slot.starts_with(&ZFS_UBERBLOCK.to_le_bytes())
                || slot.starts_with(&ZFS_UBERBLOCK.to_be_bytes())
        });
        if uberblock {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The descriptor of a network shared disk is text, in sector 2 or 64 of the disk or its partition:
/// `NSD descriptor for /dev/sdb created by GPFS ...`.
fn gpfs(region: &Region<'_>) -> io::Result<bool> {
    let Some(bytes) = region.get(0, 64 << 10)? else {
        return Ok(false);
    };
    let text = b"NSD descriptor";
    Ok(bytes.windows(text.len()).any(|window| window == text))
}

/// An ext superblock with ldiskfs' feature, or with the label of a Lustre target: `scratch-OST0003`,
/// `scratch:MDT0000` before it was registered, `MGS`.
fn lustre(region: &Region<'_>) -> io::Result<bool> {
    let Some(superblock) = region.get(1024, 1024)? else {
        return Ok(false);
    };
    if superblock[0x38..0x3a] != [0x53, 0xef] {
        return Ok(false);
    }
    let word = |at: usize| {
        let bytes = superblock
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    };
    if word(0x60) & INCOMPAT_DIRDATA != 0 {
        return Ok(true);
    }
    let label = superblock[0x78..0x88].split(|byte| *byte == 0).next();
    let label = String::from_utf8_lossy(label.unwrap_or_default()).into_owned();
    let target = |at: usize| {
        let behind = label.as_bytes().get(at + 1..).unwrap_or_default();
        behind.len() == 7
            && (behind.starts_with(b"OST") || behind.starts_with(b"MDT"))
            && behind[3..].iter().all(u8::is_ascii_hexdigit)
    };
    let marks = label.match_indices(['-', ':', '=']);
    Ok(label == "MGS" || marks.map(|(at, _)| at).any(target))
}

/// Internal metadata is the last 4 KiB block: the magic number stands behind the generation numbers, at
/// a place that differs between versions 8 and 9.
fn drbd(region: &Region<'_>) -> io::Result<bool> {
    let Some(at) = region.length.checked_sub(4096) else {
        return Ok(false);
    };
    let Some(block) = region.get(at & !0xfff, 128)? else {
        return Ok(false);
    };
    let magic = |word: &[u8]| {
        [0x8374_026b_u32, 0x8374_026c, 0x8374_026d]
            .iter()
            .any(|magic| word == magic.to_be_bytes())
    };
    Ok(block.chunks(4).any(magic))
}
