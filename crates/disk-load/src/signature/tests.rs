#![allow(clippy::unwrap_used)]

use std::io;

use super::{Bytes, KINDS, find};
use proptest::prelude::*;

const MIB: usize = 1 << 20;

struct Memory(Vec<u8>);

impl Bytes for Memory {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(at).unwrap();
        let bytes = self.0.get(at..at + into.len());
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }
}

/// What each owner leaves, and where on a region of so many bytes.
fn marks(size: usize) -> Vec<(&'static str, usize, Vec<u8>)> {
    let raid = 0xa92b_4efc_u32;
    let zfs = 0x00ba_b10c_u64;
    let label = |text: &[u8], offset: usize| {
        let mut superblock = vec![0; 1024];
        superblock[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        superblock[offset..offset + text.len()].copy_from_slice(text);
        superblock
    };
    let lvm = |sector: usize| {
        let mut bytes = b"LABELONE".to_vec();
        bytes.resize(24, 1);
        bytes.extend(b"LVM2 001");
        ("LVM2_member", sector * 512, bytes)
    };
    let aligned = size & !0x3ffff;
    vec![
        lvm(0),
        lvm(1),
        lvm(3),
        ("linux_raid_member", 0, raid.to_le_bytes().to_vec()),
        ("linux_raid_member", 4096, raid.to_le_bytes().to_vec()),
        (
            "linux_raid_member",
            (size - 8192) & !4095,
            raid.to_le_bytes().to_vec(),
        ),
        (
            "linux_raid_member",
            (size & !0xffff) - 65536,
            raid.to_be_bytes().to_vec(),
        ),
        (
            "isw_raid_member",
            size - 1024,
            b"Intel Raid ISM Cfg Sig. 1.1".to_vec(),
        ),
        ("ddf_raid_member", size - 512, b"\xde\x11\xde\x11".to_vec()),
        ("crypto_LUKS", 0, b"LUKS\xba\xbe\0\x01".to_vec()),
        ("crypto_LUKS", 0x4000, b"SKUL\xba\xbe\0\x02".to_vec()),
        ("zfs_member", 128 << 10, zfs.to_le_bytes().to_vec()),
        ("zfs_member", (384 << 10) + 4096, zfs.to_be_bytes().to_vec()),
        (
            "zfs_member",
            aligned - (512 << 10) + (255 << 10),
            zfs.to_le_bytes().to_vec(),
        ),
        (
            "zfs_member",
            aligned - (128 << 10),
            zfs.to_le_bytes().to_vec(),
        ),
        (
            "GPFS",
            1024,
            b"NSD descriptor for /dev/sdb created by GPFS".to_vec(),
        ),
        (
            "GPFS",
            64 * 512,
            b"\0\0NSD descriptor in sector 64".to_vec(),
        ),
        ("lustre", 1024, label(b"scratch-OST0003", 0x78)),
        ("lustre", 1024, label(b"lustre:MDT0000", 0x78)),
        ("lustre", 1024, label(b"MGS", 0x78)),
        ("lustre", 1024, label(&[0, 0x10], 0x60)),
        ("ceph_bluestore", 0, b"bluestore block device\n".to_vec()),
        (
            "drbd",
            ((size - 4096) & !4095) + 60,
            0x8374_026b_u32.to_be_bytes().to_vec(),
        ),
        (
            "bcache",
            4096 + 24,
            b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81".to_vec(),
        ),
        ("stratis", 516, b"!Stra0tis\x86\xff\x02^\x41rh".to_vec()),
        (
            "VMFS_volume_member",
            MIB,
            0xc001_d00d_u32.to_le_bytes().to_vec(),
        ),
        ("VMFS", 2 * MIB, 0x2fab_f15e_u32.to_le_bytes().to_vec()),
        ("BitLocker", 3, b"-FVE-FS-".to_vec()),
    ]
}

fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
    disk[at..at + bytes.len()].copy_from_slice(bytes);
}

