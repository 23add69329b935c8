//! rflash's own face: usage, refusals, exit codes. What it does to BMCs is in tests/.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn rflash(tables: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rflash"));
    command
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .current_dir(tables);
    command
        .env("XCATCFG", format!("SQLite:{}", tables.display()))
        .env("NODETOOLS_ROOT", tables)
        .env("XCATROOT", tables);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Tables with a node of ours without a BMC, and one of another kind.
fn tables(dir: &Path) {
    let tables = xcat_tables::Tables::open(&xcat_tables::Location::sqlite(dir)).unwrap();
    for (name, header, rows) in [
        (
            "nodelist",
            "#node,groups",
            "\"n1\",\"all\"\n\"n2\",\"all\"\n\"x1\",\"other\"\n",
        ),
        (
            "nodehm",
            "#node,mgt",
            "\"n1\",\"openbmc\"\n\"n2\",\"openbmc\"\n\"x1\",\"hmc\"\n",
        ),
        (
            "openbmc",
            "#node,bmc,username,password",
            "\"n2\",\"no.such.host.invalid\",\"root\",\"secret\"\n",
        ),
    ] {
        let dump = format!("{header}\n{rows}");
        tables
            .restore(name, "rows", dump.as_bytes(), false)
            .unwrap();
    }
}

#[test]
fn wrong_usage_is_two_in_xcats_words_for_every_node() {
    let dir = tempfile::tempdir().unwrap();
    tables(dir.path());
    for (args, said) in [
        (&["all"][..], "No option specified for rflash"),
        (
            &["all", "-a", "-u", "f.tar"],
            "Multiple options are not supported. Options specified: -a -u",
        ),
        (
            &["-a", "all", "--upload", "f.tar"],
            "Multiple options are not supported. Options specified: -a --upload",
        ),
        (
            &["all", "f.tar", "-l"],
            "Invalid option specified when a file is provided: -l",
        ),
        (
            &["all", "-d", "abcd"],
            "Invalid option specified when an update id is provided: -d. Did you mean --delete?",
        ),
    ] {
        let output = rflash(dir.path(), args);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?} {}",
            text(&output.stderr)
        );
        assert_eq!(
            text(&output.stdout),
            format!("n1: Error: {said}\nn2: Error: {said}\n")
        );
        assert!(!text(&output.stdout).contains("Attempting to"));
    }
    for args in [
        &["all", "--no-such"][..],
        &[],
        &["all", "-l", "--timeout", "lunch=1"],
        &["all", "-l", "--rate", "fast"],
    ] {
        let output = rflash(dir.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            text(&output.stderr).starts_with("rflash: "),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn files_that_are_no_archives_end_in_three_before_any_bmc_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    tables(dir.path());
    std::fs::write(dir.path().join("bad.tar"), "not a tar").unwrap();
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    for (args, said) in [
        (&["all", "-u", "gone.tar"][..], "Cannot access"),
        (&["all", "-a", "bad.tar"], "bad.tar: is truncated"),
        (&["all", "-d", "empty"], "No BMC tar file found in empty"),
        (
            &["all", "-d", "/nonexistent"],
            "Can't open directory : /nonexistent",
        ),
    ] {
        let output = rflash(dir.path(), args);
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        assert!(
            text(&output.stderr).starts_with("Error: "),
            "{}",
            text(&output.stderr)
        );
        assert!(
            text(&output.stderr).contains(said),
            "{}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn what_the_tables_lack_is_that_nodes_failure() {
    let dir = tempfile::tempdir().unwrap();
    tables(dir.path());
    let output = rflash(dir.path(), &["all,x1", "-l"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    assert!(
        said.contains("n1: Error: Unable to get attribute bmc\n"),
        "{said}"
    );
    assert!(
        said.contains("n2: Error: Unable to resolved ip address for bmc: no.such.host.invalid\n"),
        "{said}"
    );
    let errors = text(&output.stderr);
    assert!(
        errors.contains("x1: Error: nodehm.mgt says hmc, and xCAT's own rflash is not installed"),
        "{errors}"
    );
    assert!(!errors.contains("secret") && !said.contains("secret"));
}

#[test]
fn a_run_that_there_is_not_is_named() {
    let dir = tempfile::tempdir().unwrap();
    tables(dir.path());
    for option in ["--resume", "--status", "--cancel"] {
        for id in ["12-34", "../../etc", "x"] {
            let output = rflash(dir.path(), &[option, id]);
            assert_eq!(output.status.code(), Some(3), "{option} {id}");
            assert_eq!(text(&output.stderr), format!("rflash: {id}: no such run\n"));
        }
    }
    assert_eq!(rflash(dir.path(), &["--status"]).status.code(), Some(0));
}
