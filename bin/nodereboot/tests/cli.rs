//! nodereboot's own face: usage, refusals, what would be done, exit codes. What it does to nodes is in
//! tests/.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use xcat_tables::{Location, Tables, Transaction};

fn nodereboot(root: Option<&Path>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nodereboot"));
    command.args(args).env_clear().stdin(Stdio::null());
    let root = root.unwrap_or(Path::new("/nonexistent"));
    command
        .env(
            "XCATCFG",
            format!("SQLite:{}", root.join("tables").display()),
        )
        .env("NODETOOLS_ROOT", root)
        .env("XCATROOT", root.join("xcat"));
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A root with tables: `n1` to `n3`, of which only `n3` has no management.
fn root() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("tables")).unwrap();
    let tables = Tables::open(&Location::sqlite(dir.path().join("tables"))).unwrap();
    tables.create_missing().unwrap();
    let change = |change: &Transaction<'_>| {
        for node in ["n1", "n2", "n3"] {
            change.put("nodelist", &[("node", node)], &[("groups", Some("all"))])?;
            change.put("hosts", &[("node", node)], &[("ip", Some("127.9.9.9"))])?;
        }
        change.put("nodehm", &[("node", "n1")], &[("mgt", Some("redfish"))])?;
        change.put("nodehm", &[("node", "n2")], &[("mgt", Some("hmc"))])?;
        change.put(
            "openbmc",
            &[("node", "n1")],
            &[
                ("bmc", Some("127.9.9.8:9")),
                ("username", Some("root")),
                ("password", Some("secret")),
            ],
        )
    };
    tables
        .transaction(&["nodelist", "hosts", "nodehm", "openbmc"], change)
        .unwrap();
    dir
}

#[test]
fn help_and_version_are_answers_not_errors() {
    let help = nodereboot(None, &["-h"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stdout(&help).contains("--canary"));
    let version = nodereboot(None, &["-v"]);
    assert_eq!(version.status.code(), Some(0));
    assert!(stdout(&version).contains("xcat-nodetools"));
}

#[test]
fn wrong_usage_is_two_and_names_its_subject() {
    for (args, subject) in [
        (&["n1", "--no-such"][..], "nodereboot: --no-such: "),
        (&[], "nodereboot: NODERANGE: "),
        (&["n1", "-e", "all"], "nodereboot: "),
        (&["n1", "-a"], "nodereboot: "),
        (&["n1", "-W", "soon"], "nodereboot: --wait-time <SECS>: "),
        (&["n1", "--boot", "floppy"], "nodereboot: --boot <DEVICE>: "),
        (
            &["n1", "--max-fail", "101%"],
            "nodereboot: --max-fail <N|N%>: ",
        ),
        (&["n1", "--limit", "of=3"], "nodereboot: --limit: of: "),
        (&["n1", "--ca", "x", "--insecure"], "nodereboot: "),
    ] {
        let output = nodereboot(None, args);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).starts_with(subject),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn no_tables_and_unknown_nodes_end_in_three() {
    assert_eq!(nodereboot(None, &["n1"]).status.code(), Some(3));
    let root = root();
    let output = nodereboot(Some(root.path()), &["n1,n9"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("n9"), "{}", stderr(&output));
}

#[test]
fn a_range_that_names_nobody_is_never_all() {
    let root = root();
    for range in ["", ",", "n1,-n1"] {
        let output = nodereboot(Some(root.path()), &[range]);
        let code = output.status.code();
        assert!(
            matches!(code, Some(2 | 3)),
            "{range:?}: {code:?} {}",
            stderr(&output)
        );
    }
    // Nor is standard input that is empty.
    let output = nodereboot(Some(root.path()), &["-"]);
    assert!(
        matches!(output.status.code(), Some(2 | 3)),
        "{}",
        stderr(&output)
    );
}

#[test]
fn more_nodes_than_meant_are_refused_without_a_terminal() {
    let root = root();
    let output = nodereboot(Some(root.path()), &["all", "--max-nodes", "2"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("3 nodes"), "{}", stderr(&output));
}

#[test]
fn a_dry_run_says_what_would_be_tried() {
    let root = root();
    let output = nodereboot(Some(root.path()), &["all", "--dry-run", "--boot", "net"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("n1: would set its boot device"), "{text}");
    assert!(text.contains("its management controller"), "{text}");
    assert!(
        text.contains("n2: could not be started: nothing here switches the power of hmc"),
        "{text}"
    );
    assert!(
        text.contains("n3: could not be started: has neither nodehm.power"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    let forced = nodereboot(Some(root.path()), &["n3", "-F", "--dry-run"]);
    assert_eq!(forced.status.code(), Some(0), "{}", stderr(&forced));
}

#[test]
fn idle_nodes_are_known_only_by_hooks() {
    let root = root();
    let output = nodereboot(Some(root.path()), &["-a", "--dry-run"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("veto.d"), "{}", stderr(&output));
}

#[test]
fn a_user_behind_sudo_is_judged_by_the_policy() {
    let root = root();
    let mut command = Command::new(env!("CARGO_BIN_EXE_nodereboot"));
    command
        .args(["n1", "--dry-run"])
        .env_clear()
        .stdin(Stdio::null());
    let output = command
        .env(
            "XCATCFG",
            format!("SQLite:{}", root.path().join("tables").display()),
        )
        .env("NODETOOLS_ROOT", root.path())
        .env("SUDO_UID", "65534")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_status_descriptor_that_is_not_open_is_named() {
    let root = root();
    let output = nodereboot(Some(root.path()), &["n1", "--status-fd", "77"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("--status-fd: 77"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn failed_nodes_come_in_every_form() {
    let root = root();
    let file = root.path().join("failed");
    let output = nodereboot(
        Some(root.path()),
        &[
            "all",
            "--json",
            "--status-fd",
            "1",
            "--failed-to",
            &file.display().to_string(),
        ],
    );
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let text = stdout(&output);
    for (node, status) in [("n1", 3), ("n2", 1), ("n3", 1)] {
        assert!(text.contains(&format!("{node},{status}\n")), "{text}");
        assert!(
            text.contains(&format!("\"node\":\"{node}\",\"status\":{status}")),
            "{text}"
        );
        assert!(
            stderr(&output).contains(&format!("nodereboot: {node}: ")),
            "{}",
            stderr(&output)
        );
    }
    assert!(
        stderr(&output).contains("0 rebooted; 3 failed: n[1-3]"),
        "{}",
        stderr(&output)
    );
    let failed = std::fs::read_to_string(file).unwrap();
    assert_eq!(failed, "n[1-3]\n");
}
