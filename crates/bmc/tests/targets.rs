//! Addresses and credentials as the tables have them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use bmc::{Error, Kind, Target, targets};
use xcat_tables::{Location, Tables, Transaction};

fn tables(dir: &Path) -> Tables {
    let tables = Tables::open(&Location::sqlite(dir)).unwrap();
    tables.create_missing().unwrap();
    tables
}

fn put(tables: &Tables, table: &str, key: &[(&str, &str)], values: &[(&str, &str)]) {
    let values: Vec<(&str, Option<&str>)> = values
        .iter()
        .map(|(name, value)| (*name, Some(*value)))
        .collect();
    tables
        .transaction(&[table], |change: &Transaction| {
            change.put(table, key, &values)
        })
        .unwrap();
}

fn node(tables: &Tables, node: &str, groups: &str, mgt: &str) {
    put(tables, "nodelist", &[("node", node)], &[("groups", groups)]);
    put(tables, "nodehm", &[("node", node)], &[("mgt", mgt)]);
}

fn passwd(tables: &Tables, key: &str, user: &str, password: &str) {
    put(
        tables,
        "passwd",
        &[("key", key), ("username", user)],
        &[("password", password)],
    );
}

fn one(tables: &Tables, node: &str) -> Result<Target, Error> {
    let mut found = targets(tables, &[node.to_string()]).unwrap();
    found.remove(node).unwrap()
}

#[test]
fn each_kind_has_its_table_its_key_and_its_port() {
    let dir = tempfile::tempdir().unwrap();
    let tables = tables(dir.path());
    for (name, mgt) in [("n1", "ipmi"), ("n2", "openbmc"), ("n3", "redfish")] {
        node(&tables, name, "all", mgt);
        passwd(
            &tables,
            mgt,
            &format!("{mgt}-user"),
            &format!("{mgt} 'pass\""),
        );
    }
    put(&tables, "ipmi", &[("node", "n1")], &[("bmc", "127.0.0.11")]);
    put(
        &tables,
        "openbmc",
        &[("node", "n2")],
        &[("bmc", "[fd00::2]:8443")],
    );
    put(
        &tables,
        "openbmc",
        &[("node", "n3")],
        &[("bmc", "127.0.0.13"), ("password", "own")],
    );
    let nodes = ["n1", "n2", "n3"].map(String::from);
    let found = targets(&tables, &nodes).unwrap();
    let get = |node: &str| found[node].as_ref().unwrap();
    for (node, kind, address, host, user, password) in [
        (
            "n1",
            Kind::Ipmi,
            "127.0.0.11:623",
            "127.0.0.11",
            "ipmi-user",
            "ipmi 'pass\"",
        ),
        (
            "n2",
            Kind::OpenBmc,
            "[fd00::2]:8443",
            "fd00::2",
            "openbmc-user",
            "openbmc 'pass\"",
        ),
        (
            "n3",
            Kind::Redfish,
            "127.0.0.13:443",
            "127.0.0.13",
            "redfish-user",
            "own",
        ),
    ] {
        let target = get(node);
        assert_eq!(target.kind, kind);
        assert_eq!(target.address, address.parse().unwrap());
        assert_eq!((target.host.as_str(), target.user.as_str()), (host, user));
        assert_eq!(target.password.reveal(), password);
        assert!(!format!("{target:?}").contains("pass\""));
    }
}

#[test]
fn power_comes_before_mgt_and_groups_and_patterns_are_evaluated() {
    let dir = tempfile::tempdir().unwrap();
    let tables = tables(dir.path());
    for name in ["n7", "n12"] {
        node(&tables, name, "rack,all", "kvm");
    }
    put(&tables, "nodehm", &[("node", "rack")], &[("power", "ipmi")]);
    put(
        &tables,
        "ipmi",
        &[("node", "rack")],
        &[
            ("bmc", r"|\D+(\d+)$|127.0.1.($1+100)|"),
            ("username", "admin"),
            ("password", "x"),
        ],
    );
    assert_eq!(
        one(&tables, "n7").unwrap().address,
        "127.0.1.107:623".parse().unwrap()
    );
    assert_eq!(
        one(&tables, "n12").unwrap().address,
        "127.0.1.112:623".parse().unwrap()
    );
}

#[test]
fn names_are_looked_up_in_the_hosts_table_first() {
    let dir = tempfile::tempdir().unwrap();
    let tables = tables(dir.path());
    passwd(&tables, "redfish", "root", "x");
    for name in ["n1", "n2", "bmc9", "n3"] {
        node(&tables, name, "all", "redfish");
    }
    put(
        &tables,
        "openbmc",
        &[("node", "n1")],
        &[("bmc", "n1-bmc:444")],
    );
    put(
        &tables,
        "hosts",
        &[("node", "n1")],
        &[
            ("ip", "127.0.9.1"),
            ("otherinterfaces", "-ib:127.0.9.3,-bmc:127.0.9.2"),
        ],
    );
    put(&tables, "openbmc", &[("node", "n2")], &[("bmc", "bmc9")]);
    put(
        &tables,
        "hosts",
        &[("node", "bmc9")],
        &[("ip", "127.0.9.9")],
    );
    put(
        &tables,
        "openbmc",
        &[("node", "n3")],
        &[("bmc", "localhost")],
    );
    let n1 = one(&tables, "n1").unwrap();
    assert_eq!(n1.address, "127.0.9.2:444".parse().unwrap());
    assert_eq!(n1.host, "n1-bmc");
    assert_eq!(
        one(&tables, "n2").unwrap().address,
        "127.0.9.9:443".parse().unwrap()
    );
    assert!(one(&tables, "n3").unwrap().address.ip().is_loopback());
}

#[test]
fn what_is_missing_is_that_nodes_error() {
    let dir = tempfile::tempdir().unwrap();
    let tables = tables(dir.path());
    put(
        &tables,
        "nodelist",
        &[("node", "bare")],
        &[("groups", "all")],
    );
    node(&tables, "kvm", "all", "kvm");
    for name in ["nobmc", "nouser", "odd", "unknown", "bad", "good"] {
        node(&tables, name, "all", "ipmi");
    }
    let bmc = |name: &str, bmc: &str| {
        put(
            &tables,
            "ipmi",
            &[("node", name)],
            &[("bmc", bmc), ("username", "u"), ("password", "p")],
        );
    };
    put(
        &tables,
        "ipmi",
        &[("node", "nouser")],
        &[("bmc", "127.0.0.1")],
    );
    bmc("odd", "-oProxyCommand=x");
    bmc("unknown", "no-such-host.invalid");
    bmc("bad", "|(|x|");
    bmc("good", "127.0.0.1");
    let names = [
        "bare", "kvm", "nobmc", "nouser", "odd", "unknown", "bad", "good", "nobody",
    ];
    let found = targets(&tables, &names.map(String::from)).unwrap();
    assert_eq!(found.len(), names.len());
    for (node, part) in [
        ("bare", "nodehm.mgt: is not set"),
        ("nobody", "nodehm.mgt: is not set"),
        ("kvm", "nodehm.mgt: kvm: no management controller"),
        ("nobmc", "ipmi.bmc: is not set"),
        (
            "nouser",
            "ipmi.username: is not set, nor has passwd one for key ipmi",
        ),
        ("odd", "ipmi.bmc: -oProxyCommand=x: is neither"),
        ("unknown", "no-such-host.invalid: no address found"),
        ("bad", "ipmi.bmc"),
    ] {
        let error = found[node].as_ref().unwrap_err().to_string();
        assert!(error.contains(part), "{node}: {error}");
    }
    assert!(found["good"].is_ok());
}
