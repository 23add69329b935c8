//! Our plugins for xCAT's daemon, and our programs as Perl calls them: tests/perl, run by prove.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use scenarios::{Finished, parts, program};

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("perl")
}

/// Without prove nothing is proven: that is a failure, not a reason to pass.
fn prove(name: &str, needed: &[&str]) {
    if !parts::root() || !needed.iter().all(|part| parts::have(part)) {
        return;
    }
    let ended: Finished = Command::new("prove")
        .arg(scripts().join(name))
        .env("NODETOOLS_BIN", program("xtab").parent().expect("programs"))
        .stdin(Stdio::null())
        .output()
        .expect("prove: is missing: scripts/setup test installs it")
        .into();
    assert!(
        ended.status.success(),
        "{name}:\n{}\n{}",
        ended.stdout,
        ended.stderr
    );
}

#[test]
fn who_handles_a_command() {
    prove("handlers.t", &[]);
}

#[test]
fn a_report_through_the_hook() {
    prove("report.t", &[]);
}

#[test]
fn the_hook_makes_no_process() {
    prove("forks.t", &["strace"]);
}

#[test]
fn the_hook_killed_at_every_call() {
    prove("killed.t", &["strace"]);
}

#[test]
fn a_command_through_the_daemon() {
    prove("shim.t", &[]);
}

#[test]
fn every_program_as_perl_calls_it() {
    prove("called.t", &["unshare", "nsenter"]);
}

#[test]
fn every_script_is_run() {
    let own = include_str!("perl.rs");
    let there: BTreeSet<String> = std::fs::read_dir(scripts())
        .expect("tests/perl")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .filter(|name| name.ends_with(".t"))
        .collect();
    let run = there
        .iter()
        .filter(|name| own.contains(&format!("prove(\"{name}\"")))
        .cloned()
        .collect();
    assert_eq!(there, run);
}
