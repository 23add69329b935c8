//! Calling one command for many nodes.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use boot_target::run;
use support::{names, script};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn ten_thousand_nodes_are_two_calls_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let body = format!(
        "echo called >>'{}'; echo \"$1\" | tr , '\\n' | sed 's/$/: on/'",
        log.display()
    );
    let command = script(&dir.path().join("rpower"), &body);
    let nodes: Vec<String> = (0..10_000).map(|n| format!("node{n:05}")).collect();
    let answers = run(&command, &nodes, &["stat"], LONG).unwrap();
    assert!(answers.good);
    assert!(
        nodes
            .iter()
            .all(|node| answers.verdict(node) == Some(Ok(())))
    );
    assert!(std::fs::read_to_string(log).unwrap().lines().count() <= 2);
}

#[test]
fn a_command_that_hangs_is_ended_and_what_it_said_counts() {
    let dir = tempfile::tempdir().unwrap();
    let command = script(
        &dir.path().join("nodeset"),
        "echo 'n1: boot'; exec sleep 1000",
    );
    let start = Instant::now();
    let answers = run(
        &command,
        &names(&["n1", "n2"]),
        &[],
        Duration::from_millis(300),
    )
    .unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(answers.verdict("n1"), Some(Ok(())));
    assert_eq!(answers.verdict("n2"), None);
    assert!(
        answers.silence("nodeset").contains("did not end"),
        "{}",
        answers.silence("nodeset")
    );
}

#[test]
fn endless_output_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let command = script(&dir.path().join("nodeset"), "exec yes 'Error: n1: no'");
    let answers = run(
        &command,
        &names(&["n1", "n2"]),
        &[],
        Duration::from_millis(500),
    )
    .unwrap();
    assert_eq!(answers.verdict("n1"), Some(Err("no".to_string())));
    assert!(!answers.good);
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let error = run("/no/such/rpower".as_ref(), &names(&["n1"]), &[], LONG).unwrap_err();
    assert!(error.to_string().contains("/no/such/rpower"), "{error}");
}

#[test]
fn nobody_is_no_call() {
    let answers = run("/no/such/rpower".as_ref(), &[], &[], LONG).unwrap();
    assert!(answers.good && answers.said.is_empty());
}
