//! From files to images and back. Each case is this program, started again: adding forks, so there may
//! be no threads, and its children's memory is that case's alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::exit
)]

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use disk_image::{Digest, Error, Format, Manifest, PartitionTable, Request, Store};
use nix::sys::resource::{UsageWho, getrusage};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const MIB: u64 = 1 << 20;

type Case = (&'static str, fn(&Path));

const CASES: [Case; 9] = [
    ("what_is_added_comes_back", what_is_added_comes_back),
    ("many_parts_in_little_memory", many_parts_in_little_memory),
    ("qcow2_is_the_same_disk", qcow2_is_the_same_disk),
    ("declared_not_guessed", declared_not_guessed),
    ("no_file_leads_to_another", no_file_leads_to_another),
    ("what_is_no_disk_is_refused", what_is_no_disk_is_refused),
    (
        "a_file_that_changes_is_refused",
        a_file_that_changes_is_refused,
    ),
    ("damage_is_found_and_named", damage_is_found_and_named),
    ("partition_tables_are_seen", partition_tables_are_seen),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args.get(1).map(String::as_str) == Some("--case") {
        let (_, case) = CASES.iter().find(|(name, _)| *name == args[2]).unwrap();
        nix::unistd::alarm::set(600);
        case(Path::new(&args[3]));
        return;
    }
    let wanted = args.get(1).filter(|text| !text.starts_with('-'));
    let mut failed = 0;
    for (name, _) in CASES {
        if wanted.is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--case", name])
            .arg(dir.path())
            .status()
            .unwrap();
        let verdict = if status.success() { "ok" } else { "FAILED" };
        println!("test {name} ... {verdict}");
        failed += u32::from(!status.success());
    }
    std::process::exit(i32::from(failed > 0));
}

fn store(dir: &Path) -> Store {
    Store::open(&dir.join("images"), &dir.join("orders")).unwrap()
}

fn request(file: PathBuf) -> Request {
    Request {
        name: "image".to_string(),
        file,
        format: Format::Raw,
        frame_size: Some(1 << 20),
        level: 1,
        jobs: 2,
    }
}

fn add(dir: &Path, request: &Request) -> Result<(Digest, Manifest), String> {
    let store = store(dir);
    let committed = store
        .add(request, &mut |_, _| {})
        .map_err(|error| error.to_string())?;
    assert!(committed.not_swept.is_none());
    assert_eq!(store.resolve(&request.name).unwrap(), committed.digest);
    assert!(entries(&dir.join("images/adding")).is_empty());
    let manifest = store.manifest(committed.digest).unwrap();
    Ok((committed.digest, manifest))
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// The disk as an agent would write it onto a disk of zeros.
fn loaded(store: &Store, digest: Digest) -> Vec<u8> {
    let manifest = store.manifest(digest).unwrap();
    let object = store.frames_file(digest).unwrap();
    let mut disk = vec![0; manifest.size() as usize];
    for frame in manifest.frames() {
        let mut stored = vec![0; frame.stored as usize];
        object.read_exact_at(&mut stored, frame.at).unwrap();
        let raw = frame.decode(&stored).unwrap();
        for (place, piece) in frame.pieces(&raw) {
            disk[place as usize..][..piece.len()].copy_from_slice(piece);
        }
    }
    disk
}

/// Bytes that zstd cannot make much of.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A sparse file with these parts.
fn sparse(path: &Path, size: u64, parts: &[(u64, Vec<u8>)]) {
    let file = File::create(path).unwrap();
    file.set_len(size).unwrap();
    for (offset, bytes) in parts {
        file.write_all_at(bytes, *offset).unwrap();
    }
}

fn qemu_img(args: &[&str], dir: &Path) -> bool {
    let status = Command::new("qemu-img")
        .args(args)
        .current_dir(dir)
        .output();
    let missing = "qemu-img: is missing (scripts/setup test installs it)";
    let output = status.expect(missing);
    assert!(output.status.success(), "{output:?}");
    true
}

fn what_is_added_comes_back(dir: &Path) {
    let sectors = 1..(9 * MIB / 512);
    let kind = prop_oneof![Just(0_u8), Just(1), Just(2)];
    let part = (
        any::<prop::sample::Index>(),
        1..700_000_usize,
        kind,
        any::<u64>(),
    );
    let disks = (
        sectors,
        prop::collection::vec(part, 0..6),
        1..4_usize,
        0..3_u32,
    );
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let checked = runner.run(&disks, |(sectors, parts, jobs, shift)| {
        let size = sectors * 512;
        let file = dir.join("disk");
        let parts: Vec<(u64, Vec<u8>)> = parts
            .into_iter()
            .map(|(at, length, kind, seed)| {
                let at = at.index(size as usize);
                let length = length.min(size as usize - at);
                let bytes = match kind {
                    // Zeros that are written are no hole, and yet not stored.
                    0 => vec![0; length],
                    1 => vec![seed as u8; length],
                    _ => noise(length, seed),
                };
                (at as u64, bytes)
            })
            .collect();
        sparse(&file, size, &parts);
        let expected = fs::read(&file).unwrap();
        let mut request = request(file);
        (request.jobs, request.frame_size) = (jobs, Some(1 << (20 + shift)));
        let (digest, manifest) = add(dir, &request).unwrap();
        let store = store(dir);
        prop_assert!(loaded(&store, digest) == expected);
        prop_assert_eq!(manifest.disk_digest(), Digest::of(&expected));
        prop_assert_eq!(manifest.source().digest, Digest::of(&expected));
        prop_assert_eq!(store.verify(digest, jobs).unwrap(), Vec::<String>::new());
        // Nothing but zeros is left out, and nothing but blocks that hold something is stored.
        for block in manifest.frames().iter().flat_map(|frame| {
            let blocks = frame
                .extents
                .iter()
                .flat_map(|extent| (extent.offset..extent.offset + extent.length).step_by(4096));
            blocks.map(|at| (frame.offset + u64::from(at)) as usize)
        }) {
            let end = expected.len().min(block + 4096);
            prop_assert!(expected[block..end].iter().any(|byte| *byte != 0));
        }
        // The same file makes the same image, and the store has one of it.
        prop_assert_eq!(add(dir, &request).unwrap().0, digest);
        prop_assert_eq!(entries(&dir.join("images/objects")).len(), 2);
        Ok(())
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}

fn many_parts_in_little_memory(dir: &Path) {
    let file = dir.join("disk");
    let at = [0, 63 * MIB + 4096, 70 * MIB, 200 * MIB - 5000];
    let parts: Vec<(u64, Vec<u8>)> = at.map(|at| (at, noise(4 * MIB as usize, at))).into();
    sparse(&file, 204 * MIB, &parts);
    let mut heard = Vec::new();
    for level in [3, 9] {
        let request = Request {
            level,
            frame_size: Some(4 << 20),
            ..request(file.clone())
        };
        let store = store(dir);
        let progress = &mut |done, all| heard.push((done, all));
        let digest = store.add(&request, progress).unwrap().digest;
        assert!(loaded(&store, digest) == fs::read(&file).unwrap());
        assert_eq!(store.verify(digest, 2).unwrap(), Vec::<String>::new());
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        assert!(
            usage.max_rss() < 64 << 10,
            "{} KiB in a child",
            usage.max_rss()
        );
        // Holes cost nothing.
        let about = fs::metadata(dir.join(format!("images/objects/{digest}.frames"))).unwrap();
        assert!(about.len() < 17 * MIB, "{}", about.len());
    }
    assert_eq!(heard.first(), Some(&(0, 204 * MIB)));
    assert_eq!(heard.last(), Some(&(204 * MIB, 204 * MIB)));
    assert_eq!(heard.len(), 2 * 5, "four parts: {heard:?}");
    // Nobody says how long windows are to be.
    let request = Request {
        frame_size: None,
        ..request(file)
    };
    assert_eq!(add(dir, &request).unwrap().1.frame_size(), 1 << 20);
}

fn qcow2_is_the_same_disk(dir: &Path) {
    let parts = [
        (0, noise(100_000, 1)),
        (5 * MIB, noise(2 * MIB as usize, 2)),
    ];
    sparse(&dir.join("raw"), 20 * MIB, &parts);
    let (_, raw) = add(dir, &request(dir.join("raw"))).unwrap();
    for (format, option) in [
        (Format::Qcow2, "compat=0.10"),
        (Format::Qcow2, "compression_type=zstd"),
        (Format::Vdi, "static=off"),
        (Format::Vhdx, "subformat=dynamic"),
        (Format::Vpc, "force_size=on"),
        (Format::Vmdk, "subformat=monolithicSparse"),
    ] {
        let name = format.name();
        qemu_img(
            &[
                "convert", "-f", "raw", "-O", name, "-o", option, "raw", "other",
            ],
            dir,
        );
        let request = Request {
            format,
            ..request(dir.join("other"))
        };
        let (digest, manifest) = add(dir, &request).unwrap();
        assert_eq!(manifest.disk_digest(), raw.disk_digest(), "{name}");
        assert_eq!(manifest.frames(), raw.frames(), "{name}");
        assert_eq!(manifest.source().format, name);
        let bytes = fs::read(dir.join("other")).unwrap();
        assert_eq!(manifest.source().size, bytes.len() as u64);
        assert_eq!(manifest.source().digest, Digest::of(&bytes));
        assert_eq!(store(dir).verify(digest, 1).unwrap(), Vec::<String>::new());
    }
}

fn declared_not_guessed(dir: &Path) {
    sparse(&dir.join("raw"), 2 * MIB, &[(0, noise(4096, 1))]);
    qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "raw", "disk"], dir);
    // A disk whose content looks like an image is a disk.
    let (digest, manifest) = add(dir, &request(dir.join("disk"))).unwrap();
    let bytes = fs::read(dir.join("disk")).unwrap();
    assert_eq!(manifest.size(), bytes.len() as u64);
    assert!(loaded(&store(dir), digest) == bytes);
    for format in [
        Format::Qcow2,
        Format::Vdi,
        Format::Vhdx,
        Format::Vpc,
        Format::Vmdk,
    ] {
        let request = Request {
            format,
            ..request(dir.join("raw"))
        };
        let why = add(dir, &request).unwrap_err();
        assert!(
            why.starts_with(&format!("{}: ", dir.join("raw").display())),
            "{why}"
        );
        assert_eq!(store(dir).resolve("image").unwrap(), digest);
        assert!(entries(&dir.join("images/adding")).is_empty());
    }
    // A name that qemu-img would take for something else.
    let odd = dir.join("json:{\"driver\":\"null-co\"},x");
    qemu_img(
        &[
            "convert",
            "-f",
            "raw",
            "-O",
            "qcow2",
            "raw",
            odd.to_str().unwrap(),
        ],
        dir,
    );
    let request = Request {
        format: Format::Qcow2,
        ..request(odd)
    };
    assert_eq!(add(dir, &request).unwrap().1.size(), 2 * MIB);
}

fn no_file_leads_to_another(dir: &Path) {
    sparse(&dir.join("secret"), 2 * MIB, &[(0, noise(4096, 1))]);
    let mut cases = vec![(Format::Qcow2, "backed", "backing file")];
    qemu_img(
        &[
            "create", "-f", "qcow2", "-F", "raw", "-b", "secret", "backed",
        ],
        dir,
    );
    cases.push((Format::Qcow2, "external", "another file"));
    let option = "data_file=data,data_file_raw=on";
    qemu_img(
        &["create", "-f", "qcow2", "-o", option, "external", "2M"],
        dir,
    );
    fs::rename(dir.join("secret"), dir.join("data")).unwrap();
    cases.push((Format::Vmdk, "flat", "holds its data itself"));
    let option = "subformat=monolithicFlat";
    qemu_img(&["create", "-f", "vmdk", "-o", option, "flat", "2M"], dir);
    cases.push((Format::Vmdk, "child", "leads to another file"));
    qemu_img(&["create", "-f", "vmdk", "parent", "2M"], dir);
    qemu_img(
        &[
            "create", "-f", "vmdk", "-F", "vmdk", "-b", "parent", "child",
        ],
        dir,
    );
    for (format, name, part) in cases {
        let request = Request {
            format,
            ..request(dir.join(name))
        };
        let why = add(dir, &request).unwrap_err();
        assert!(why.contains(part), "{name}: {why}");
        assert!(store(dir).list().unwrap().is_empty());
    }
}

fn what_is_no_disk_is_refused(dir: &Path) {
    fs::write(dir.join("odd"), [1; 1000]).unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    fs::create_dir(dir.join("directory")).unwrap();
    nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (name, part) in [
        ("odd", "1000 bytes are not a multiple of 512"),
        ("empty", "is empty"),
        ("directory", "is no regular file"),
        ("fifo", "is no regular file"),
        ("missing", "No such file"),
    ] {
        let why = add(dir, &request(dir.join(name))).unwrap_err();
        assert!(
            why.starts_with(&format!("{}: ", dir.join(name).display())),
            "{why}"
        );
        assert!(why.contains(part), "{name}: {why}");
    }
    sparse(&dir.join("huge"), 5 << 40, &[]);
    let why = add(dir, &request(dir.join("huge"))).unwrap_err();
    assert!(why.contains("more than 4194304 frames"), "{why}");
    for name in ["../x", ".x", "x/y", ""] {
        let mut request = request(dir.join("odd"));
        request.name = name.to_string();
        let found = store(dir).add(&request, &mut |_, _| {}).unwrap_err();
        assert!(matches!(found, Error::Name(_)), "{found}");
    }
    assert!(store(dir).list().unwrap().is_empty());
}

fn a_file_that_changes_is_refused(dir: &Path) {
    let file = dir.join("disk");
    sparse(&file, 3 * MIB, &[(0, noise(5000, 1))]);
    let (digest, _) = add(dir, &request(file.clone())).unwrap();
    let store = store(dir);
    sparse(&file, 3 * MIB, &[(0, noise(5000, 2))]);
    let mut second = None;
    let changed = store.add(&request(file.clone()), &mut |_, _| {
        if second.is_some() {
            return;
        }
        // At the same time nobody else can make the same image.
        let again = store.add(&request(file.clone()), &mut |_, _| {});
        second = Some(again.unwrap_err().to_string());
        let open = File::options().write(true).open(&file).unwrap();
        open.write_all_at(b"x", 4096).unwrap();
    });
    let why = changed.unwrap_err().to_string();
    assert!(
        why.ends_with("disk: was changed while it was read"),
        "{why}"
    );
    assert!(second.unwrap().ends_with("is being added already"));
    assert_eq!(store.resolve("image").unwrap(), digest);
    // Or another took its place.
    let changed = store.add(&request(file.clone()), &mut |_, _| {
        fs::copy(&file, dir.join("copy")).unwrap();
        fs::rename(dir.join("copy"), &file).unwrap();
    });
    assert!(changed.unwrap_err().to_string().contains("was changed"));
    assert!(entries(&dir.join("images/adding")).is_empty());
}

fn damage_is_found_and_named(dir: &Path) {
    let parts: Vec<(u64, Vec<u8>)> = [0, 2, 5]
        .map(|at| (at * MIB, noise(MIB as usize, at + 1)))
        .into();
    sparse(&dir.join("disk"), 8 * MIB, &parts);
    let (digest, manifest) = add(dir, &request(dir.join("disk"))).unwrap();
    let path = dir.join(format!("images/objects/{digest}.frames"));
    let store = store(dir);
    let whole = fs::read(&path).unwrap();
    let second = &manifest.frames()[1];
    for at in [second.at, second.at + 100, second.range().end - 1] {
        let mut damaged = whole.clone();
        damaged[at as usize] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let found = store.verify(digest, 2).unwrap();
        assert!(
            found[0].starts_with("frame at byte 2097152 of the disk: "),
            "{found:?}"
        );
    }
    fs::write(&path, &whole[1..]).unwrap();
    let found = store.verify(digest, 2).unwrap();
    assert!(
        found.len() == 1 && found[0].starts_with("its object has "),
        "{found:?}"
    );
    fs::write(&path, &whole).unwrap();
    assert!(store.verify(digest, 2).unwrap().is_empty());
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        store.verify(digest, 2),
        Err(Error::NoSuchImage(_))
    ));
    // A manifest whose frames are right and whose disk is not: made by somebody else.
    let (bytes, object) = disk_image::testing::image(&noise(8192, 7), 1 << 20).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let text = text.replacen(
        &Manifest::parse(text.as_bytes())
            .unwrap()
            .disk_digest()
            .to_string(),
        &digest.to_string(),
        1,
    );
    let forged = Manifest::digest(text.as_bytes());
    fs::write(dir.join(format!("images/objects/{forged}.json")), &text).unwrap();
    fs::write(dir.join(format!("images/objects/{forged}.frames")), &object).unwrap();
    let found = store.verify(forged, 2).unwrap();
    assert!(
        found.len() == 1 && found[0].starts_with("the disk has the digest "),
        "{found:?}"
    );
}

