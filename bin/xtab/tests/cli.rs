//! xtab as a user or a script meets it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};
use support::{Ended, Tables, ended, fixture};

fn object(ended: &Ended) -> Value {
    assert_eq!(ended.out.lines().count(), 1, "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

#[test]
fn names_without_tables_are_taken_as_they_stand() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_xtab"))
        .args(["nodes", "--no-verify", "n[1-3],-n2,all"])
        .env_clear()
        .env("XCATCFG", "SQLite:/nonexistent")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"all\nn1\nn3\n");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
}

#[test]
fn usage() {
    let tables = Tables::empty();
    tables.run(&["-v"]).ok(&format!(
        "xtab (xcat-nodetools) {}\n",
        env!("CARGO_PKG_VERSION")
    ));
    let help = tables.run(&["-h"]);
    assert_eq!(help.code, Some(0));
    for word in [
        "init", "load", "dump", "restore", "get", "set", "nodes", "--json",
    ] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
    for args in [
        &[][..],
        &["nosuch"],
        &["get", "n1"],
        &["set", "n1"],
        &["nodes"],
        &["dump"],
        &["get", "n1", "nocolumn"],
        &["set", "n1", "nodehm.mgt"],
        &["set", "n1", "plain=x"],
        &["nodes", "n1", "extra"],
        &["--nosuch"],
    ] {
        let ended = tables.run(args);
        assert_eq!(
            (ended.code, ended.out.as_str()),
            (Some(2), ""),
            "{args:?} {ended:?}"
        );
        assert!(ended.err.starts_with("xtab: "), "{ended:?}");
        assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    }
    assert_eq!(tables.files(), Vec::<String>::new());
}

