//! `xtab doctor` as an administrator meets it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::{Tables, ended};

fn stored(tables: &Tables, table: &str, rows: &str) {
    std::fs::write(tables.path(&format!("{table}.csv")), rows).unwrap();
    let file = format!("{table}.csv");
    tables.run(&["restore", &file]).ok("");
}

#[test]
fn a_healthy_cluster_a_sick_one_and_none() {
    let tables = Tables::empty();
    stored(&tables, "nodelist", "#node,groups\nn1,all\nn2,all\n");
    stored(&tables, "nodehm", "#node,mgt\nall,hmc\n");
    stored(&tables, "mac", "#node,mac\nn1,a\nn2,b\n");
    let files = tables.files();
    let mut xtab = tables.xtab(&["doctor"]);
    let healthy = ended(
        xtab.env("PATH", "/nonexistent")
            .env("XCATROOT", "/nonexistent"),
    );
    assert_eq!(
        (healthy.code, healthy.err.as_str()),
        (Some(0), ""),
        "{healthy:?}"
    );
    assert!(healthy.out.starts_with("tables: SQLite:"), "{healthy:?}");
    assert!(
        healthy.out.contains("said by XCATCFG; 2 nodes"),
        "{healthy:?}"
    );
    assert!(healthy.out.contains("ports: port 3002: "), "{healthy:?}");
    assert!(!healthy.out.contains("WRONG"), "{healthy:?}");
    stored(&tables, "mac", "#node,mac\nn1,a\ngone,b\n");
    let mut xtab = tables.xtab(&["doctor"]);
    let sick = ended(
        xtab.env("PATH", "/nonexistent")
            .env("XCATROOT", "/nonexistent"),
    );
    assert_eq!((sick.code, sick.err.as_str()), (Some(1), ""));
    let wrong: Vec<&str> = sick
        .out
        .lines()
        .filter(|line| line.contains("WRONG"))
        .collect();
    assert_eq!(wrong.len(), 2, "{sick:?}");
    assert!(
        wrong[0].starts_with("nodes: n2: WRONG: no mac.mac"),
        "{sick:?}"
    );
    assert!(
        wrong.iter().all(|line| line.contains(": FIX: ")),
        "{sick:?}"
    );
    let mut xtab = tables.xtab(&["--json", "doctor"]);
    let json = ended(
        xtab.env("PATH", "/nonexistent")
            .env("XCATROOT", "/nonexistent"),
    );
    let lines: Vec<Value> = json
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        lines.iter().filter(|line| line["fix"].is_string()).count(),
        2
    );
    assert_eq!(tables.files(), files);
    let mut xtab = tables.xtab(&["doctor"]);
    xtab.env("XCATCFG", "SQLite:/nonexistent");
    ended(&mut xtab).fails(3, "/nonexistent: ");
}

#[test]
fn no_password_of_the_setting_is_shown() {
    let tables = Tables::empty();
    let mut xtab = tables.xtab(&["doctor"]);
    xtab.env("XCATCFG", "Pg:dbname=x;host=127.0.0.1;port=1|adm|secret");
    let ended = ended(&mut xtab);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(!format!("{ended:?}").contains("secret"), "{ended:?}");
}
