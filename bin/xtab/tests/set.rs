//! `xtab set` as a user meets it: forms, preview, warning.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::Tables;

#[test]
fn a_dry_run_prints_old_and_new_and_stores_nothing() {
    let tables = Tables::loaded("ops");
    let before = tables.run(&["dump", "nodehm"]).out;
    let words = ["n[1-3]", "nodehm.mgt=kvm", "nodehm.cons=a\nb"];
    let dry = [&["set", "--dry-run"], &words[..]].concat();
    let shown = concat!(
        "nodehm: node=n1: row added\n",
        "nodehm: node=n1: mgt: NULL -> \"kvm\"\n",
        "nodehm: node=n1: cons: NULL -> \"a\\nb\"\n",
        "nodehm: node=n2: mgt: \"hmc\" -> \"kvm\"\n",
        "nodehm: node=n2: cons: NULL -> \"a\\nb\"\n",
        "nodehm: node=n3: cons: NULL -> \"a\\nb\"\n",
    );
    tables.run(&dry).ok(shown);
    tables.run(&dry).ok(shown);
    assert_eq!(tables.run(&["dump", "nodehm"]).out, before);
    tables
        .run(&["set", "--dry-run", "-d", "n2", "nodehm"])
        .ok(concat!(
            "nodehm: node=n2: row removed\n",
            "nodehm: node=n2: power: \"p\" -> NULL\n",
            "nodehm: node=n2: mgt: \"hmc\" -> NULL\n",
        ));
    let json = tables.run(&["--json", "set", "--dry-run", "n2", "nodehm.power="]);
    json.ok(concat!(
        r#"{"change":"changed","columns":{"power":{"new":"","old":"p"}},"row":{"node":"n2"},"table":"nodehm"}"#,
        "\n"
    ));
    tables.run(&[&["set"], &words[..]].concat()).ok("");
    tables.run(&dry).ok("");
    tables
        .run(&["set", "--dry-run", "n1", "nodehm.nosuch=x"])
        .fails(3, "nodehm.nosuch: no such column");
}

#[test]
fn rows_by_key_and_items() {
    let tables = Tables::loaded("ops");
    tables.run(&["set", "-k", "key=ntp", "site.value=a"]).ok("");
    tables
        .run(&["set", "-k", "key=ntp", "site.value+=a,b"])
        .ok("");
    let row = "key=ntp: value: \"a,b\" -> \"b\"\n";
    tables
        .run(&["set", "--dry-run", "-k", "key=ntp", "site.value^=a"])
        .ok(&format!("site: {row}"));
    tables.run(&["set", "-d", "-k", "key=ntp", "site"]).ok("");
    assert!(!tables.run(&["dump", "site"]).out.contains("ntp"));
    // Everything of n1's console comes from its group: taking it out of n1's row cannot hide it.
    tables
        .run(&["set", "n1", "nodehm.cons^=ipmi"])
        .fails(3, "nodehm.cons: n1: all of its value comes from a group");
    for args in [
        &["set", "-k", "key", "site.value=x"][..],
        &["set", "-k", "key=a", "mgt==x", "site.value=x"],
        &["set", "-k", "key=a", "-d", "site.value"],
        &["set", "n1", "mgt==x"],
        &["set", "-d", "n1", "nodehm.mgt"],
        &["set", "-d", "n1"],
        &["set", "n1", "groups+=a", "nodelist.groups+=b"],
    ] {
        assert_eq!(tables.run(args).code, Some(2), "{args:?}");
    }
}

#[test]
fn nodes_come_and_go() {
    let tables = Tables::loaded("ops");
    let new = ["set", "--new", "n[8-9]", "groups=all,new", "mgt=kvm"];
    tables.run(&[&new[..], &["--dry-run"]].concat()).ok(concat!(
        "nodehm: node=n8: row added\n",
        "nodehm: node=n8: mgt: NULL -> \"kvm\"\n",
        "nodehm: node=n9: row added\n",
        "nodehm: node=n9: mgt: NULL -> \"kvm\"\n",
        "nodelist: node=n8: row added\n",
        "nodelist: node=n8: groups: NULL -> \"all,new\"\n",
        "nodelist: node=n9: row added\n",
        "nodelist: node=n9: groups: NULL -> \"all,new\"\n",
    ));
    tables.run(&["nodes", "/n[89]"]).ok("");
    tables.run(&new).ok("");
    tables.run(&["nodes", "new"]).ok("n8\nn9\n");
    tables.run(&new).fails(3, "n8: is a node already");
    let group = ["set", "--new", "new", "groups=all"];
    tables
        .run(&group)
        .fails(3, "new: is a group, which a node of that name would hide");
    let input = tables.run_with(&["set", "--new", "-", "groups=all"], "x1\nx2\n");
    input.ok("");
    let out = ["set", "-d", "--all-tables", "new"];
    tables.run(&[&out[..], &["--dry-run"]].concat()).ok(concat!(
        "nodehm: node=n8: row removed\n",
        "nodehm: node=n8: mgt: \"kvm\" -> NULL\n",
        "nodehm: node=n9: row removed\n",
        "nodehm: node=n9: mgt: \"kvm\" -> NULL\n",
        "nodelist: node=n8: row removed\n",
        "nodelist: node=n8: groups: \"all,new\" -> NULL\n",
        "nodelist: node=n9: row removed\n",
        "nodelist: node=n9: groups: \"all,new\" -> NULL\n",
    ));
    tables.run(&out).ok("");
    tables
        .run(&["nodes", "/[nx]\\d"])
        .ok("n1\nn2\nn3\nn4\nx1\nx2\n");
    for args in [
        &["set", "--new", "n7", "mgt=kvm"][..],
        &["set", "--new", "n7", "groups="],
        &["set", "--new", "n7", "groups=NULL"],
        &["set", "--new", "n7", "groups=all", "mgt==x"],
        &["set", "--new", "n7"],
        &["set", "--new", "-d", "n7", "nodelist"],
        &["set", "--all-tables", "n1"],
        &["set", "-d", "--all-tables", "n1", "nodehm"],
        &["set", "-d", "--all-tables", "-k", "node=n1", "nodehm"],
    ] {
        assert_eq!(tables.run(args).code, Some(2), "{args:?}");
    }
    let many = ["set", "--new", "--max-nodes", "2", "y[1-3]", "groups=all"];
    assert_eq!(tables.run(&many).code, Some(2));
    tables.run(&["nodes", "/y.*"]).ok("");
}

