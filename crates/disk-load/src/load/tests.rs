#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use disk_image::order::Zero;
use disk_image::{Digest, Manifest, testing};

use super::{Error, Job, Summary, is_ours, load};
use crate::device::Target;
use crate::marker::Marker;
use crate::supply::{Ended, Supply, Written};

const MIB: usize = 1 << 20;

/// An image in memory, given frame by frame, the last first.
struct Memory {
    manifest: Manifest,
    object: Vec<u8>,
    digest: Digest,
    wanted: Vec<usize>,
    given: Vec<usize>,
    on_disk: BTreeSet<usize>,
    /// After so many frames it ends.
    most: usize,
    /// After each frame that is on the disk.
    written: fn(&Path),
    path: PathBuf,
    /// Peers ask for what is there.
    peers: bool,
    done: bool,
}

impl Memory {
    fn new(disk: &[u8], path: &Path) -> Memory {
        let (bytes, object) = testing::image(disk, 1 << 20).unwrap();
        Memory {
            manifest: Manifest::parse(&bytes).unwrap(),
            object,
            digest: Digest::of(&bytes),
            wanted: Vec::new(),
            given: Vec::new(),
            on_disk: BTreeSet::new(),
            most: usize::MAX,
            written: |_| (),
            path: path.to_owned(),
            peers: true,
            done: false,
        }
    }

    fn load(&mut self, zero: Zero) -> Result<Summary, Error> {
        let target = Target::open(&self.path).unwrap();
        let manifest = self.manifest.clone();
        let job = Job {
            target: &target,
            manifest: &manifest,
            digest: self.digest,
            order: Digest::of(b"order"),
            zero,
            deadline: Instant::now() + Duration::from_secs(600),
        };
        load(&job, self)
    }
}

impl Supply for Memory {
    fn begin(&mut self, have: &[bool]) -> Result<(), Ended> {
        let lacking = (0..have.len()).filter(|number| !have[*number]);
        self.wanted = lacking.collect();
        Ok(())
    }

    fn next(
        &mut self,
        disk: &mut dyn Written,
        _: Duration,
    ) -> Result<Option<(usize, Vec<u8>)>, Ended> {
        if let (Some(number), true) = (self.on_disk.last(), self.peers) {
            let raw = disk.raw(*number).unwrap();
            self.manifest.frames()[*number].check(&raw).unwrap();
        }
        let Some(number) = self.wanted.pop() else {
            return Ok(None);
        };
        if self.given.len() == self.most {
            return Err(Ended::Cancelled("the claim is gone".to_string()));
        }
        self.given.push(number);
        let frame = &self.manifest.frames()[number];
        let range = usize::try_from(frame.at).unwrap()..usize::try_from(frame.range().end).unwrap();
        Ok(Some((number, frame.decode(&self.object[range]).unwrap())))
    }

    fn written(&mut self, frame: usize) {
        self.on_disk.insert(frame);
        (self.written)(&self.path);
    }

    fn done(&mut self, _: &mut dyn Written) {
        self.done = true;
    }
}

/// Nine windows: with a boot sector, full, empty, with holes small and large, empty, one byte at the end.
fn image() -> Vec<u8> {
    let mut disk = vec![0; 8 * MIB + 5 * 512];
    disk[..MIB + 4096].fill(0xab);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk[3 * MIB + 8192..3 * MIB + 12288].fill(1);
    disk[3 * MIB + 20480..3 * MIB + 24576].fill(2);
    disk[3 * MIB + 600_000] = 3;
    disk[5 * MIB..7 * MIB].fill(0xcd);
    *disk.last_mut().unwrap() = 9;
    disk
}

/// A disk that somebody else had: no zero anywhere.
fn used(dir: &Path, size: usize) -> PathBuf {
    let path = dir.join("disk");
    std::fs::write(&path, vec![0xee; size]).unwrap();
    path
}

fn marker(path: &Path) -> Option<Marker> {
    Marker::from_block(&std::fs::read(path).unwrap()[..4096])
}

#[test]
fn a_used_disk_becomes_the_image_and_behind_it_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let image = image();
    let size = 12 * MIB;
    for (zero, rest) in [(Zero::Nothing, size - MIB), (Zero::Rest, 0), (Zero::All, 0)] {
        let path = used(dir.path(), size);
        let mut memory = Memory::new(&image, &path);
        let summary = memory.load(zero).unwrap();
        let disk = std::fs::read(&path).unwrap();
        assert!(disk[..image.len()] == image, "{zero:?}");
        let rest = rest.max(image.len());
        assert!(disk[image.len()..rest].iter().all(|byte| *byte == 0xee));
        assert!(disk[rest..].iter().all(|byte| *byte == 0), "{zero:?}");
        let frames = memory.manifest.frames().len();
        assert_eq!((summary.kept, summary.frames), (0, frames));
        assert_eq!(summary.written, memory.manifest.raw());
        assert_eq!((memory.given.len(), memory.on_disk.len()), (frames, frames));
        assert!(memory.done);
    }
}

