//! Values set for nodes: what xCAT's nodech leaves behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Map, Value};
use support::{Engine, Scratch, cases, fixture, fixture_on};
use xcat_tables::{Edit, Error, Kind, NodeCondition, Subject, Tables, Word};

/// A table as the vectors have it: NULL columns are left out. In no order: xCAT's own differs by
/// engine.
fn rows(tables: &Tables, table: &str) -> Value {
    let rows = tables.all_rows(table).unwrap();
    let cells = rows.iter().map(|row| {
        let cells = row
            .iter()
            .filter_map(|(column, value)| Some((column.to_string(), Value::from(value?))));
        cells.collect::<Map<String, Value>>()
    });
    sorted(cells.map(Value::from).collect::<Vec<_>>().into())
}

fn sorted(mut rows: Value) -> Value {
    if let Some(rows) = rows.as_array_mut() {
        rows.sort_by_key(ToString::to_string);
    }
    rows
}

/// The assignments and conditions among nodech's arguments.
fn parsed(arguments: &[&str]) -> Option<(Edit, Vec<NodeCondition>)> {
    let (mut list, mut conditions) = (Vec::new(), Vec::new());
    for text in arguments {
        match Word::parse(text)? {
            Word::Assignment(one) => list.push(one),
            Word::Condition(one) => conditions.push(one),
        }
    }
    Some((Edit::Assign(list), conditions))
}

#[test]
fn nodech_leaves_the_same_rows() {
    for engine in [Engine::Sqlite, Engine::Pg] {
        let Some(model) = fixture_on(engine, "ops") else {
            return;
        };
        leaves_the_same_rows(&model);
    }
}

fn leaves_the_same_rows(model: &Scratch) {
    let mut results = Vec::new();
    for case in cases("writes.jsonl") {
        let words: Vec<&str> = case["cmd"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        let ["nodech", range, arguments @ ..] = &words[..] else {
            continue;
        };
        let Some((edit, conditions)) = parsed(arguments) else {
            continue;
        };
        if range.starts_with('-') {
            continue;
        }
        let id = case["id"].as_str().unwrap().to_string();
        let scratch = fixture_on(model.engine, "ops").unwrap();
        let result = scratch
            .tables
            .select(range, &mut std::io::empty(), false, &mut |_| ())
            .and_then(|nodes| scratch.tables.fulfilling(nodes, &conditions))
            .and_then(|nodes| scratch.tables.edit(&Subject::Nodes(nodes), &edit));
        let differs = ["nodehm", "nodelist", "site", "switch", "postscripts"]
            .into_iter()
            .find(|table| {
                let wanted = case["changed"].get(table).cloned().map(sorted);
                rows(&scratch.tables, table) != wanted.unwrap_or_else(|| rows(&model.tables, table))
            });
        // nodech goes on after a name that is no node, or says so and ends well; here it is an error.
        let changes = case["changed"]
            .as_object()
            .is_some_and(|changed| !changed.is_empty());
        let result = match (differs, result) {
            (Some(table), _) => Err(format!(
                "{words:?}: {table} is {}",
                rows(&scratch.tables, table)
            )),
            (None, Err(error)) if changes => Err(error.to_string()),
            (None, _) => Ok(()),
        };
        results.push((id, result));
    }
    assert!(results.len() > 20, "{}", results.len());
    results.retain(|(_, result)| result.is_err());
    assert!(results.is_empty(), "{results:?}");
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
    let (edit, _) = parsed(&["nodehm.mgt=kvm", "groups+=new"]).unwrap();
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
    let (edit, _) = parsed(&["taskstate.command=x"]).unwrap();
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
                    let (edit, _) = parsed(&[&word]).unwrap();
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
