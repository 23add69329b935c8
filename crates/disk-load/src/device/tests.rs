#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::Target;

/// A file of so many bytes, all 0xff.
fn file(dir: &Path, size: usize) -> std::path::PathBuf {
    let path = dir.join("disk");
    std::fs::write(&path, vec![0xff; size]).unwrap();
    path
}

/// Places and lengths that are no multiples of anything, on files whose end is on a 4 KiB block, on a
/// sector, and on neither.
#[test]
fn every_byte_is_where_it_was_written_and_no_other_changes() {
    let dir = tempfile::tempdir().unwrap();
    for size in [2 << 20, (2 << 20) + 512, (2 << 20) + 7] {
        let path = file(dir.path(), size);
        let target = Target::open(&path).unwrap();
        let mut wanted = vec![0xff; size];
        let end = size as u64;
        for (at, length) in [
            (0, 1),
            (4095, 2),
            (8192, 4096),
            (70_000, 70_001),
            (end - 9, 9),
        ] {
            let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
            target.write(at, &bytes).unwrap();
            let begin = usize::try_from(at).unwrap();
            wanted[begin..begin + bytes.len()].copy_from_slice(&bytes);
            let mut back = vec![0; bytes.len()];
            target.read(at, &mut back).unwrap();
            assert_eq!(back, bytes);
        }
        for (at, length) in [(100_000, 5000), (1_048_000, 600_000), (end - 20, 15)] {
            target.zero(at, length).unwrap();
            let begin = usize::try_from(at).unwrap();
            wanted[begin..begin + usize::try_from(length).unwrap()].fill(0);
        }
        target.write_zeros(3, 9000).unwrap();
        wanted[3..9003].fill(0);
        target.flush().unwrap();
        drop(target);
        assert!(std::fs::read(&path).unwrap() == wanted, "{size}");
    }
}

#[test]
fn nothing_is_beyond_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), 8192);
    let target = Target::open(&path).unwrap();
    assert!(target.write(8191, b"ab").is_err());
    assert!(target.write(u64::MAX, b"ab").is_err());
    assert!(target.zero(0, 8193).is_err());
    assert!(target.zero(1, u64::MAX).is_err());
    assert!(target.read(8000, &mut [0; 193]).is_err());
    drop(target);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 8192);
}

#[test]
fn a_disk_is_for_one_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), 8192);
    let first = Target::open(&path).unwrap();
    let second = Target::open(&path).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::ResourceBusy);
    drop(first);
    Target::open(&path).unwrap();
    assert!(Target::open(dir.path()).is_err());
}
