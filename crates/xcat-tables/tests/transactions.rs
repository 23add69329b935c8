//! Changes to several tables, and what reading may not do.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::os::unix::fs::PermissionsExt;

use support::{change, empty, fixture};
use xcat_tables::{Error, Location, Tables, table_names};

#[test]
fn reading_creates_nothing() {
    let scratch = empty();
    let tables = &scratch.tables;
    assert!(tables.rows("nodelist").unwrap().is_empty());
    assert!(
        tables
            .attribute("nodehm", "mgt", &["n1".into()])
            .unwrap()
            .is_empty()
    );
    assert_eq!(tables.site("master").unwrap(), None);
    assert_eq!(
        tables
            .dump("mac")
            .unwrap()
            .iter()
            .filter(|b| **b == b'\n')
            .count(),
        1
    );
    assert_eq!(scratch.dir.path().read_dir().unwrap().count(), 0);
}

#[test]
fn unknown_names_are_errors() {
    let scratch = fixture("ops");
    let tables = &scratch.tables;
    assert!(matches!(tables.rows("nosuch"), Err(Error::UnknownTable(name)) if name == "nosuch"));
    for name in ["", "../site", "a/b", "a b", "a\"b"] {
        assert!(
            matches!(tables.rows(name), Err(Error::TableName(_))),
            "{name}"
        );
    }
    let column = tables.attributes("nodehm", &["nosuch"], &["n1".into()]);
    assert!(matches!(column, Err(Error::UnknownColumn { column, .. }) if column == "nosuch"));
    assert!(matches!(
        tables.attributes("site", &["value"], &[]),
        Err(Error::NotByNode(_))
    ));
    let put = change(tables, &["nodehm"], |t| {
        t.put("nodehm", &[("node", "n1")], &[("nosuch", None)])
    });
    assert!(matches!(put, Err(Error::UnknownColumn { .. })));
}

#[test]
fn files_are_xcats() {
    let scratch = empty();
    assert_eq!(scratch.tables.create_missing().unwrap().len(), 73);
    assert_eq!(scratch.tables.create_missing().unwrap().len(), 0);
    for name in table_names() {
        let file = scratch.dir.path().join(format!("{name}.sqlite"));
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{name}"
        );
    }
    let left: Vec<_> = scratch.dir.path().read_dir().unwrap().collect();
    assert_eq!(left.len(), 73, "no journal is left");
}

#[test]
fn only_claims_are_made_on_demand() {
    let scratch = empty();
    let missing = change(&scratch.tables, &["nics"], |_| Ok(()));
    assert!(matches!(missing, Err(Error::MissingTable(name)) if name == "nics"));
    change(&scratch.tables, &["taskstate"], |t| {
        t.put(
            "taskstate",
            &[("node", "n1")],
            &[("command", Some("getadapter"))],
        )
    })
    .unwrap();
    assert_eq!(scratch.tables.rows("taskstate").unwrap().len(), 1);
    let names: Vec<_> = scratch
        .dir
        .path()
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["taskstate.sqlite"]);
}

#[test]
fn an_error_takes_everything_back() {
    let scratch = fixture("ops");
    let tables = &scratch.tables;
    let before = [tables.dump("nodehm").unwrap(), tables.dump("site").unwrap()];
    let result: Result<(), Error> = change(tables, &["site", "nodehm"], |t| {
        t.put("nodehm", &[("node", "n1")], &[("mgt", Some("kvm"))])?;
        t.delete("site", &[])?;
        assert!(t.rows("site")?.is_empty());
        Err(Error::NoPlace)
    });
    assert!(result.is_err());
    assert_eq!(
        before,
        [tables.dump("nodehm").unwrap(), tables.dump("site").unwrap()]
    );
}

#[test]
fn put_changes_every_matching_row_or_adds_one() {
    let scratch = fixture("ops");
    let tables = &scratch.tables;
    change(tables, &["switch", "nodehm"], |t| {
        t.put("switch", &[("node", "n1")], &[("vlan", Some("7"))])?;
        t.put("switch", &[("node", "n5")], &[("port", Some("7"))])?;
        assert_eq!(
            t.update("nodehm", &[("node", "nosuch")], &[("mgt", None)])?,
            0
        );
        assert_eq!(t.delete("nodehm", &[("node", "n2"), ("mgt", "hmc")])?, 1);
        Ok(())
    })
    .unwrap();
    let rows = tables.rows("switch").unwrap();
    assert_eq!(
        (rows[0].raw("switch"), rows[0].raw("vlan")),
        (Some("s1"), Some("7"))
    );
    // Spec section 6: a key that is not given becomes the empty string.
    assert_eq!(
        (
            rows[1].raw("switch"),
            rows[1].raw("port"),
            rows[1].raw("vlan")
        ),
        (Some(""), Some("7"), None)
    );
}