fn partition_tables_are_seen(dir: &Path) {
    let seen = |table: &str| {
        sparse(&dir.join("disk"), 40 * MIB, &[]);
        let mut child = Command::new("sfdisk")
            .args(["-q", "--no-reread", "disk"])
            .current_dir(dir)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("sfdisk: is missing (scripts/setup test installs it)");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), table.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        add(dir, &request(dir.join("disk")))
            .unwrap()
            .1
            .partitions()
            .clone()
    };
    let found =
        seen("label: dos\nstart=2048,size=4096,type=83\nstart=8192,size=2048,type=82,bootable\n");
    assert_eq!(found.table, PartitionTable::Mbr);
    let list: Vec<_> = found
        .partitions
        .iter()
        .map(|one| (one.number, one.offset, one.length, one.kind.as_str()))
        .collect();
    assert_eq!(list, [(1, MIB, 2 * MIB, "83"), (2, 4 * MIB, MIB, "82")]);
    let found = seen(
        "label: gpt\nstart=2048,size=4096,type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\nstart=8192,size=2048\n",
    );
    assert_eq!(found.table, PartitionTable::Gpt);
    assert_eq!(found.partitions.len(), 2);
    assert_eq!(
        found.partitions[0].kind,
        "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
    );
    assert_eq!(
        (found.partitions[1].offset, found.partitions[1].length),
        (4 * MIB, MIB)
    );
    // A boot sector alone, a broken GPT, nothing: no table, and no failure.
    let mut gpt = Vec::new();
    File::open(dir.join("disk"))
        .unwrap()
        .take(2 * MIB)
        .read_to_end(&mut gpt)
        .unwrap();
    for at in [512 + 72, 512 + 79, 512 + 80, 512 + 84, 1024 + 32, 1024 + 47] {
        let mut broken = gpt.clone();
        broken[at] = 0xff;
        fs::write(dir.join("broken"), &broken).unwrap();
        add(dir, &request(dir.join("broken"))).unwrap();
    }
    let mut boot = vec![0; 4096];
    boot[510..512].copy_from_slice(&[0x55, 0xaa]);
    boot[446] = 0x31;
    fs::write(dir.join("boot"), &boot).unwrap();
    let (_, manifest) = add(dir, &request(dir.join("boot"))).unwrap();
    assert_eq!(manifest.partitions().table, PartitionTable::None);
}
