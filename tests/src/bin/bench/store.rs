//! Disk images, whole processes: `osload image add` beside zstd and qemu-img on the same file, `verify`
//! beside sha256sum.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use scenarios::program;
use xcat_tables::{Location, Tables};

use crate::measure::{cpu_of, median};

const ROUNDS: usize = 5;
/// Bytes of the disk; every other MiB of it is a hole.
const SIZE: u64 = 512 << 20;
const MIB: u64 = 1 << 20;

/// All of it.
pub(crate) fn run() {
    let dir = tempfile::tempdir().expect("tempdir");
    let root = dir.path();
    fs::create_dir(root.join("tables")).expect("tables");
    let location = Location::sqlite(root.join("tables"));
    let tables = Tables::open(&location).expect("tables");
    tables.create_missing().expect("tables");
    disk(&root.join("disk"));
    let own = |args: &[&str]| {
        let mut command = Command::new(program("osload"));
        command.args(args).env("NODETOOLS_ROOT", root).env(
            "XCATCFG",
            format!("SQLite:{}", root.join("tables").display()),
        );
        command
    };
    let race = |title: &str, entries: &[(&str, &dyn Fn() -> Command)]| {
        let mut times: Vec<(Vec<f64>, f64)> = vec![(Vec::new(), 0.0); entries.len()];
        for _ in 0..ROUNDS {
            for ((_, command), (seconds, cpu)) in entries.iter().zip(&mut times) {
                let begin = Instant::now();
                *cpu += cpu_of(1, || {
                    let mut command = command();
                    command.current_dir(root).stdout(Stdio::null());
                    command
                });
                seconds.push(begin.elapsed().as_secs_f64());
            }
        }
        let ours = (median(&mut times[0].0), times[0].1);
        for ((name, _), (seconds, cpu)) in entries.iter().zip(&mut times).skip(1) {
            println!(
                "store: {title}: {:.2} of {name}'s time, {:.2} of its CPU time",
                ours.0 / median(seconds),
                ours.1 / *cpu
            );
        }
    };
    let peer = |words: &[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command
    };
    race(
        "add of 512 MiB, half holes",
        &[
            ("osload", &|| {
                own(&[
                    "image", "add", "a", "disk", "--format", "raw", "--jobs", "2",
                ])
            }),
            ("zstd -3 -T2", &|| {
                peer(&["zstd", "-q", "-f", "-3", "-T2", "-o", "disk.zst", "disk"])
            }),
            ("qemu-img -c zstd", &|| {
                let to = "convert -f raw -O qcow2 -c -o compression_type=zstd disk disk.qcow2";
                let words: Vec<&str> = to.split(' ').collect();
                peer(&[&["qemu-img"], words.as_slice()].concat())
            }),
            ("sha256sum", &|| peer(&["sha256sum", "disk"])),
        ],
    );
    race(
        "verify of it",
        &[
            ("osload", &|| own(&["image", "verify", "a", "--jobs", "2"])),
            ("sha256sum of the disk", &|| peer(&["sha256sum", "disk"])),
        ],
    );
    let length = |name: &Path| fs::metadata(name).expect("an object").len() as f64;
    let digest = fs::read_to_string(root.join("var/lib/xcat-nodetools/images/names/a"));
    let object = format!(
        "var/lib/xcat-nodetools/images/objects/{}.frames",
        digest.expect("a name").trim_end()
    );
    let ours = length(&root.join(object));
    println!(
        "store: the object has {:.2} of zstd's length, {:.2} of the qcow2's",
        ours / length(&root.join("disk.zst")),
        ours / length(&root.join("disk.qcow2"))
    );
}

/// Real programs, over and over: what is in the system's directories.
fn disk(path: &Path) {
    let disk = File::create(path).expect("disk");
    disk.set_len(SIZE).expect("disk");
    let mut content = Vec::new();
    for directory in ["/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/share"] {
        collect(Path::new(directory), &mut content);
    }
    assert!(content.len() as u64 >= MIB, "no files to make a disk of");
    let content = content.chunks_exact(1 << 20).cycle();
    let places = (0..SIZE).step_by(2 << 20);
    for (place, piece) in places.zip(content) {
        disk.write_all_at(piece, place).expect("disk");
    }
    disk.sync_all().expect("disk");
}

/// Adds files until there is enough for the disk.
fn collect(directory: &Path, content: &mut Vec<u8>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if content.len() as u64 >= SIZE / 2 {
            return;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            content.extend(fs::read(entry.path()).unwrap_or_default());
        }
    }
}