#[test]
fn columns_that_xcat_does_not_know_are_kept() {
    let scratch = fixture("ops");
    let dir = tempfile::tempdir().unwrap();
    let sql = "CREATE TABLE nodehm (oldcol TEXT, node VARCHAR(128), mgt TEXT, disable TEXT, PRIMARY KEY (node));
               INSERT INTO nodehm VALUES ('keep', 'n1', 'ipmi', NULL);";
    std::fs::write(dir.path().join("extra.sql"), sql.replace("nodehm", "extra")).unwrap();
    scratch.tables.load(dir.path()).unwrap();
    change(&scratch.tables, &["extra"], |t| {
        t.put("extra", &[("node", "n1")], &[("mgt", Some("kvm"))])
    })
    .unwrap();
    let rows = scratch.tables.rows("extra").unwrap();
    assert_eq!(
        (rows[0].raw("oldcol"), rows[0].get("mgt")),
        (Some("keep"), Some("kvm"))
    );
    assert_eq!(
        scratch
            .tables
            .attribute("extra", "mgt", &["n1".into()])
            .unwrap()["n1"],
        "kvm"
    );
}

#[test]
fn one_transaction_spans_every_table_of_xcats() {
    let scratch = empty();
    scratch.tables.create_missing().unwrap();
    let names: Vec<&str> = table_names().collect();
    change(&scratch.tables, &names, |t| {
        t.put("site", &[("key", "master")], &[("value", Some("1.2.3.4"))])?;
        t.put("zvm", &[("node", "n1")], &[("hcp", Some("h"))])
    })
    .unwrap();
    assert_eq!(
        scratch.tables.site("master").unwrap().as_deref(),
        Some("1.2.3.4")
    );
}

#[test]
fn a_held_table_is_named_and_nothing_is_changed() {
    let scratch = fixture("ops");
    let tables = &scratch.tables;
    let held = scratch.tables.clone();
    let (ready, wait) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        change(&held, &["site"], |_| {
            ready.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        })
        .unwrap();
    });
    wait.recv().unwrap();
    let started = std::time::Instant::now();
    let result = change(tables, &["nodehm", "site", "switch"], |t| {
        t.delete("nodehm", &[])
    });
    assert!(
        matches!(&result, Err(Error::Busy { table }) if table == "site"),
        "{result:?}"
    );
    let waited = started.elapsed().as_secs();
    assert!((10..15).contains(&waited), "{waited} s");
    // Readers are not kept out until something is committed.
    assert_eq!(tables.rows("site").unwrap().len(), 2);
    release.send(()).unwrap();
    holder.join().unwrap();
    assert_eq!(tables.rows("nodehm").unwrap().len(), 2);
    change(tables, &["site"], |t| t.delete("site", &[])).unwrap();
}

#[test]
fn a_transaction_that_meets_a_short_one_waits_for_it() {
    let scratch = fixture("ops");
    let tables = &scratch.tables;
    let threads: Vec<_> = (0..4)
        .map(|who| {
            let tables = tables.clone();
            std::thread::spawn(move || {
                let tables = &tables;
                for n in 0..5 {
                    let key = format!("k{who}.{n}");
                    change(tables, &["site", "switch"], |t| {
                        t.put("site", &[("key", &key)], &[("value", Some("v"))])?;
                        t.put("switch", &[("node", &key)], &[("port", Some("1"))])
                    })
                    .unwrap();
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(tables.rows("site").unwrap().len(), 22);
    assert_eq!(tables.rows("switch").unwrap().len(), 21);
}

#[test]
fn no_descriptor_stays_open() {
    let scratch = fixture("ops");
    scratch.tables.rows("nodehm").unwrap();
    change(&scratch.tables, &["site", "nodehm"], |t| t.now()).unwrap();
    let here = scratch.dir.path().canonicalize().unwrap();
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        if let Ok(target) = entry.unwrap().path().read_link() {
            assert!(!target.starts_with(&here), "{}", target.display());
        }
    }
}

#[test]
fn places_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(Tables::open(&Location::sqlite(&file)).is_err());
    assert!(Tables::open(&Location::sqlite(dir.path().join("none"))).is_err());
    // Not a database: an error with the table's name, not an empty table.
    std::fs::write(
        dir.path().join("site.sqlite"),
        "no database, but long enough to look at: ".repeat(40),
    )
    .unwrap();
    let tables = Tables::open(&Location::sqlite(dir.path())).unwrap();
    assert!(
        tables
            .rows("site")
            .unwrap_err()
            .to_string()
            .starts_with("site: ")
    );
    // A maker that was killed leaves an empty file.
    std::fs::write(dir.path().join("nodehm.sqlite"), "").unwrap();
    assert!(tables.rows("nodehm").unwrap().is_empty());
    assert!(matches!(
        change(&tables, &["nodehm"], |_| Ok(())),
        Err(Error::MissingTable(_))
    ));
}

#[test]
fn passwd_is_a_plain_table_whose_first_enabled_row_counts() {
    let scratch = empty();
    let rows =
        b"#key,username,password,disable\nipmi,old,a,1\nipmi,z,b,no\nipmi,a,c,\nx,y,d,\"\"\n";
    scratch
        .tables
        .restore("passwd", "passwd", rows, false)
        .unwrap();
    let of = |key: &str| -> Vec<String> {
        let rows = scratch.tables.rows("passwd").unwrap();
        let fit = rows.iter().filter(|row| row.get("key") == Some(key));
        fit.map(|row| row.get("password").unwrap().into()).collect()
    };
    assert_eq!(of("ipmi"), ["b", "c"]);
    // An empty text disables too.
    assert_eq!(of("x"), [""; 0]);
    assert_eq!(scratch.tables.all_rows("passwd").unwrap().len(), 4);
}
