//! Hooks that have a word.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use fork_worker::veto::{VetoError, consult, consult_within};
use nix::unistd::{Gid, Uid, chown, geteuid};
use tempfile::TempDir;

fn main() {
    support::run(&[
        ("nothing_to_ask", nothing_to_ask),
        ("hooks_see_what_is_to_be_done", hooks_see_what_is_to_be_done),
        ("hooks_are_asked_in_order", hooks_are_asked_in_order),
        ("a_failing_hook_vetoes_all", a_failing_hook_vetoes_all),
        ("files_that_are_no_hooks", files_that_are_no_hooks),
        ("writable_by_others", writable_by_others),
        ("many_nodes", many_nodes),
        ("nodes_that_are_no_lines", nodes_that_are_no_lines),
    ]);
}

fn hook(dir: &Path, name: &str, script: &str) {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    mode(&path, 0o755);
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn nodes() -> Vec<String> {
    ["n1", "n2", "n3"].map(String::from).into()
}

fn ask(dir: &TempDir) -> Result<BTreeMap<String, String>, VetoError> {
    consult(dir.path(), "nodereboot", "cycle", &nodes())
}

fn answer(dir: &TempDir) -> Vec<(String, String)> {
    ask(dir).unwrap().into_iter().collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(node, reason): &(&str, &str)| (node.to_string(), reason.to_string());
    expected.iter().map(own).collect()
}

fn nothing_to_ask() {
    let dir = tempfile::tempdir().unwrap();
    assert!(ask(&dir).unwrap().is_empty());
    let missing = dir.path().join("missing");
    assert!(consult(&missing, "p", "a", &nodes()).unwrap().is_empty());
    hook(dir.path(), "10-fails", "exit 1");
    assert!(consult(dir.path(), "p", "a", &[]).unwrap().is_empty());
    // A directory that cannot be read is not a missing one.
    let file = dir.path().join("10-fails");
    let error = consult(&file, "p", "a", &nodes()).unwrap_err();
    assert!(matches!(error, VetoError::Directory { .. }), "{error}");
}

fn hooks_see_what_is_to_be_done() {
    let dir = tempfile::tempdir().unwrap();
    hook(
        dir.path(),
        "show",
        "while read node; do echo \"$node: $1 $2 $#\"; done",
    );
    let said = "nodereboot cycle 2 (show)";
    assert_eq!(
        answer(&dir),
        pairs(&[("n1", said), ("n2", said), ("n3", said)])
    );
}

fn hooks_are_asked_in_order() {
    let dir = tempfile::tempdir().unwrap();
    hook(dir.path(), "20-b", "echo n2: late; echo n3: late");
    hook(
        dir.path(),
        "10-a",
        "echo n1: job 17; echo n2: job 18; echo other: busy",
    );
    hook(dir.path(), ".hidden", "exit 1");
    let expected = [
        ("n1", "job 17 (10-a)"),
        ("n2", "job 18 (10-a)"),
        ("n3", "late (20-b)"),
    ];
    assert_eq!(answer(&dir), pairs(&expected));
}

fn a_failing_hook_vetoes_all() {
    let cases = [
        (
            "echo n1: busy; echo no squeue here >&2; exit 3",
            "status 3: no squeue here",
        ),
        ("kill -SEGV $$", "signal 11"),
        ("echo cannot connect", "not `node: reason`"),
        ("exec yes n1: busy", "did not end in time"),
        ("exec sleep 1000", "did not end in time"),
    ];
    for (script, why) in cases {
        let dir = tempfile::tempdir().unwrap();
        hook(dir.path(), "10-good", "echo n1: busy");
        hook(dir.path(), "20-bad", script);
        let deadline = Duration::from_millis(500);
        let error = consult_within(dir.path(), "p", "a", &nodes(), deadline).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("20-bad: ") && text.contains(why), "{text}");
    }
}

fn files_that_are_no_hooks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("README");
    std::fs::write(&path, "what this is\n").unwrap();
    mode(&path, 0o644);
    assert!(
        ask(&dir)
            .unwrap_err()
            .to_string()
            .contains("not executable")
    );
    mode(&path, 0o755);
    // No interpreter, so the system refuses it.
    assert!(ask(&dir).is_err());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(
        ask(&dir)
            .unwrap_err()
            .to_string()
            .contains("not a regular file")
    );
    std::fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/no/such/file", &path).unwrap();
    assert!(matches!(ask(&dir), Err(VetoError::Hook { .. })));
}

fn writable_by_others() {
    let dir = tempfile::tempdir().unwrap();
    hook(dir.path(), "hook", "echo n1: busy");
    let path = dir.path().join("hook");
    mode(&path, 0o757);
    assert!(
        ask(&dir)
            .unwrap_err()
            .to_string()
            .contains("others may write")
    );
    mode(&path, 0o755);
    mode(dir.path(), 0o777);
    assert!(matches!(ask(&dir), Err(VetoError::Directory { .. })));
    mode(dir.path(), 0o755);
    assert_eq!(ask(&dir).unwrap().len(), 1);
    if !geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    mode(&path, 0o775);
    chown(&path, None, Some(Gid::from_raw(65534))).unwrap();
    assert!(
        ask(&dir)
            .unwrap_err()
            .to_string()
            .contains("others may write")
    );
    mode(&path, 0o755);
    chown(&path, Some(Uid::from_raw(65534)), None).unwrap();
    assert!(ask(&dir).unwrap_err().to_string().contains("uid 65534"));
}

fn many_nodes() {
    let dir = tempfile::tempdir().unwrap();
    hook(dir.path(), "all", "exec sed 's/$/: all of them/'");
    let nodes: Vec<String> = (0..20_000).map(|n| format!("node{n:05}")).collect();
    let answer = consult(dir.path(), "p", "a", &nodes).unwrap();
    assert_eq!(answer.len(), nodes.len());
}

fn nodes_that_are_no_lines() {
    let dir = tempfile::tempdir().unwrap();
    for node in ["", "a\nb", "a:b", " a"] {
        let nodes = ["n1".to_string(), node.to_string()];
        let error = consult(dir.path(), "p", "a", &nodes).unwrap_err();
        assert!(matches!(error, VetoError::Node(_)), "{error}");
    }
}
