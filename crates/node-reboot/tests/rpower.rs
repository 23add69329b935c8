//! Power by a command that answers as xCAT's does, or worse.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use node_reboot::{Patience, Rpower};
use support::{names, script};
use xcat_tables::{Location, Tables, Transaction};

/// Answers `off` and `on` with the verb; `stat` runs `stat`, with the nodes one a line on its input.
fn rpower(dir: &Path, stat: &str) -> Rpower {
    let log = dir.join("log");
    let body = format!(
        "echo \"$*\" >>'{}'; cd '{}'
         each() {{ echo \"$1\" | tr , '\\n'; }}
         case $2 in
         stat) each \"$1\" | while read -r node; do {stat}; done;;
         *) each \"$1\" | sed \"s/$/: $2/\";;
         esac",
        log.display(),
        dir.display()
    );
    let path = script(&dir.join("xcat/bin/rpower"), &body);
    Rpower::new(path, &tables(dir)).with_patience(Patience {
        limit: Duration::from_secs(60),
        pause: Duration::ZERO,
    })
}

fn tables(dir: &Path) -> Tables {
    let place = dir.join("tables");
    std::fs::create_dir_all(&place).unwrap();
    let tables = Tables::open(&Location::sqlite(place)).unwrap();
    tables.create_missing().unwrap();
    tables
}

fn calls(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
    text.lines().map(str::to_string).collect()
}

#[test]
fn off_is_two_equal_answers_in_a_row() {
    let dir = tempfile::tempdir().unwrap();
    // n1 says off, on, off, off: a BMC that answered with the state before the command.
    let stat = "echo x >>seen.$node; case $node.$(wc -l <seen.$node) in n1.2) echo n1: on;; *) echo $node: Off;; esac";
    let rpower = rpower(dir.path(), stat);
    assert!(rpower.off_and_wait(&names(&["n1", "n2"])).is_empty());
    assert_eq!(
        calls(dir.path()),
        [
            "n1,n2 off",
            "n1,n2 stat",
            "n1,n2 stat",
            "n1 stat",
            "n1 stat"
        ]
    );
}

#[test]
fn a_node_that_stays_on_fails_with_its_last_word_and_the_others_are_off() {
    let dir = tempfile::tempdir().unwrap();
    let stat = "case $node in n1) echo n1: on;; n2) echo 'n2: Error: timeout' >&2;; n3) ;; *) echo $node: off;; esac";
    let rpower = rpower(dir.path(), stat).with_patience(Patience {
        limit: Duration::from_millis(400),
        pause: Duration::from_millis(1),
    });
    let failed = rpower.off_and_wait(&names(&["n1", "n2", "n3", "n4"]));
    assert_eq!(failed.len(), 3);
    assert!(failed["n1"].ends_with(": on"), "{}", failed["n1"]);
    assert!(failed["n2"].ends_with(": timeout"), "{}", failed["n2"]);
    assert!(failed["n3"].contains("said nothing"), "{}", failed["n3"]);
}

#[test]
fn a_command_that_hangs_is_not_waited_for_longer_than_patience() {
    let dir = tempfile::tempdir().unwrap();
    let rpower = rpower(dir.path(), "sleep 1000").with_patience(Patience {
        limit: Duration::from_millis(300),
        pause: Duration::from_millis(1),
    });
    let start = Instant::now();
    let failed = rpower.off_and_wait(&names(&["n1"]));
    assert!(failed["n1"].contains("did not end"), "{}", failed["n1"]);
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn nodes_that_cannot_be_powered_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(
        &dir.path().join("rpower"),
        "echo \"n1: $2\"; echo 'n9: on'; echo 'Error: n2: no bmc defined' >&2; echo 'n3: \x1b]0;x\x07' >&2; exit 1",
    );
    let failed = Rpower::new(path, &tables(dir.path())).on(&names(&["n1", "n2", "n3", "n4"]));
    assert_eq!(failed.len(), 2);
    assert_eq!(failed["n2"], "no bmc defined");
    assert_eq!(failed["n4"], "rpower failed and said nothing of it");
}

#[test]
fn a_missing_command_fails_every_node() {
    let dir = tempfile::tempdir().unwrap();
    let rpower = Rpower::new("/no/such/rpower".into(), &tables(dir.path()));
    assert!(rpower.on(&names(&["n1"]))["n1"].contains("/no/such/rpower"));
    assert_eq!(rpower.off_and_wait(&names(&["n1"])).len(), 1);
}

#[test]
fn partitions_are_not_just_powered_on() {
    let dir = tempfile::tempdir().unwrap();
    let rpower = rpower(dir.path(), "true");
    tables(dir.path())
        .transaction(&["nodehm"], |change: &Transaction| {
            change.put("nodehm", &[("node", "n2")], &[("mgt", Some("hmc"))])
        })
        .unwrap();
    let failed = rpower.on(&names(&["n1", "n2"]));
    assert_eq!(calls(dir.path()), ["n1 on"]);
    assert!(failed["n2"].contains("rnetboot"));
}