#[test]
fn a_disk_of_the_images_size_and_one_that_begins_with_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let path = used(dir.path(), image().len());
    Memory::new(&image(), &path).load(Zero::Nothing).unwrap();
    assert!(std::fs::read(&path).unwrap() == image());
    // Nothing in the first window, and nothing at all.
    for image in [[vec![0; 2 * MIB], vec![7; 512]].concat(), vec![0; 3 * MIB]] {
        let path = used(dir.path(), 4 * MIB);
        Memory::new(&image, &path).load(Zero::Nothing).unwrap();
        let disk = std::fs::read(&path).unwrap();
        assert!(disk[..image.len()] == image);
        // Once more: now it is the image of before.
        Memory::new(&image, &path).load(Zero::Nothing).unwrap();
        assert!(std::fs::read(&path).unwrap() == disk);
    }
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let dir = tempfile::tempdir().unwrap();
    let image = image();
    let path = used(dir.path(), 12 * MIB);
    let frames = Memory::new(&image, &path).load(Zero::Rest).unwrap().frames;
    // All of it: nothing is written, not even the marker.
    let mut again = Memory::new(&image, &path);
    assert_eq!(again.load(Zero::Rest).unwrap().kept, frames);
    assert!(again.given.is_empty());
    // One byte of one frame, one of a hole in another, one of an empty window, one behind the image.
    let mut disk = std::fs::read(&path).unwrap();
    for at in [5 * MIB + 1, 3 * MIB + 300_000, 4 * MIB + 77, 11 * MIB] {
        disk[at] ^= 1;
    }
    std::fs::write(&path, &disk).unwrap();
    let mut again = Memory::new(&image, &path);
    let summary = again.load(Zero::Rest).unwrap();
    // The first window is written anew with the boot sector.
    assert_eq!(again.given, [3, 2, 0]);
    assert_eq!(summary.kept, frames - 2);
    let disk = std::fs::read(&path).unwrap();
    assert!(disk[..image.len()] == image && disk[image.len()..].iter().all(|byte| *byte == 0));
}

#[test]
fn until_the_end_nothing_can_be_booted_and_what_was_written_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let image = image();
    let path = used(dir.path(), 12 * MIB);
    for zero in [Zero::Nothing, Zero::All] {
        std::fs::write(&path, vec![0xee; 12 * MIB]).unwrap();
        let mut first = Memory::new(&image, &path);
        first.most = 3;
        // What a power cut at any of these moments leaves.
        first.written = |path| {
            let disk = std::fs::read(path).unwrap();
            assert!(Marker::from_block(&disk[..4096]).is_some());
            assert!(disk[4096..MIB].iter().all(|byte| *byte == 0));
            assert!(disk[11 * MIB..].iter().all(|byte| *byte == 0));
        };
        let error = first.load(zero).unwrap_err();
        assert!(
            matches!(error, Error::Ended(Ended::Cancelled(_))),
            "{error}"
        );
        assert!(marker(&path).is_some());
        let target = Target::open(&path).unwrap();
        assert!(is_ours(&target, &first.manifest));
        drop(target);
        let mut second = Memory::new(&image, &path);
        let summary = second.load(zero).unwrap();
        assert!((1..=3).contains(&summary.kept), "{summary:?}");
        assert_eq!(second.given.len(), summary.frames - summary.kept);
        assert!(std::fs::read(&path).unwrap()[..image.len()] == image);
        assert!(marker(&path).is_none());
    }
}

#[test]
fn another_image_replaces_one_that_is_half_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = used(dir.path(), 12 * MIB);
    let mut first = Memory::new(&image(), &path);
    first.most = 4;
    first.load(Zero::Nothing).unwrap_err();
    let other: Vec<u8> = image().iter().map(|byte| byte.wrapping_mul(3)).collect();
    let summary = Memory::new(&other, &path).load(Zero::Nothing).unwrap();
    assert_eq!(summary.kept, 0);
    assert!(std::fs::read(&path).unwrap()[..other.len()] == other);
}

/// A disk that gives other bytes than it took. The first time it is written again, the second time it is
/// not a loaded disk.
#[test]
fn a_disk_that_forgets_is_found_out() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let image = image();
    let path = used(dir.path(), 12 * MIB);
    fn spoil(path: &Path) {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(b"?", 8 * MIB as u64).unwrap();
    }
    let mut memory = Memory::new(&image, &path);
    memory.peers = false;
    memory.written = |path| spoil(path);
    match memory.load(Zero::Nothing).unwrap_err() {
        Error::Verify { why, .. } => assert!(why.contains("frame at byte 8388608"), "{why}"),
        other => panic!("{other}"),
    }
    assert!(marker(&path).is_some(), "not bootable");
    assert!(!memory.done);
}

#[test]
fn the_time_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = used(dir.path(), 12 * MIB);
    let memory = Memory::new(&image(), &path);
    let target = Target::open(&path).unwrap();
    let job = Job {
        target: &target,
        manifest: &memory.manifest.clone(),
        digest: memory.digest,
        order: Digest::of(b"order"),
        zero: Zero::All,
        deadline: Instant::now(),
    };
    let mut memory = memory;
    let error = load(&job, &mut memory).unwrap_err();
    assert!(matches!(error, Error::Ended(Ended::Late(_))), "{error}");
    assert!(memory.given.is_empty());
}
