//! getadapter's own face: usage, refusals, exit codes. What it does to nodes is in tests/.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output, Stdio};

fn getadapter(tables: Option<&std::path::Path>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_getadapter"));
    command.args(args).env_clear().stdin(Stdio::null());
    let dir = tables.map_or_else(|| "/nonexistent".into(), |dir| dir.display().to_string());
    command
        .env("XCATCFG", format!("SQLite:{dir}"))
        .env("NODETOOLS_ROOT", &dir)
        .env("XCATROOT", &dir);
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_and_version_are_answers_not_errors() {
    let help = getadapter(None, &["-h"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("--reboot-running"));
    let version = getadapter(None, &["-v"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&version.stdout).contains("xcat-nodetools"));
}

#[test]
fn wrong_usage_is_two_and_names_its_subject() {
    for (args, subject) in [
        (&["n1", "--no-such"][..], "getadapter: --no-such: "),
        (&[], "getadapter: <NODERANGE>: "),
        (&["n1", "--timeout", "soon"], "getadapter: --timeout <S>: "),
        (&["n1", "--timeout", "0"], "getadapter: --timeout <S>: "),
        (&["n1", "--live", "--reboot-running"], "getadapter: --live"),
    ] {
        let output = getadapter(None, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).starts_with(subject), "{}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn tables_without_the_node_end_in_three() {
    let dir = tempfile::tempdir().unwrap();
    let output = getadapter(Some(dir.path()), &["n1"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("Invalid nodes and/or groups in noderange: n1"),
        "{}",
        stderr(&output)
    );
    let made: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert!(made.is_empty(), "a read makes nothing: {made:?}");
}

#[test]
fn a_status_descriptor_that_is_not_open_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x"), "").unwrap();
    let output = getadapter(Some(dir.path()), &["n1", "--status-fd", "77"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("--status-fd: 77"),
        "{}",
        stderr(&output)
    );
}
