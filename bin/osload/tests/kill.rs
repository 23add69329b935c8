//! SIGKILL before every system call of `image add` and `image rm` that changes something: a name means
//! what it meant, or the whole new image, and the next command works and leaves nothing behind.
//!
//! `KILL_STRIDE=1` visits every call; the default visits every few, each time others.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::process::Command;

use support::{Ended, MIB, Place, ended, has_strace};

const CALLS: &str = "openat,write,pwrite64,copy_file_range,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,ftruncate,flock,clone,clone3,fork,vfork";
const PROGRAM: &str = env!("CARGO_BIN_EXE_osload");

fn points(count: usize, default_stride: usize) -> impl Iterator<Item = usize> {
    let stride = std::env::var("KILL_STRIDE").ok();
    let stride = stride
        .and_then(|text| text.parse().ok())
        .unwrap_or(default_stride);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    let offset = now.subsec_nanos() as usize % stride;
    println!("{count} calls, every {stride}. from {}", offset + 1);
    (1 + offset..=count).step_by(stride)
}

fn traced(place: &Place, options: &[&str], args: &[&str]) -> Command {
    place.command("strace", &[options, &["--", PROGRAM], args].concat())
}

/// How many calls the main process makes.
fn count(place: &Place, args: &[&str]) -> usize {
    let trace = place.path("trace");
    let options = [
        "-qq",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        &format!("trace={CALLS}"),
    ];
    ended(&mut traced(place, &options, args)).code(0);
    let text = fs::read_to_string(trace).unwrap();
    text.lines().filter(|line| line.contains('(')).count()
}

/// Kills at one call: the main process, or with `-f` whichever process makes so many first.
fn killed(place: &Place, follow: bool, at: usize, args: &[&str]) -> Ended {
    let inject = format!("inject={CALLS}:signal=SIGKILL:when={at}");
    let options = ["-qq", "-o", "/dev/null", "-e", &inject];
    let follow: &[&str] = if follow { &["-f"] } else { &[] };
    ended(&mut traced(place, &[follow, &options].concat(), args))
}

/// Adds; the last child of a killed add may hold its lock for another moment.
fn add(place: &Place, name: &str, file: &str) -> Ended {
    loop {
        let added = place.add(name, file);
        if !added.err.contains("is being added already") {
            return added;
        }
    }
}

#[track_caller]
fn assert_whole(place: &Place, name: &str, at: usize) {
    let verified = place.run(&["image", "verify", name, "--jobs", "1"]);
    assert_eq!(verified.code, Some(0), "call {at}: {verified:?}");
}

const ADD: [&str; 6] = ["image", "add", "a", "new", "--format", "raw"];

#[test]
fn add_killed_at_every_step() {
    if !has_strace() {
        return;
    }
    let place = Place::new();
    for (name, seed) in [("old", 1), ("new", 2)] {
        // Two parts.
        place.disk(name, 66 * MIB, seed);
    }
    let calls = count(&place, &ADD);
    assert!(calls > 60, "{calls}: the trace does not see the work");
    let new = place.digest("a").unwrap();
    for follow in [false, true] {
        let (mut kept, mut replaced) = (0, 0);
        for at in points(calls, 31) {
            add(&place, "a", "old").code(0);
            let old = place.digest("a").unwrap();
            let ended = killed(&place, follow, at, &ADD);
            match place.digest("a").unwrap() {
                now if now == old => kept += 1,
                now => {
                    assert_eq!(now, new, "call {at}");
                    replaced += 1;
                }
            }
            assert!(
                ended.code != Some(0) || place.digest("a").unwrap() == new,
                "call {at}"
            );
            assert_whole(&place, "a", at);
            assert_eq!(
                place.column("osimage", "a", "provmethod").unwrap(),
                "osload"
            );
            add(&place, "a", "new").code(0);
            assert_eq!(place.digest("a").unwrap(), new, "call {at}");
            assert_eq!(place.entries("objects").len(), 2, "call {at}");
            assert!(place.entries("adding").is_empty(), "call {at}");
        }
        println!("{kept} kept, {replaced} replaced");
        assert!(kept > 0);
    }
    // And where there was nothing before.
    for at in points(calls, 59) {
        let place = Place::new();
        place.disk("new", 66 * MIB, 2);
        killed(&place, false, at, &ADD);
        if place.digest("a").is_some() {
            assert_whole(&place, "a", at);
        } else {
            assert_eq!(place.run(&["image", "list"]).code(0).out, "");
            assert!(place.column("osimage", "a", "provmethod").is_none());
        }
        add(&place, "a", "new").code(0);
        assert_eq!(place.entries("objects").len(), 2);
    }
}

