//! SIGKILL before every system call of `image add` and `image rm` that changes something: a name means
//! what it meant, or the whole new image, and the next command works and leaves nothing behind.
//!
//! `KILL_STRIDE=1` visits every call; the default visits every few, each time others.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::path::PathBuf;

use simulators::strace::{self, CHANGES};
use support::{Ended, MIB, Place, ended, has_strace};

const PROGRAM: &str = env!("CARGO_BIN_EXE_osload");

/// What a clean run of the program calls of these, with the processes that it makes.
fn trace(place: &Place, calls: &str, args: &[&str]) -> PathBuf {
    let trace = place.path("trace");
    let options = ["-f", "-qq", "-y", "-o", trace.to_str().unwrap(), "-e"];
    let calls = format!("trace={calls}");
    let options = [&options[..], &[calls.as_str()]].concat();
    ended(&mut strace::under(&options, &place.command(PROGRAM, args))).code(0);
    trace
}

/// The program, with a fault put into it: of the main process, or with `-f` of whichever comes to it first.
fn faulty(place: &Place, follow: &[&str], inject: &str, args: &[&str]) -> Ended {
    let options = [&["-qq", "-o", "/dev/null", "-e", inject], follow].concat();
    ended(&mut strace::under(&options, &place.command(PROGRAM, args)))
}

/// Where a line of a trace is that has all of these.
#[track_caller]
fn line(text: &str, what: &[&str]) -> usize {
    let found = text
        .lines()
        .position(|line| what.iter().all(|part| line.contains(part)));
    found.unwrap_or_else(|| panic!("{what:?} is missing in:\n{text}"))
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
fn assert_whole(place: &Place, name: &str, at: &str) {
    let verified = place.run(&["image", "verify", name, "--jobs", "1"]);
    assert_eq!(verified.code, Some(0), "{at}: {verified:?}");
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
    let all = strace::steps(&trace(&place, CHANGES, &ADD));
    let own = strace::steps_of(CHANGES, &place.command(PROGRAM, &ADD), &place.path(""));
    assert!(own.len() > 40, "{own:?}: the trace does not see the work");
    let new = place.digest("a").unwrap();
    for (follow, steps) in [(&[][..], &own), (&["-f"], &all)] {
        let (mut kept, mut replaced) = (0, 0);
        for at in strace::visited(steps.clone(), 31) {
            add(&place, "a", "old").code(0);
            let old = place.digest("a").unwrap();
            let ended = faulty(&place, follow, &at.kill(), &ADD);
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
            assert_whole(&place, "a", &at.to_string());
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
    for at in strace::visited(own, 59) {
        let place = Place::new();
        place.disk("new", 66 * MIB, 2);
        faulty(&place, &[], &at.kill(), &ADD);
        if place.digest("a").is_some() {
            assert_whole(&place, "a", &at.to_string());
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
    let steps = strace::steps_of(CHANGES, &place.command(PROGRAM, &rm), &place.path(""));
    assert!(
        steps.len() > 15,
        "{steps:?}: the trace does not see the work"
    );
    for at in strace::visited(steps, 5) {
        add(&place, "a", "new").code(0);
        faulty(&place, &[], &at.kill(), &rm);
        let row = place.column("osimage", "a", "provmethod");
        if place.digest("a").is_some() {
            assert_whole(&place, "a", &at.to_string());
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
    let joining = "inject=copy_file_range:signal=SIGKILL:when=1";
    let dead = faulty(&place, &[], joining, &ADD);
    assert_eq!(dead.code, None, "{dead:?}");
    assert_eq!(place.entries("adding").len(), 1);
    let text = fs::read_to_string(trace(&place, "openat,clone,clone3,fork,vfork", &ADD)).unwrap();
    let packs = |line: &&str| line.contains("/part-") && line.contains("O_CREAT");
    assert_eq!(text.lines().filter(packs).count(), 0, "{text}");
    assert_whole(&place, "a", "at the end");
    // Of another file nothing is gone on with, and what was left goes.
    place.disk("other", 66 * MIB, 3);
    faulty(&place, &[], joining, &ADD);
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
    let text = fs::read_to_string(trace(&place, "fsync,rename,write", &ADD)).unwrap();
    let at = |what: &[&str]| line(&text, what);
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
    let add = ["image", "add", "b", "new", "--format", "raw"];
    let text = fs::read_to_string(trace(&place, "fsync", &add)).unwrap();
    let object = 1 + line(&text, &["/frames>"]);
    for (call, error, when, why) in [
        ("copy_file_range", "ENOSPC", 1, "No space left"),
        ("fsync", "EIO", object, "Input/output error"),
        ("rename", "ENOSPC", 1, "No space left"),
    ] {
        let inject = format!("inject={call}:error={error}:when={when}");
        let failed = faulty(&place, &[], &inject, &ADD).code(3);
        assert!(
            failed.err.starts_with("osload: ") && failed.err.contains(why),
            "{failed:?}"
        );
        assert_eq!(place.digest("a").unwrap(), old, "{call}");
        assert!(place.entries("adding").is_empty(), "{call}");
    }
    assert_whole(&place, "a", "at the end");
    place.add("a", "new").code(0);
}
