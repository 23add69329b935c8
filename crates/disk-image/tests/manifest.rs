//! What is no manifest is refused, whichever way it lies.
#![allow(clippy::unwrap_used)]

use disk_image::{Digest, LONGEST_MANIFEST, Manifest, testing};
use proptest::prelude::*;
use serde_json::{Value, json};

const MIB: usize = 1 << 20;

/// A disk of three windows, of which the first and the last hold something.
fn manifest() -> Value {
    let mut disk = vec![0; 2 * MIB + 512];
    disk[..5000].fill(1);
    disk[100_000..120_000].fill(2);
    disk[2 * MIB..].fill(3);
    let (bytes, object) = testing::image(&disk, 1 << 20).unwrap();
    let manifest = Manifest::parse(&bytes).unwrap();
    assert_eq!(manifest.object_size(), object.len() as u64);
    assert_eq!(manifest.size(), disk.len() as u64);
    assert_eq!(manifest.disk_digest(), Digest::of(&disk));
    assert_eq!(manifest.frames().len(), 2);
    assert_eq!(manifest.raw(), 8192 + 24576 + 512);
    serde_json::from_slice(&bytes).unwrap()
}

fn parse(value: &Value) -> Result<Manifest, String> {
    Manifest::parse(&serde_json::to_vec(value).unwrap()).map_err(|error| error.to_string())
}

/// Changes one value of a good manifest.
fn with(pointer: &str, value: Value) -> Result<Manifest, String> {
    let mut changed = manifest();
    *changed.pointer_mut(pointer).unwrap() = value;
    parse(&changed)
}

#[test]
fn each_lie_is_found() {
    let most = u64::MAX;
    for (pointer, value, why) in [
        ("/format", json!(2), "format 2"),
        ("/format", json!(-1), "invalid"),
        ("/size", json!(0), "size is 0"),
        ("/size", json!(2 * MIB + 511), "size is"),
        ("/size", json!(most), "size is"),
        ("/size", json!(most - 511), "more than"),
        ("/size", json!(2 * MIB), "offset 2097152 is past the end"),
        ("/size", json!(2 * MIB + 1024), "is not its window's"),
        ("/size", json!(1.5), "invalid type"),
        ("/frame_size", json!(0), "frame_size"),
        ("/frame_size", json!(MIB + 1), "frame_size"),
        ("/frame_size", json!(2 * MIB), "length 1048576"),
        ("/frame_size", json!(8 * MIB), "frame_size"),
        ("/frame_size", json!(1_u64 << 32), "invalid value"),
        ("/object_size", json!(1), "object_size"),
        ("/sha256", json!("ab"), "SHA-256"),
        ("/source/format", json!("raw\u{1b}[2J"), "source"),
        ("/source/format", json!(""), "source"),
        ("/partitions/table", json!("sun"), "unknown variant"),
        ("/frames/0/offset", json!(4096), "frame 0: offset"),
        ("/frames/0/offset", json!(2 * MIB), "frame 0"),
        ("/frames/1/offset", json!(0), "frame 1: offset"),
        (
            "/frames/1/offset",
            json!(most - MIB as u64 + 1),
            "past the end",
        ),
        ("/frames/0/length", json!(4096), "length 4096"),
        ("/frames/0/extents", json!([]), "no extents"),
        ("/frames/0/extents/0", json!([0, 0]), "extent [0,0]"),
        ("/frames/0/extents/0", json!([0, 5000]), "extent [0,5000]"),
        ("/frames/0/extents/0", json!([512, 4096]), "extent [512"),
        ("/frames/0/extents/0", json!([0, 98_304]), "extent [98304"),
        ("/frames/0/extents/1", json!([0, 4096]), "extent [0,4096]"),
        ("/frames/0/extents/1", json!([MIB, 4096]), "extent [1048576"),
        (
            "/frames/0/extents/1",
            json!([u32::MAX - 4095, 4096]),
            "extent",
        ),
        (
            "/frames/0/extents/1",
            json!([98_304, u32::MAX - 4095]),
            "extent",
        ),
        ("/frames/1/extents/0", json!([0, 1024]), "extent [0,1024]"),
        ("/frames/0/at", json!(1), "at is 1, not 0"),
        ("/frames/1/at", json!(0), "at is 0"),
        ("/frames/1/at", json!(most), "at is"),
        ("/frames/0/stored", json!(0), "0 bytes are stored"),
        (
            "/frames/0/stored",
            json!(u32::MAX),
            "4294967295 bytes are stored",
        ),
        ("/frames/0/sha256", json!(null), "invalid type"),
        ("/frames", json!({}), "invalid type"),
    ] {
        let found = with(pointer, value.clone()).unwrap_err();
        assert!(
            found.starts_with("manifest: ") && found.contains(why),
            "{pointer} {value}: {found}"
        );
    }
    parse(&manifest()).unwrap();
}

