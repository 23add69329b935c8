//! SIGKILL before every system call that changes the world, while several tables are changed at once:
//! afterwards every table is as it was, or every table is as it should be.
//!
//! `KILL_STRIDE=N` visits every N-th call only.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use support::{Tables, ended};

/// What writes, or says that something is written, or takes it away.
const CALLS: [&str; 9] = [
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "unlink",
    "unlinkat",
    "rename",
];
const TABLES: [&str; 4] = ["nodehm", "nodelist", "postscripts", "switch"];

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// The tables of the fixture, on a directory of its own.
fn fresh(model: &Tables) -> Tables {
    let tables = Tables::empty();
    copy(&model.path("tables"), &tables.path("tables"));
    tables
}

fn change(first: &str) -> Vec<&str> {
    vec![
        "set",
        "n[1-4]",
        first,
        "nodelist.status=new",
        "switch.vlan=new",
        "postscripts.postscripts=new",
    ]
}

/// Every table's content, read in some order: each order recovers another file first.
fn content(tables: &Tables, order: usize) -> BTreeMap<&'static str, String> {
    let order = (0..TABLES.len()).map(|at| TABLES[(at + order) % TABLES.len()]);
    order
        .map(|table| {
            let dump = tables.run(&["dump", table]);
            assert_eq!(dump.code, Some(0), "{dump:?}");
            (table, dump.out)
        })
        .collect()
}

/// How often the program makes each call.
fn counted(tables: &Tables, args: &[&str]) -> BTreeMap<&'static str, usize> {
    let trace = tables.path("trace");
    let mut command = tables.command("strace");
    command
        .args([
            "-f",
            "-qq",
            "-e",
            &format!("trace={}", CALLS.join(",")),
            "-o",
        ])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_xtab"))
        .args(args);
    let ended = ended(&mut command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = std::fs::read_to_string(trace).unwrap();
    let count = |call: &'static str| {
        let lines = text
            .lines()
            .filter(|line| line.contains(&format!(" {call}(")));
        (call, lines.count())
    };
    CALLS.map(count).into()
}

fn killed(tables: &Tables, args: &[&str], call: &str, when: usize) -> Option<i32> {
    let mut command = tables.command("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={call}:signal=SIGKILL:when={when}"))
        .arg(env!("CARGO_BIN_EXE_xtab"))
        .args(args);
    ended(&mut command).code
}

#[test]
fn a_killed_writer_leaves_all_or_nothing() {
    let stride: usize = std::env::var("KILL_STRIDE")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let model = Tables::loaded("ops");
    let before = content(&model, 0);
    let args = change("nodehm.cons=new");
    let done = fresh(&model);
    let counts = counted(&done, &args);
    let after = content(&done, 0);
    for table in TABLES {
        assert_ne!(before[table], after[table], "{table}");
    }
    assert!(
        counts["pwrite64"] > 10 && counts["unlink"] >= TABLES.len(),
        "{counts:?}"
    );
    let (mut old, mut new) = (0, 0);
    for (call, count) in counts {
        for when in (1..=count).step_by(stride) {
            let tables = fresh(&model);
            let code = killed(&tables, &args, call, when);
            let found = content(&tables, when);
            if found == before {
                assert_ne!(code, Some(0), "{call} {when}: said to be done, and is not");
                old += 1;
            } else {
                assert_eq!(
                    found, after,
                    "{call} {when}: neither the old nor the new world"
                );
                new += 1;
            }
            // And nothing is in the way of the next writer.
            tables.run(&change("nodehm.cons=again")).ok("");
        }
    }
    assert!(
        old > 0 && new > 0,
        "{old} old, {new} new: the kills missed the change"
    );
}

#[test]
fn what_is_said_to_be_done_was_synced_before() {
    let model = Tables::loaded("ops");
    let tables = fresh(&model);
    for args in [
        change("nodehm.cons=new"),
        vec!["set", "n1", "nodehm.cons=one"],
    ] {
        let trace = tables.path("trace");
        let mut command = tables.command("strace");
        command
            .args([
                "-f",
                "-qq",
                "-y",
                "-e",
                "trace=fsync,fdatasync,unlink,pwrite64",
                "-o",
            ])
            .arg(&trace)
            .arg(env!("CARGO_BIN_EXE_xtab"))
            .args(&args);
        assert_eq!(ended(&mut command).code, Some(0));
        let text = std::fs::read_to_string(&trace).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        // The commit: the journal that decides is unlinked, then its directory is synced.
        let commit = lines
            .iter()
            .position(|line| line.contains("unlink("))
            .unwrap();
        let synced = |line: &&str| {
            (line.contains("fsync(") || line.contains("fdatasync(")) && line.contains("/tables>")
        };
        assert!(lines[commit..].iter().any(synced), "{text}");
        // Before it, every table file was synced after its last write.
        for file in lines[..commit]
            .iter()
            .filter_map(|line| line.split_once("pwrite64("))
            .map(|(_, rest)| rest.split('<').nth(1).unwrap().split('>').next().unwrap())
        {
            let written = lines[..commit]
                .iter()
                .rposition(|line| line.contains("pwrite64(") && line.contains(&format!("<{file}>")))
                .unwrap();
            let synced = lines[written..commit]
                .iter()
                .any(|line| line.contains("sync(") && line.contains(&format!("<{file}>")));
            assert!(synced, "{file} is not synced before the commit:\n{text}");
        }
    }
}

#[test]
fn a_failing_disk_leaves_all_or_nothing() {
    let model = Tables::loaded("ops");
    let before = content(&model, 0);
    let args = change("nodehm.cons=new");
    let done = fresh(&model);
    let counts = counted(&done, &args);
    let after = content(&done, 0);
    for (call, error) in [
        ("pwrite64", "ENOSPC"),
        ("fsync", "EIO"),
        ("fdatasync", "EIO"),
    ] {
        for when in 1..=counts[call] {
            let tables = fresh(&model);
            let mut command = tables.command("strace");
            command
                .args(["-f", "-qq", "-o", "/dev/null", "-e"])
                .arg(format!("inject={call}:error={error}:when={when}"))
                .arg(env!("CARGO_BIN_EXE_xtab"))
                .args(&args);
            let ended = ended(&mut command);
            let found = content(&tables, when);
            match ended.code {
                Some(0) => assert_eq!(found, after, "{call} {when}"),
                code => {
                    assert_eq!(code, Some(3), "{ended:?}");
                    assert!(ended.err.starts_with("xtab: "), "{ended:?}");
                    // The last sync, of the directory after the decision, fails too late to go back.
                    assert!(
                        found == before || found == after,
                        "{call} {when}: {found:?}"
                    );
                }
            }
        }
    }
}
