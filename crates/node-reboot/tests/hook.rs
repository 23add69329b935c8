//! The site's boot command, as sites get it wrong.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use node_reboot::{Error, Hook};
use support::{names, script};

fn hook(dir: &Path, body: &str) -> Hook {
    let path = script(&dir.join("boot command"), body);
    Hook::parse(&format!("'{}' --zone \"a b\"", path.display())).unwrap()
}

fn boot(hook: &Hook, nodes: &[&str]) -> BTreeMap<String, String> {
    let environment = [("NODETOOLS_NONCE".to_string(), "00ff".to_string())];
    hook.boot(
        "runcmd=getadapter",
        "10.0.0.1:4001",
        &names(nodes),
        &environment,
    )
}

#[test]
fn it_is_called_once_with_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let body = format!(
        "{{ echo \"$#:$1:$2:$3:$4:$NODETOOLS_NONCE\"; cat; }} >>{}",
        log.display()
    );
    assert!(boot(&hook(dir.path(), &body), &["n1", "n2"]).is_empty());
    assert_eq!(
        std::fs::read_to_string(log).unwrap(),
        "4:--zone:a b:runcmd=getadapter:10.0.0.1:4001:00ff\nn1\nn2\n"
    );
}

#[test]
fn nodes_that_it_names_failed_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    for end in ["exit 0", "exit 7"] {
        let body = format!("echo 'n2: no such machine'; echo 'n9: not asked for'; {end}");
        let failed = boot(&hook(dir.path(), &body), &["n1", "n2", "n3"]);
        assert_eq!(
            failed,
            BTreeMap::from([("n2".to_string(), "no such machine".to_string())])
        );
    }
}

#[test]
fn a_failure_that_names_nobody_is_everybodys() {
    let dir = tempfile::tempdir().unwrap();
    let failed = boot(
        &hook(dir.path(), "echo 'out of \x1b[1mpower' >&2; exit 3"),
        &["n1", "n2"],
    );
    assert_eq!(failed.len(), 2);
    assert_eq!(
        failed["n1"],
        "bootcmd ended with status 3: out of \\u{1b}[1mpower"
    );
}

#[test]
fn one_that_never_ends_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let hook = hook(dir.path(), "echo 'n1: broken'; exec sleep 1000")
        .with_limit(Duration::from_millis(300));
    let start = Instant::now();
    let failed = boot(&hook, &["n1", "n2"]);
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(failed["n1"], "broken");
    assert!(
        failed["n2"].starts_with("bootcmd did not end within"),
        "{}",
        failed["n2"]
    );
}

#[test]
fn one_that_never_stops_talking_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let hook = hook(dir.path(), "exec yes 'n1: again'").with_limit(Duration::from_millis(500));
    let failed = boot(&hook, &["n1", "n2"]);
    assert_eq!(failed["n1"], "again");
    assert!(failed.contains_key("n2"));
}

#[test]
fn one_that_is_killed_started_nobody_for_sure() {
    let dir = tempfile::tempdir().unwrap();
    let failed = boot(&hook(dir.path(), "kill -9 $$"), &["n1"]);
    assert_eq!(failed["n1"], "bootcmd was ended by signal 9");
}

#[test]
fn nobody_asked_for_is_nobody_called() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let hook = hook(dir.path(), &format!("echo called >{}", log.display()));
    assert!(boot(&hook, &[]).is_empty());
    assert!(!log.exists());
}

#[test]
fn what_cannot_be_run_is_refused_before_any_node_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    let paths = [dir.path(), &plain].map(|path| path.display().to_string());
    for value in [
        "",
        "  ",
        "boot",
        "./boot",
        "'/x",
        "/no/such/file",
        &paths[0],
        &paths[1],
    ] {
        assert!(
            matches!(Hook::parse(value), Err(Error::Hook(_))),
            "{value:?}"
        );
    }
}
