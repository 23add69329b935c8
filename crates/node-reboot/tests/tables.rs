//! What the tables decide: the way to power nodes, and which nodes are in use.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use node_reboot::{Error, Power, running};
use support::{names, script};
use xcat_tables::{Location, Tables, Transaction};

fn tables(dir: &Path) -> Tables {
    let place = dir.join("tables");
    std::fs::create_dir_all(&place).unwrap();
    let tables = Tables::open(&Location::sqlite(place)).unwrap();
    tables.create_missing().unwrap();
    tables
}

fn put(tables: &Tables, table: &str, key: (&str, &str), value: (&str, &str)) {
    tables
        .transaction(&[table], |change: &Transaction| {
            change.put(table, &[key], &[(value.0, Some(value.1))])
        })
        .unwrap();
}

#[test]
fn only_nodes_that_run_a_system_are_named_with_their_status() {
    let dir = tempfile::tempdir().unwrap();
    let tables = tables(dir.path());
    for (node, status) in [
        ("n1", "booted"),
        ("n2", "powering-off"),
        ("n3", "alive"),
        ("n4", "shell"),
    ] {
        put(&tables, "nodelist", ("node", node), ("status", status));
    }
    let running = running(&tables, &names(&["n1", "n2", "n4", "n5"])).unwrap();
    assert_eq!(running.len(), 1);
    assert_eq!(running["n1"], "booted");
}

#[test]
fn a_sites_hook_comes_before_xcats_command() {
    const TEST: &str = "a_sites_hook_comes_before_xcats_command";
    if std::env::var_os("XCATROOT").is_none() {
        // Where xCAT is comes from the environment: a process of its own, with its own.
        let dir = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args([TEST, "--exact", "--nocapture"])
            .env("XCATROOT", dir.path())
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let root = std::path::PathBuf::from(std::env::var_os("XCATROOT").unwrap());
    let tables = tables(&root);
    let error = Power::find(&tables).unwrap_err();
    assert!(matches!(error, Error::NoPower { .. }));
    let said = error.to_string();
    assert!(
        said.contains("bootcmd") && said.contains("rpower"),
        "{said}"
    );

    put(&tables, "nodehm", ("node", "compute"), ("mgt", "redfish"));
    assert!(matches!(Power::find(&tables), Ok(Power::Controllers(_))));

    script(&root.join("bin/rpower"), "true");
    assert!(matches!(Power::find(&tables), Ok(Power::Rpower(_))));

    // One that is set but cannot run is not passed over.
    put(
        &tables,
        "site",
        ("key", "bootcmd"),
        ("value", "/no/such/command"),
    );
    let error = Power::find(&tables).unwrap_err().to_string();
    assert!(
        error.starts_with("site key bootcmd: /no/such/command: "),
        "{error}"
    );

    let hook = script(&root.join("hook"), "true");
    put(
        &tables,
        "site",
        ("key", "bootcmd"),
        ("value", &format!("{} x", hook.display())),
    );
    assert!(matches!(Power::find(&tables), Ok(Power::Hook(_))));
}