#[test]
fn init_makes_what_is_missing_and_reading_nothing() {
    let tables = Tables::empty();
    tables
        .run(&["nodes", "all"])
        .fails(1, "Invalid nodes and/or groups in noderange: all");
    assert_eq!(tables.run(&["dump", "mac"]).code, Some(0));
    tables.run(&["get", "n1", "nodehm.mgt"]).fails(1, "Invalid");
    tables
        .run(&["set", "n1", "nodehm.mgt=x"])
        .fails(3, "Invalid nodes and/or groups in noderange: n1");
    assert_eq!(tables.files(), Vec::<String>::new());
    tables.run(&["init"]).ok("");
    assert_eq!(tables.files().len(), 73);
    for name in tables.files() {
        let mode = tables
            .path("tables")
            .join(&name)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    tables.run(&["init"]).ok("");
}

#[test]
fn nodes_as_lines_and_as_one_object() {
    let tables = Tables::loaded("ops");
    tables.run(&["nodes", "all,-n3"]).ok("n1\nn2\nn4\n");
    tables.run(&["nodes", "-n3,all"]).ok("n1\nn2\nn4\n");
    tables.run(&["nodes", ""]).ok("");
    let found = object(&tables.run(&["nodes", "--json", "n[1-3]"]));
    assert_eq!(
        found,
        json!({"nodes": ["n1", "n2", "n3"], "missed": [], "warnings": [], "error": null})
    );
    let missed = tables.run(&["--json", "nodes", "x2,n1,x1,x2"]);
    assert_eq!(
        object(&missed),
        json!({"nodes": ["n1"], "missed": ["x2", "x1", "x2"], "warnings": [], "error": null})
    );
    assert_eq!(missed.code, Some(1));
    assert_eq!(
        missed.err,
        "xtab: Invalid nodes and/or groups in noderange: x2,x1,x2\n"
    );
    let wrong = tables.run(&["nodes", "--json", "(n1"]);
    assert_eq!(
        object(&wrong),
        json!({"nodes": [], "missed": [], "warnings": [], "error": "Unbalanced parentheses in noderange"})
    );
    assert_eq!(wrong.code, Some(3));
    tables
        .run(&["nodes", "n[1-99999999]"])
        .fails(3, "noderange: more than 1000000 names");
    tables
        .run(&["nodes", "all,-nosuch.mgt==x"])
        .fails(3, "noderange: nosuch.mgt: no such attribute");
}

#[test]
fn what_a_range_means_by_accident_is_said_or_refused() {
    let tables = Tables::loaded("ops");
    let warning = "n3-n1: names no node: it goes down";
    let warned = tables.run(&["nodes", "n3-n1,n2"]);
    assert_eq!(
        (warned.code, &*warned.out, &*warned.err),
        (Some(0), "n2\n", &*format!("xtab: {warning}\n"))
    );
    let found = tables.run(&["nodes", "--json", "n3-n1,n2"]);
    assert_eq!(
        object(&found),
        json!({"nodes": ["n2"], "missed": [], "warnings": [warning], "error": null})
    );
    let refusal = format!("noderange: {warning} (strict)");
    for arguments in [
        &["nodes", "--strict", "n3-n1,n2"][..],
        &["get", "--strict", "n3-n1,n2", "mgt"],
        &["set", "n3-n1,n2", "mgt=hmc", "--strict"],
    ] {
        tables.run(arguments).fails(3, &refusal);
    }
    tables
        .run(&["nodes", "--strict", "n1-n3"])
        .ok("n1\nn2\nn3\n");
    let set = tables.run(&["set", "n3-n1,n2", "mgt=hmc"]);
    assert_eq!(
        (set.code, &*set.err),
        (Some(0), &*format!("xtab: {warning}\n"))
    );
    tables.run(&["get", "n2", "mgt"]).ok("n2: hmc\n");
}

#[test]
fn more_nodes_than_meant_are_refused() {
    let tables = Tables::loaded("ops");
    tables
        .run(&["set", "all", "mgt=hmc", "--max-nodes", "3"])
        .fails(2, "4 nodes: are more than --max-nodes 3");
    tables
        .run(&["set", "all", "mgt=hmc", "--max-nodes", "4"])
        .ok("");
}

#[test]
fn standard_input_is_read_for_a_dash_only() {
    let tables = Tables::loaded("ops");
    tables
        .run_with(&["nodes", "-"], "n2\n\n  n1 \ng2\n")
        .ok("n1\nn2\nn3\n");
    tables.run_with(&["nodes", "n4"], "").ok("n4\n");
    std::fs::write(tables.path("names"), "n1: failed\n# n2\nn3\n").unwrap();
    tables.run(&["nodes", "^names"]).ok("n1\nn3\n");
    tables
        .run(&["nodes", "^nosuch"])
        .fails(3, "noderange: nosuch: ");
}

#[test]
fn get_prints_what_nodes_have() {
    let tables = Tables::loaded("ops");
    tables
        .run(&["get", "all", "nodehm.mgt"])
        .ok("n1: ipmi\nn2: hmc\nn3: \nn4: \n");
    tables
        .run(&["get", "n1-n2", "mgt", "nodehm.power"])
        .ok("n1: nodehm.mgt: ipmi\nn1: nodehm.power: \nn2: nodehm.mgt: hmc\nn2: nodehm.power: p\n");
    let found = tables.run(&["get", "n1,n3", "--json", "nodehm.mgt", "groups"]);
    found.ok("{\"node\":\"n1\",\"nodehm.mgt\":\"ipmi\",\"nodelist.groups\":\"all,g1\"}\n{\"node\":\"n3\",\"nodehm.mgt\":null,\"nodelist.groups\":\"all,g2\"}\n");
    tables
        .run(&["get", "n1", "nodehm.nosuch"])
        .fails(3, "nodehm.nosuch: no such column");
    tables
        .run(&["get", "n1", "nosuch.mgt"])
        .fails(3, "nosuch: no such table");
    tables
        .run(&["get", "n1", "site.value"])
        .fails(3, "site: not a table of nodes");
    let some = tables.run(&["get", "n1,x", "nodehm.mgt"]);
    assert_eq!((some.code, some.out.as_str()), (Some(1), "n1: ipmi\n"));
}

#[test]
fn a_value_that_cannot_be_computed_is_that_nodes_failure() {
    let tables = Tables::loaded("ops");
    tables
        .run(&["set", "n1", "nodehm.mgt=|n(\\d+)|(reverse($1))|"])
        .ok("");
    tables
        .run(&["set", "n2", "nodehm.mgt=|n(\\d+)|m($1+10)|"])
        .ok("");
    let found = tables.run(&["get", "n1,n2", "nodehm.mgt"]);
    assert_eq!(
        (found.code, found.out.as_str()),
        (Some(1), "n1: \nn2: m12\n")
    );
    assert!(
        found.err.starts_with("xtab: n1: nodehm.mgt: expression "),
        "{}",
        found.err
    );
    // A selection by it cannot be right either way.
    tables
        .run(&["nodes", "all,-mgt==x"])
        .fails(3, "nodehm.mgt: n1: ");
}

#[test]
fn set_stores_in_the_nodes_own_rows() {
    let tables = Tables::loaded("ops");
    tables.run(&["init"]).ok("");
    tables
        .run(&[
            "set",
            "n[1-2]",
            "nodehm.cons=x=y",
            "nics.nicips=eth0!10.0.0.1",
            "nodehm.power=on",
        ])
        .ok("");
    tables
        .run(&["get", "n1,n2,n3", "nodehm.cons", "nics.nicips"])
        .ok(concat!(
            "n1: nodehm.cons: x=y\nn1: nics.nicips: eth0!10.0.0.1\n",
            "n2: nodehm.cons: x=y\nn2: nics.nicips: eth0!10.0.0.1\n",
            "n3: nodehm.cons: \nn3: nics.nicips: \n"
        ));
    // n1 has mgt from its group: nothing hides that, as nodech does it; NULL lets it through again.
    tables.run(&["set", "n1", "nodehm.mgt="]).ok("");
    tables.run(&["get", "n1", "nodehm.mgt"]).ok("n1: \n");
    tables.run(&["set", "n1", "nodehm.mgt=NULL"]).ok("");
    tables.run(&["get", "n1", "nodehm.mgt"]).ok("n1: ipmi\n");
    // A node without a row gets none for nothing.
    tables.run(&["set", "n4", "vm.host="]).ok("");
    assert_eq!(tables.run(&["dump", "vm"]).out.lines().count(), 1);
}

#[test]
fn a_set_that_fails_changes_nothing() {
    let tables = Tables::loaded("ops");
    let before = tables.run(&["dump", "nodehm"]).out;
    tables
        .run(&["set", "n1", "nodehm.cons=x", "nodehm.nosuch=y"])
        .fails(3, "nodehm.nosuch: no such column");
    tables
        .run(&["set", "n1", "nodehm.cons=x", "vm.host=y"])
        .fails(3, "vm: the table does not exist (xtab init makes it)");
    tables
        .run(&["set", "n1,nosuch", "nodehm.cons=x"])
        .fails(3, "Invalid nodes and/or groups in noderange: nosuch");
    tables
        .run(&["set", "n1", "nodehm.node=x"])
        .fails(3, "nodehm: the node's name cannot be set");
    assert_eq!(tables.run(&["dump", "nodehm"]).out, before);
}

#[test]
fn dump_and_restore() {
    let tables = Tables::loaded("ops");
    let dump = tables.run(&["dump", "nodehm"]).out;
    assert!(dump.starts_with("#node,power,mgt,"), "{dump}");
    let file = tables.path("nodehm.backup.csv");
    std::fs::write(&file, &dump).unwrap();
    tables.run(&["set", "all", "nodehm.mgt=changed"]).ok("");
    tables.run(&["restore", file.to_str().unwrap()]).ok("");
    tables.run(&["dump", "nodehm"]).ok(&dump);
    std::fs::write(&file, "#node,mgt\n\"n1\",\"a\"b\"\n").unwrap();
    let name = file.to_str().unwrap();
    tables.run(&["restore", name]).fails(
        3,
        &format!("{name}: CSV unescaped \" in record on line 0, character 5: "),
    );
    tables.run(&["dump", "nodehm"]).ok(&dump);
    tables
        .run(&["restore", "nosuch.csv"])
        .fails(3, "nosuch.csv: ");
    std::fs::write(&file, "#node,mgt\n\"n1\",\"x\"\n").unwrap();
    tables.run(&["restore", name]).ok("");
    tables.run(&["dump", "--json", "passwd"]);
    let row = object(&tables.run(&["dump", "--json", "nodehm"]));
    assert_eq!(
        (&row["node"], &row["mgt"], &row["cons"]),
        (&json!("n1"), &json!("x"), &Value::Null)
    );
    tables
        .run(&["dump", "nosuch"])
        .fails(3, "nosuch: no such table");
    tables
        .run(&["dump", "../site"])
        .fails(3, "../site: not a table's name");
}

#[test]
fn every_fixture_loads() {
    for name in ["attrs", "basic", "empty", "hpc", "ops"] {
        let tables = Tables::loaded(name);
        tables
            .run(&["load", fixture(name).to_str().unwrap()])
            .ok("");
    }
    let tables = Tables::empty();
    tables
        .run(&["load", tables.path("tables").to_str().unwrap()])
        .fails(3, "");
    tables
        .run(&["load", "/nonexistent"])
        .fails(3, "/nonexistent: ");
}

#[test]
fn a_fifo_is_not_waited_for() {
    let tables = Tables::loaded("ops");
    let fifo = tables.path("site.csv");
    let made = tables.command("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let name = fifo.to_str().unwrap();
    let message = format!("{name}: not a regular file");
    tables.run(&["restore", name]).fails(3, &message);
    tables
        .run(&["load", tables.dir.path().to_str().unwrap()])
        .fails(3, &message);
    std::fs::remove_file(&fifo).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &fifo).unwrap();
    tables.run(&["restore", name]).fails(3, &message);
}

#[test]
fn values_with_their_column_and_group() {
    let tables = Tables::loaded("ops");
    let get = |words: &[&str]| tables.run(&[&["get"], words].concat());
    get(&["-H", "n1", "mgt"]).ok("n1: nodehm.mgt: ipmi\n");
    get(&["-b", "n[1-2]", "mgt"]).ok("n1: ipmi (inherited from group g1)\nn2: hmc\n");
    get(&["--json", "-b", "n1", "mgt", "groups"]).ok(concat!(
        r#"{"node":"n1","nodehm.mgt":"ipmi","nodelist.groups":"all,g1","inherited":{"nodehm.mgt":"g1"}}"#,
        "\n"
    ));
    let all = get(&["n1", "switch"]).out;
    assert!(
        all.starts_with("n1: switch.node: n1\nn1: switch.switch: s1\n"),
        "{all}"
    );
    get(&["n1", "nosuch"]).fails(2, "nosuch: not of the form table.column, and no table");
    // Strictly, nothing is printed of a range that is not all nodes.
    get(&["--strict", "n1,nosuch", "mgt"]).fails(3, "Invalid nodes and/or groups");
    let answer = tables.run(&["--json", "nodes", "--strict", "n1,nosuch"]);
    assert_eq!(answer.code, Some(3), "{answer:?}");
    assert!(answer.out.contains(r#""nodes":[]"#), "{answer:?}");
}

#[test]
fn where_the_tables_are() {
    let tables = Tables::loaded("ops");
    let run = |setting: Option<&str>| {
        let mut command = tables.xtab(&["nodes", "n1"]);
        match setting {
            Some(setting) => command.env("XCATCFG", setting),
            None => command.env_remove("XCATCFG"),
        };
        ended(&mut command)
    };
    let dir = tables.path("tables").display().to_string();
    run(Some(&dir)).ok("n1\n");
    run(Some("SQLite:/nonexistent")).fails(3, "/nonexistent: ");
    run(Some("Pg:dbname=x;host=/nonexistent|adm|secret")).fails(
        3,
        "dbname=x;host=/nonexistent;port=5432: error connecting to server: No such file",
    );
    run(None).fails(3, "tables: there are none");
    // A cfgloc that exists decides, whatever else there is.
    let etc = tables.path("etc/xcat");
    std::fs::create_dir_all(&etc).unwrap();
    run(None).fails(1, "Invalid");
    std::fs::write(etc.join("cfgloc"), format!("SQLite:{dir}\nPg:x|y|secret\n")).unwrap();
    run(None).ok("n1\n");
    for (text, message) in [
        ("", "its first line is empty"),
        ("mysql:x|y|secret", "the engine mysql"),
        ("nonsense:secret", "no setting"),
    ] {
        std::fs::write(etc.join("cfgloc"), text).unwrap();
        let ended = run(None);
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(
            ended.err.contains(message) && !ended.err.contains("secret"),
            "{ended:?}"
        );
    }
    std::fs::remove_file(etc.join("cfgloc")).unwrap();
    std::os::unix::fs::symlink("/nonexistent", etc.join("cfgloc")).unwrap();
    assert!(run(None).err.contains("cfgloc: "));
}

#[test]
fn a_reader_that_leaves_is_a_quiet_end() {
    let tables = Tables::loaded("basic");
    let mut child = tables
        .xtab(&["nodes", "all"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended: Ended = child.wait_with_output().unwrap().into();
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn names_from_the_tables_cannot_reach_a_terminal() {
    let tables = Tables::loaded("ops");
    std::fs::write(
        tables.path("nodelist.csv"),
        "#node,groups\n\"n\u{1b}[2J\",\"all\"\n",
    )
    .unwrap();
    tables.run(&["restore", "nodelist.csv"]).ok("");
    tables.run(&["nodes", "all"]).ok("n\\u{1b}[2J\n");
    tables
        .run(&["get", "all", "groups"])
        .ok("n\\u{1b}[2J: all\n");
}