#[test]
fn the_word_null_and_no_value() {
    let tables = Tables::loaded("ops");
    tables
        .run(&["set", "n2", "nodehm.cons=@NULL", "nodehm.power=NULL"])
        .ok("");
    let row = tables.run(&["dump", "nodehm", "-w", "node==n2"]).out;
    assert!(row.contains("\n\"n2\",,\"hmc\",\"NULL\","), "{row}");
}

#[test]
fn who_listens_is_named_and_the_change_is_made() {
    let tables = Tables::loaded("ops");
    tables.run(&["init"]).ok("");
    let rows = "#filename,tables,tableops,comments,disable\n\"mon.pm\",\"site, nodehm\",\"a,u\",,\n\
                \"off.pm\",\"nodehm\",\"a\",,\"1\"\n";
    std::fs::write(tables.path("notification.csv"), rows).unwrap();
    tables.run(&["restore", "notification.csv"]).ok("");
    let warning = "xtab: nodehm: mon.pm: is not told of this change: \
                   only xCAT's own commands notify it\n";
    for args in [
        &["set", "--dry-run", "n1", "nodehm.mgt=kvm"][..],
        &["set", "n1", "nodehm.mgt=kvm", "groups+=x"],
    ] {
        let ended = tables.run(args);
        assert_eq!(
            (ended.code, ended.err.as_str()),
            (Some(0), warning),
            "{args:?}"
        );
    }
    tables.run(&["get", "n1", "mgt"]).ok("n1: kvm\n");
    // Nothing changes, nobody has to be told.
    tables.run(&["set", "n1", "nodehm.mgt=kvm"]).ok("");
    tables.run(&["set", "n1", "vm.host=x"]).ok("");
    std::fs::write(tables.path("site.csv"), "#key,value\na,b\n").unwrap();
    let ended = tables.run(&["restore", "site.csv"]);
    assert!(ended.err.starts_with("xtab: site: mon.pm: "), "{ended:?}");
}

#[test]
fn restore_adds_and_dump_filters() {
    let tables = Tables::loaded("ops");
    let text = "#node,cons\n\"n9\",\"z\"\n";
    std::fs::write(tables.path("nodehm.csv"), text).unwrap();
    tables.run(&["restore", "-a", "nodehm.csv"]).ok("");
    let dump = |args: &[&str]| {
        let ended = tables.run(&[&["dump", "nodehm"], args].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let nodes = ended
            .out
            .lines()
            .skip(1)
            .filter_map(|line| line.split(',').next());
        nodes.map(String::from).collect::<Vec<_>>().join(" ")
    };
    // The disabled n3 is only seen without a filter.
    assert_eq!(dump(&[]), "\"g1\" \"n2\" \"n3\" \"n9\"");
    assert_eq!(dump(&["-w", "node>a", "-w", "cons=~/%P%/"]), "\"g1\"");
    assert_eq!(dump(&["-w", "mgt!=hmc"]), "\"g1\"");
    // tabdump's words and its exit code.
    tables
        .run(&["dump", "nodehm", "-w", "mgt=ipmi"])
        .fails(1, "Unsupported operator:mgt=ipmi on -w flag input\n");
    tables
        .run(&["dump", "nodehm", "-w", "nosuch==1"])
        .fails(1, "No column \"nosuch\" in table \"nodehm\"\n");
    tables
        .run(&["dump", "nodehm", "-n", "1"])
        .fails(2, "-n: nodehm: its rows have no numbers");
    std::fs::write(tables.path("auditlog.csv"), "#userid\na\nb\n").unwrap();
    tables.run(&["restore", "auditlog.csv"]).ok("");
    let last = tables.run(&["dump", "auditlog", "-n", "1"]).out;
    assert_eq!(
        (last.lines().count(), last.contains("\"b\"")),
        (2, true),
        "{last}"
    );
}
