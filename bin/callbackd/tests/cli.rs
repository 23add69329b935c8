//! callbackd's own face: usage, refusals, exit codes. What it does with reports is in tests/.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output, Stdio};

fn callbackd(dir: &std::path::Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_callbackd"))
        .args(args)
        .env_clear()
        .env("XCATCFG", format!("SQLite:{}", dir.display()))
        .env("NODETOOLS_ROOT", dir)
        .env("XCATROOT", dir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_version_and_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(callbackd(dir.path(), &["-h"]).status.code(), Some(0));
    let version = callbackd(dir.path(), &["-v"]);
    assert!(String::from_utf8_lossy(&version.stdout).contains("xcat-nodetools"));
    for args in [
        &["--peer", "10.0.0.1"][..],
        &["--stdin", "--listen", "127.0.0.1:1"],
        &["--listen", "nowhere"],
        &["--stdin", "--peer", "n1"],
        &["extra"],
    ] {
        let output = callbackd(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).starts_with("callbackd: "));
    }
}

#[test]
fn a_user_that_does_not_exist_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = callbackd(dir.path(), &["--user", "no-such-user"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("no-such-user"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn an_address_that_is_not_ours_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = callbackd(dir.path(), &["--listen", "192.0.2.1:3001"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("192.0.2.1:3001: cannot listen"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn nothing_on_standard_input_is_no_conversation_and_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = callbackd(dir.path(), &["--stdin"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn ports_of_xcats_daemon_are_never_taken_where_it_is_installed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("sbin")).unwrap();
    std::fs::write(dir.path().join("sbin/xcatd"), "").unwrap();
    std::fs::write(
        dir.path().join("site.csv"),
        "#key,value\n\"nodetoolsport\",\"3001\"\n",
    )
    .unwrap();
    let xtab = std::path::Path::new(env!("CARGO_BIN_EXE_callbackd")).with_file_name("xtab");
    let restored = Command::new(xtab)
        .arg("restore")
        .arg(dir.path().join("site.csv"))
        .env("XCATCFG", format!("SQLite:{}", dir.path().display()))
        .status()
        .unwrap();
    assert!(restored.success());
    let output = callbackd(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("is the port of xCAT's daemon"),
        "{}",
        stderr(&output)
    );
}