#[test]
fn partitions_are_bounded() {
    let one = |offset: u64, kind: &str| json!({"number": 1, "offset": offset, "length": 512, "kind": kind});
    let with = |partitions: Value| {
        with(
            "/partitions",
            json!({"table": "gpt", "partitions": partitions}),
        )
    };
    with(json!([one(0, "0FC63DAF-8483-4772-8E79-3D69D8477DE4")])).unwrap();
    for wrong in [
        json!([one(u64::MAX, "83")]),
        json!([one(0, "8\n")]),
        json!([one(0, &"8".repeat(37))]),
        Value::Array(vec![one(0, "83"); 257]),
    ] {
        assert!(with(wrong).unwrap_err().contains("partitions"));
    }
}

#[test]
fn fields_are_there_once_and_no_others() {
    let good = manifest();
    for key in good.as_object().unwrap().keys() {
        let mut without = good.clone();
        without.as_object_mut().unwrap().remove(key);
        assert!(
            parse(&without).unwrap_err().contains("missing field"),
            "{key}"
        );
    }
    let mut more = good.clone();
    more["frames"][0]["url"] = json!("http://elsewhere");
    assert!(parse(&more).unwrap_err().contains("unknown field"));
    let twice = good.to_string().replacen('{', "{\"size\":512,", 1);
    assert!(Manifest::parse(twice.as_bytes()).is_err());
    let behind = format!("{good} {{}}");
    assert!(Manifest::parse(behind.as_bytes()).is_err());
    assert!(Manifest::parse(b"").is_err());
    assert!(Manifest::parse(&b"[".repeat(1 << 20)).is_err());
    // What another format says, whatever else it has.
    let newer = Manifest::parse(br#"{"format":7,"disks":[]}"#).unwrap_err();
    assert_eq!(
        newer.to_string(),
        "manifest: has format 7; this program reads 1"
    );
}

#[test]
fn a_thousand_million_frames_are_refused_by_their_length() {
    let frame = manifest()["frames"][0].to_string();
    let good = manifest().to_string();
    let many = format!("{},", frame).repeat(LONGEST_MANIFEST / frame.len() + 1);
    let long = good.replacen("\"frames\":[", &format!("\"frames\":[{many}"), 1);
    let found = Manifest::parse(long.as_bytes()).unwrap_err().to_string();
    assert!(found.contains("longer than"), "{found}");
    // Just short enough: each is like the first, so the second is refused.
    let many = format!("{},", frame).repeat(100_000);
    let long = good.replacen("\"frames\":[", &format!("\"frames\":[{many}"), 1);
    let found = Manifest::parse(long.as_bytes()).unwrap_err().to_string();
    assert!(found.contains("frame 1: "), "{found}");
}

/// Disks that are mostly zeros, with an odd end.
fn disk() -> impl Strategy<Value = Vec<u8>> {
    let part = (0..3 * MIB, 1..200_000_usize, any::<u8>(), any::<bool>());
    let sectors = 1..(3 * MIB / 512);
    (sectors, prop::collection::vec(part, 0..6)).prop_map(|(sectors, parts)| {
        let mut disk = vec![0; sectors * 512];
        for (begin, length, byte, noise) in parts {
            let begin = begin % disk.len();
            let end = disk.len().min(begin + length);
            for (at, place) in disk[begin..end].iter_mut().enumerate() {
                *place = if noise {
                    ((at * at) >> 3) as u8 ^ byte
                } else {
                    byte
                };
            }
        }
        disk
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// What was packed comes back, byte by byte, and nothing but zeros is left out.
    #[test]
    fn a_disk_comes_back(disk in disk(), double in any::<bool>()) {
        let frame_size = if double { 2 << 20 } else { 1 << 20 };
        let (bytes, object) = testing::image(&disk, frame_size).unwrap();
        let manifest = Manifest::parse(&bytes).unwrap();
        prop_assert_eq!(&manifest.to_bytes().unwrap(), &bytes);
        let mut back = vec![0; disk.len()];
        for frame in manifest.frames() {
            let range = frame.range();
            let stored = &object[range.start as usize..range.end as usize];
            let raw = frame.decode(stored).unwrap();
            for (place, piece) in frame.pieces(&raw) {
                back[place as usize..][..piece.len()].copy_from_slice(piece);
            }
        }
        prop_assert!(back == disk);
    }

    /// Any change of any byte of a manifest is refused, or is another consistent manifest.
    #[test]
    fn the_parser_is_total(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = manifest().to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(manifest) = Manifest::parse(&bytes) {
            let end = manifest.frames().last().map_or(0, |frame| frame.offset + u64::from(frame.length));
            prop_assert!(end <= manifest.size());
            prop_assert!(manifest.raw() <= manifest.size());
            prop_assert_eq!(Manifest::parse(&manifest.to_bytes().unwrap()).unwrap(), manifest);
        }
    }
}