fn kinds(disk: Vec<u8>) -> Vec<String> {
    let found = find(&Memory(disk)).unwrap();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn each_owner_is_known_on_a_whole_disk() {
    let size = 4 * MIB + 512 * 77;
    for (kind, at, bytes) in marks(size) {
        let mut disk = vec![0; size];
        put(&mut disk, at, &bytes);
        assert_eq!(kinds(disk), [kind], "at {at}");
        assert!(KINDS.contains(&kind));
    }
    let all: std::collections::BTreeSet<_> = marks(size).iter().map(|mark| mark.0).collect();
    assert_eq!(all.len(), KINDS.len(), "one of each");
}

/// A DOS table with a partition at 1 MiB, and behind it an extended one with a logical one in it.
fn dos(disk: &mut [u8]) {
    let entry = |kind: u8, first: u32, count: u32| {
        let mut entry = vec![0, 0, 0, 0, kind, 0, 0, 0];
        entry.extend(first.to_le_bytes());
        entry.extend(count.to_le_bytes());
        entry
    };
    put(disk, 446, &entry(0x83, 2048, 8192));
    put(disk, 462, &entry(0x05, 10240, 20480));
    put(disk, 510, &[0x55, 0xaa]);
    let extended = 10240 * 512;
    put(disk, extended + 446, &entry(0x8e, 2048, 8192));
    put(disk, extended + 462, &entry(0x05, 0, 1));
    put(disk, extended + 510, &[0x55, 0xaa]);
}

fn gpt(disk: &mut [u8], sector: usize, place: usize, kind: &[u8]) {
    let mut header = b"EFI PART".to_vec();
    header.resize(72, 0);
    header.extend(((place - 32) as u64).to_le_bytes());
    header.extend(4_u32.to_le_bytes());
    header.extend(128_u32.to_le_bytes());
    put(disk, place * sector, &header);
    // The second of four: the first is free.
    let at = (place - 32) * sector + 128;
    put(disk, at, kind);
    put(disk, at + 32, &((2 * MIB / sector) as u64).to_le_bytes());
    put(
        disk,
        at + 40,
        &((6 * MIB / sector) as u64 - 1).to_le_bytes(),
    );
}

#[test]
fn partitions_are_looked_into() {
    let size = 16 * MIB;
    let lvm = marks(size)[1].2.clone();
    let mut disk = vec![0; size];
    dos(&mut disk);
    put(&mut disk, MIB + 512, &lvm);
    put(&mut disk, (10240 + 2048) * 512 + 512, &lvm);
    let logical = (10240 + 2048) * 512;
    assert_eq!(
        kinds(disk),
        [
            "LVM2_member in partition 1 at byte 1048576".to_string(),
            format!("LVM2_member in partition 2 at byte {logical}"),
        ]
    );
    let gpfs = super::table::GPFS;
    // The last sector's copy alone, as after a damage; both sizes of sectors.
    for (sector, kind, found) in [
        (512, [1; 16], "crypto_LUKS in partition 1 at byte 2097152"),
        (4096, [1; 16], "crypto_LUKS in partition 1 at byte 2097152"),
        (512, gpfs, "GPFS in partition 1 at byte 2097152"),
    ] {
        let mut disk = vec![0; size];
        gpt(&mut disk, sector, size / sector - 1, &kind);
        if kind != gpfs {
            put(&mut disk, 2 * MIB, b"LUKS\xba\xbe");
        }
        assert_eq!(kinds(disk), [found]);
    }
}

#[test]
fn ordinary_disks_are_nobodys() {
    let mut disk = vec![0; 16 * MIB];
    dos(&mut disk);
    // ext4 with a label of its own, and XFS.
    for (at, label) in [(0, &b"root-MDT"[..]), (MIB, b"OST0001")] {
        let mut superblock = vec![0; 1024];
        superblock[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        superblock[0x60] = 0xc2;
        superblock[0x78..0x78 + label.len()].copy_from_slice(label);
        if at > 0 {
            put(&mut disk, at + 1024, &superblock);
        }
    }
    put(&mut disk, (10240 + 2048) * 512, b"XFSB");
    assert!(kinds(disk).is_empty());
    for size in [0, 1, 511, 512, 4095, 65_536] {
        assert!(kinds(vec![0; size]).is_empty());
    }
}

#[test]
fn a_chain_that_leads_back_ends() {
    let mut disk = vec![0; 16 * MIB];
    dos(&mut disk);
    let extended = 10240 * 512;
    // The next table is the first one, and the partition is larger than the disk.
    put(&mut disk, extended + 462 + 8, &0_u32.to_le_bytes());
    put(&mut disk, 446 + 8, &u32::MAX.to_le_bytes());
    put(&mut disk, extended + 446 + 12, &u32::MAX.to_le_bytes());
    assert!(kinds(disk).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn any_disk_is_looked_at(size in 0..600_000_usize, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u32>()), 0..64)) {
        let mut disk = vec![0; size];
        if size > 70_000 {
            put(&mut disk, 512, b"EFI PART");
            put(&mut disk, 510, &[0x55, 0xaa]);
            for (place, value) in changes {
                // Where tables are.
                let at = place.index(4096);
                put(&mut disk, at, &value.to_le_bytes());
            }
        }
        find(&Memory(disk)).unwrap();
    }
}
