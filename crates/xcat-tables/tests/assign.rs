//! Edits: previews, nodes that are made, and who may write at once. What they leave behind is compared
//! with xCAT in the tests of xtab.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use support::{engines, fixture};
use xcat_tables::{Edit, Error, Kind, Subject, Word};

/// The assignments that a user types.
fn parsed(words: &[&str]) -> Edit {
    let assignment = |text: &&str| match Word::parse(text).unwrap() {
        Word::Assignment(one) => one,
        Word::Condition(_) => panic!("{text}: a condition"),
    };
    Edit::Assign(words.iter().map(assignment).collect())
}

fn rows_where(pairs: &[(&str, &str)]) -> Subject {
    let pairs = pairs.iter().map(|(a, b)| (a.to_string(), b.to_string()));
    Subject::Rows(pairs.collect())
}

#[test]
fn a_preview_says_what_an_edit_does_and_does_nothing() {
    let scratch = fixture("ops");
    let tables = &scratch.tables;
    let nodes = Subject::Nodes(vec!["n2".into(), "n4".into()]);
    let edit = parsed(&["nodehm.mgt=kvm", "groups+=new"]);
    let files = || {
        let mut files: Vec<_> = std::fs::read_dir(scratch.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let before = files();
    let seen = tables.preview(&nodes, &edit).unwrap();
    assert_eq!(files(), before);
    let short: Vec<(&str, &str, Kind, Vec<&str>)> = seen
        .iter()
        .map(|change| {
            let columns = change.columns.iter().map(|one| one.column.as_str());
            (
                change.table.as_str(),
                change.key[0].1.as_str(),
                change.kind,
                columns.collect(),
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            ("nodehm", "n2", Kind::Changed, vec!["mgt"]),
            ("nodehm", "n4", Kind::Added, vec!["mgt"]),
            ("nodelist", "n2", Kind::Changed, vec!["groups"]),
            ("nodelist", "n4", Kind::Changed, vec!["groups"]),
        ]
    );
    assert_eq!(tables.edit_and_tell(&nodes, &edit).unwrap(), seen);
    // The second time there is nothing left to do.
    assert_eq!(tables.preview(&nodes, &edit).unwrap(), []);
    let gone = tables
        .preview(
            &rows_where(&[("mgt", "kvm")]),
            &Edit::Remove(vec!["nodehm".into()]),
        )
        .unwrap();
    let gone: Vec<_> = gone
        .iter()
        .map(|one| (one.key[0].1.as_str(), one.kind))
        .collect();
    assert_eq!(
        gone,
        [
            ("n2", Kind::Removed),
            ("n3", Kind::Removed),
            ("n4", Kind::Removed)
        ]
    );
}

#[test]
fn a_preview_makes_no_table() {
    let scratch = support::empty();
    let edit = parsed(&["taskstate.command=x"]);
    let seen = scratch
        .tables
        .preview(&Subject::Nodes(vec!["n1".into()]), &edit);
    assert!(matches!(seen, Err(Error::MissingTable(name)) if name == "taskstate"));
    assert_eq!(scratch.dir.path().read_dir().unwrap().count(), 0);
}

#[test]
fn what_is_extended_is_read_when_nobody_else_can_write() {
    let scratch = fixture("ops");
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let tables = scratch.tables.clone();
            std::thread::spawn(move || {
                for round in 0..5 {
                    let word = format!("groups+=w{number}x{round}");
                    let edit = parsed(&[&word]);
                    tables
                        .edit(&Subject::Nodes(vec!["n1".into()]), &edit)
                        .unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    let groups = scratch
        .tables
        .attribute("nodelist", "groups", &["n1".into()])
        .unwrap();
    // all, g1 and what each of them added.
    assert_eq!(groups["n1"].split(',').count(), 2 + 20, "{groups:?}");
}

#[test]
fn nodes_are_made_once_and_none_hides_a_group() {
    for scratch in engines("ops") {
        let tables = &scratch.tables;
        let new = |names: &[&str]| Subject::New(names.iter().map(ToString::to_string).collect());
        let edit = parsed(&["groups=all,new", "nodehm.mgt=kvm"]);
        tables.edit(&new(&["n8", "n9"]), &edit).unwrap();
        let found = tables.attribute("nodehm", "mgt", &["n8".into(), "n9".into()]);
        assert_eq!(found.unwrap().len(), 2);
        let before = tables.dump("nodehm").unwrap();
        // n9 is there now, `new` and `dyn` are groups; the others are not made either.
        for name in ["n9", "new", "dyn"] {
            let refused = tables.edit(&new(&["n7", name]), &edit);
            assert!(matches!(refused, Err(Error::NotNew(who, _)) if who == name));
        }
        let row = rows_where(&[("node", "g1")]);
        let refused = tables.edit(&row, &parsed(&["nodehm.mgt=x", "nodelist.status=x"]));
        assert!(matches!(refused, Err(Error::NotNew(who, _)) if who == "g1"));
        assert_eq!(tables.dump("nodehm").unwrap(), before);
        tables.edit(&row, &parsed(&["nodehm.mgt=x"])).unwrap();
        let row = rows_where(&[("node", "n1")]);
        tables.edit(&row, &parsed(&["nodelist.status=x"])).unwrap();
        let names = tables.names().unwrap();
        assert!(!noderange::Names::is_node(&names, "n7"));
    }
}

#[test]
fn all_that_is_said_of_a_node_goes() {
    for scratch in engines("ops") {
        let tables = &scratch.tables;
        let kept = tables.kept_by_node().unwrap();
        assert_eq!(kept, ["nodehm", "nodelist", "postscripts", "switch"]);
        let gone = tables.edit_and_tell(&Subject::Nodes(vec!["n1".into()]), &Edit::Remove(kept));
        let gone = gone.unwrap();
        let gone: Vec<&str> = gone.iter().map(|change| change.table.as_str()).collect();
        assert_eq!(gone, ["nodelist", "postscripts", "switch"]);
    }
}

#[test]
fn a_row_number_that_is_none_finds_no_row_and_is_not_stored() {
    for scratch in engines("ops") {
        let tables = &scratch.tables;
        tables.create_missing().unwrap();
        tables
            .edit(
                &rows_where(&[("userid", "u")]),
                &parsed(&["auditlog.args=a"]),
            )
            .unwrap();
        for number in ["x", "", "1 or 1=1", "99999999999999999999"] {
            let row = rows_where(&[("recid", number)]);
            let refused = tables.edit(&row, &parsed(&["auditlog.args=b"]));
            let refused = refused.unwrap_err().to_string();
            assert_eq!(refused, "auditlog: recid: not a number", "{number}");
            let removed = tables.edit_and_tell(&row, &Edit::Remove(vec!["auditlog".into()]));
            assert_eq!(removed.unwrap(), [], "{number}");
        }
        tables
            .edit(
                &rows_where(&[("recid", "1")]),
                &parsed(&["auditlog.args=c"]),
            )
            .unwrap();
        let rows = tables.rows("auditlog").unwrap();
        assert_eq!((rows.len(), rows[0].get("args")), (1, Some("c")));
    }
}
