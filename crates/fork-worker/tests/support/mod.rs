//! A test runner without threads: each case is this program, started again with the case's name.
//! That also gives every case a process table and descriptors of its own.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]
#![allow(unsafe_code)] // Children that misbehave need raw calls.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::exit)]

mod crews;

use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) use crews::*;

/// A case: its name and what it does; it fails by panicking.
pub(crate) type Case = (&'static str, fn());

/// Runs all cases, or the one named by the first argument, and prints `N passed, N failed`.
pub(crate) fn run(cases: &[Case]) {
    let mut args = std::env::args().skip(1);
    match args.next() {
        Some(flag) if flag == "--case" => {
            let name = args.next().expect("a case's name");
            let (_, case) = cases.iter().find(|(other, _)| *other == name).unwrap();
            // A case that hangs is a failure, not a test run without end.
            nix::unistd::alarm::set(90);
            case();
            std::process::exit(0);
        }
        filter => {
            let wanted = filter.filter(|text| !text.starts_with('-'));
            let failed = all(cases, wanted.as_deref());
            std::process::exit(i32::from(failed > 0));
        }
    }
}

fn all(cases: &[Case], wanted: Option<&str>) -> usize {
    let (mut passed, mut failed) = (0, 0);
    for (name, _) in cases {
        if wanted.is_some_and(|part| !name.contains(part)) {
            continue;
        }
        // A file and no pipe: children that a broken case leaves behind would keep a pipe open.
        let mut said = tempfile::tempfile().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--case", name])
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said.try_clone().unwrap())
            .status()
            .unwrap();
        if status.success() {
            passed += 1;
            println!("test {name} ... ok");
        } else {
            failed += 1;
            println!("test {name} ... FAILED ({status})");
            let mut text = Vec::new();
            said.rewind().unwrap();
            said.read_to_end(&mut text).unwrap();
            println!("{}", String::from_utf8_lossy(&text));
        }
    }
    println!("{passed} passed, {failed} failed");
    failed
}

/// Nothing that is tested here takes this long; only a hang does.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Pids whose parent is this process, zombies included.
pub(crate) fn children() -> Vec<i32> {
    let me = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // After the name, which may contain anything: state, parent.
        let rest = stat.rsplit_once(") ").unwrap().1;
        if rest.split(' ').nth(1) == Some(&me) {
            found.push(pid);
        }
    }
    found
}

/// True if there is such a process and it is not a zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

/// Numbers of this process' open descriptors, the listing's own left out.
pub(crate) fn descriptors() -> Vec<i32> {
    let mut open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().ok())
        .collect();
    open.retain(|fd| std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_ok());
    open.sort_unstable();
    open
}
