//! `xtab set` against what chtab, tabch and nodech left behind (vectors/writes.jsonl).
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../crates/xcat-tables/tests/support/judge.rs"]
mod judge;
mod support;

use std::collections::BTreeMap;

use postgres_server::Server;
use serde_json::{Map, Value};
use support::{Ended, Tables, fixture};

/// The same task for xtab; none if it has no such form (writes-unmet.txt says which and why).
fn translated(words: &[&str]) -> Option<Vec<String>> {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    match words {
        ["chtab" | "tabch", "-d", key, tables @ ..] => {
            Some([owned(&["set", "-d", "-k", key]), owned(tables)].concat())
        }
        ["chtab" | "tabch", key, values @ ..] if !values.is_empty() => {
            Some([owned(&["set", "-k", key]), owned(values)].concat())
        }
        ["nodech", "-d", range, tables @ ..] => {
            Some([owned(&["set", "-d", range]), owned(tables)].concat())
        }
        ["nodech", range, values @ ..] => Some([owned(&["set", range]), owned(values)].concat()),
        _ => None,
    }
}

/// All rows as the vectors have them: NULL columns are left out.
fn rows(tables: &Tables, table: &str) -> Value {
    let ended = tables.run(&["--json", "dump", table]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let row = |line: &str| -> Value {
        let row: Map<String, Value> = serde_json::from_str(line).unwrap();
        let cells = row.into_iter().filter(|(_, value)| !value.is_null());
        cells.collect::<Map<_, _>>().into()
    };
    sorted(ended.out.lines().map(row).collect::<Vec<_>>().into())
}

/// In no order: xCAT's own differs by engine.
fn sorted(mut rows: Value) -> Value {
    if let Some(rows) = rows.as_array_mut() {
        rows.sort_by_key(ToString::to_string);
    }
    rows
}

const TABLES: [&str; 7] = [
    "nodegroup",
    "nodehm",
    "nodelist",
    "passwd",
    "postscripts",
    "site",
    "switch",
];

/// A database with the fixture in it, to make others of.
struct Model {
    server: &'static Server,
    database: String,
    sums: Vec<String>,
}

impl Model {
    fn new() -> Option<Model> {
        let server = postgres_server::shared()?;
        let database = server.database();
        let mut tables = Tables::empty();
        tables.setting = server.setting(&database);
        let fixture = fixture("ops");
        tables.run(&["load", fixture.to_str().unwrap()]).ok("");
        let sums = sums(server, &database);
        Some(Model {
            server,
            database,
            sums,
        })
    }
}

/// One line per table; they differ if the tables do.
fn sums(server: &Server, database: &str) -> Vec<String> {
    let sum = |table| {
        format!(
            "SELECT '{table}', md5(string_agg(CAST(t AS text), ',' ORDER BY CAST(t AS text))) FROM {table} AS t;"
        )
    };
    let found = server.sql(database, &TABLES.map(sum).concat());
    found.lines().map(String::from).collect()
}

fn on_files(case: &Value, words: &[&str], untouched: &BTreeMap<&str, Value>) -> Result<(), String> {
    let tables = Tables::loaded("ops");
    let ended = tables.run(words);
    for table in TABLES {
        let wanted = case["changed"].get(table).cloned().map(sorted);
        let (found, wanted) = (rows(&tables, table), wanted.as_ref());
        let wanted = wanted.unwrap_or(&untouched[table]);
        if found != *wanted {
            return Err(format!("{words:?}: {table}: {found} for {wanted}"));
        }
    }
    said(case, words, &ended)
}

fn on_postgres(case: &Value, words: &[&str], model: &Model) -> Result<(), String> {
    let database = model.server.copy(&model.database);
    let mut tables = Tables::empty();
    tables.setting = model.server.setting(&database);
    let ended = tables.run(words);
    let sums = sums(model.server, &database);
    for (at, table) in TABLES.into_iter().enumerate() {
        match case["changed"].get(table).cloned().map(sorted) {
            None if sums[at] == model.sums[at] => {}
            Some(wanted) if rows(&tables, table) == wanted => {}
            wanted => {
                let found = rows(&tables, table);
                return Err(format!("{words:?}: {table}: {found} for {wanted:?}"));
            }
        }
    }
    said(case, words, &ended)
}

fn said(case: &Value, words: &[&str], ended: &Ended) -> Result<(), String> {
    // nodech's bypass mode ends well whatever the range; xCAT's daemon refuses, and so does xtab.
    let missed = case["stdout"]
        .as_str()
        .unwrap()
        .starts_with("Invalid nodes");
    let good = case["rc"] == 0 && !missed;
    match ended.code {
        Some(0) if good => Ok(()),
        Some(2 | 3) if !good => Ok(()),
        _ => Err(format!("{words:?}: {ended:?} for {case}")),
    }
}

#[test]
fn what_is_left_is_what_chtab_and_nodech_leave() {
    let cases = std::fs::read_to_string(fixture("ops").join("../../writes.jsonl")).unwrap();
    let tables = Tables::loaded("ops");
    let untouched = TABLES.map(|table| (table, rows(&tables, table))).into();
    let model = Model::new();
    let (mut files, mut postgres) = (Vec::new(), Vec::new());
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let words: Vec<&str> = case["cmd"]
            .as_array()
            .unwrap()
            .iter()
            .map(|word| word.as_str().unwrap())
            .collect();
        // chtab's only case without a key.
        if words == ["chtab", "nodehm.mgt=allrows"] {
            continue;
        }
        let Some(ours) = translated(&words) else {
            continue;
        };
        let id = || case["id"].as_str().unwrap().to_string();
        let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
        files.push((id(), on_files(&case, &ours, &untouched)));
        if let Some(model) = &model {
            postgres.push((id(), on_postgres(&case, &ours, model)));
        }
    }
    assert_eq!(files.len(), 64);
    let list = "writes-unmet.txt";
    let unmet = || judge::listed(include_str!("writes-unmet.txt")).collect();
    judge::judge(list, unmet(), files);
    if model.is_some() {
        judge::judge(list, unmet(), postgres);
    }
}