#[test]
fn rm_killed_at_every_step() {
    if !has_strace() {
        return;
    }
    let place = Place::new();
    place.disk("new", MIB, 1);
    place.add("a", "new").code(0);
    let rm = ["image", "rm", "a"];
    let calls = count(&place, &rm);
    assert!(calls > 20, "{calls}: the trace does not see the work");
    for at in points(calls, 5) {
        add(&place, "a", "new").code(0);
        killed(&place, false, at, &rm);
        let row = place.column("osimage", "a", "provmethod");
        if place.digest("a").is_some() {
            assert_whole(&place, "a", at);
            place.run(&rm).code(0);
        } else {
            assert!(row.is_none(), "call {at}: a row without an image");
            // Whatever comes next takes the image away.
            place.disk("other", MIB, 3);
            add(&place, "b", "other").code(0);
            place.run(&["image", "rm", "b"]).code(0);
        }
        assert!(place.entries("objects").is_empty(), "call {at}");
        assert!(place.column("osimage", "a", "provmethod").is_none());
    }
}

#[test]
fn a_killed_add_is_gone_on_with() {
    if !has_strace() {
        return;
    }
    let place = Place::new();
    place.disk("new", 66 * MIB, 2);
    // When the parts are joined all of them are there.
    let inject = "inject=copy_file_range:signal=SIGKILL:when=1";
    let options = ["-qq", "-o", "/dev/null", "-e", inject];
    let dead = ended(&mut traced(&place, &options, &ADD));
    assert_eq!(dead.code, None, "{dead:?}");
    assert_eq!(place.entries("adding").len(), 1);
    let trace = place.path("trace");
    let options = [
        "-f",
        "-qq",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        "trace=openat,clone,clone3,fork,vfork",
    ];
    ended(&mut traced(&place, &options, &ADD)).code(0);
    let text = fs::read_to_string(trace).unwrap();
    let packs = |line: &&str| line.contains("/part-") && line.contains("O_CREAT");
    assert_eq!(text.lines().filter(packs).count(), 0, "{text}");
    assert_whole(&place, "a", 0);
    // Of another file nothing is gone on with, and what was left goes.
    place.disk("other", 66 * MIB, 3);
    let options = ["-qq", "-o", "/dev/null", "-e", inject];
    ended(&mut traced(&place, &options, &ADD));
    add(&place, "b", "other").code(0);
    assert!(place.entries("adding").is_empty());
}

#[test]
fn what_is_said_to_be_stored_was_synced_before() {
    if !has_strace() {
        return;
    }
    let place = Place::new();
    place.disk("new", MIB, 2);
    let trace = place.path("trace");
    let options = [
        "-qq",
        "-y",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        "trace=fsync,rename,write",
    ];
    ended(&mut traced(&place, &options, &ADD)).code(0);
    let text = fs::read_to_string(trace).unwrap();
    let at = |what: &[&str]| {
        let found = text
            .lines()
            .position(|line| what.iter().all(|part| line.contains(part)));
        found.unwrap_or_else(|| panic!("{what:?} is missing in:\n{text}"))
    };
    let order = [
        at(&["fsync(", "/frames>"]),
        at(&["fsync(", "/manifest>"]),
        at(&["rename(", "/objects/", ".frames\""]),
        at(&["rename(", "/objects/", ".json\""]),
        at(&["fsync(", "/objects>"]),
        at(&["rename(", "/names/a\""]),
        at(&["fsync(", "/names>"]),
        at(&["write(1", "a: "]),
    ];
    assert!(order.is_sorted(), "{order:?}\n{text}");
    let named = at(&["fsync(", "/name>"]);
    assert!(named < order[5], "{text}");
}

#[test]
fn a_full_disk_leaves_what_was() {
    if !has_strace() {
        return;
    }
    let place = Place::new();
    place.disk("old", MIB, 1);
    place.disk("new", 66 * MIB, 2);
    place.add("a", "old").code(0);
    let old = place.digest("a").unwrap();
    // The tables' own files are synced before: which of them is the object's?
    let trace = place.path("trace");
    let options = [
        "-qq",
        "-y",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        "trace=fsync",
    ];
    ended(&mut traced(
        &place,
        &options,
        &["image", "add", "b", "new", "--format", "raw"],
    ))
    .code(0);
    let text = fs::read_to_string(trace).unwrap();
    let object = 1 + text
        .lines()
        .position(|line| line.contains("/frames>"))
        .unwrap();
    for (call, error, when, why) in [
        ("copy_file_range", "ENOSPC", 1, "No space left"),
        ("fsync", "EIO", object, "Input/output error"),
        ("rename", "ENOSPC", 1, "No space left"),
    ] {
        let inject = format!("inject={call}:error={error}:when={when}");
        let options = ["-qq", "-o", "/dev/null", "-e", &inject];
        let failed = ended(&mut traced(&place, &options, &ADD)).code(3);
        assert!(
            failed.err.starts_with("osload: ") && failed.err.contains(why),
            "{failed:?}"
        );
        assert_eq!(place.digest("a").unwrap(), old, "{call}");
        assert!(place.entries("adding").is_empty(), "{call}");
    }
    assert_whole(&place, "a", 0);
    place.add("a", "new").code(0);
}
