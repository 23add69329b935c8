//! `xtab set` against what chtab, tabch and nodech left behind (vectors/writes.jsonl).
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../crates/xcat-tables/tests/support/judge.rs"]
mod judge;
mod support;

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use support::{Tables, fixture};

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
    ended.out.lines().map(row).collect::<Vec<_>>().into()
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

fn judged(case: &Value, words: &[String], untouched: &BTreeMap<&str, Value>) -> Result<(), String> {
    let tables = Tables::loaded("ops");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ended = tables.run(&words);
    for table in TABLES {
        let wanted = case["changed"].get(table).unwrap_or(&untouched[table]);
        let found = rows(&tables, table);
        if found != *wanted {
            return Err(format!("{words:?}: {table}: {found} for {wanted}"));
        }
    }
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
    let mut results = Vec::new();
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
        let id = case["id"].as_str().unwrap().to_string();
        results.push((id, judged(&case, &ours, &untouched)));
    }
    assert_eq!(results.len(), 64);
    let unmet = judge::listed(include_str!("writes-unmet.txt"));
    judge::judge("writes-unmet.txt", unmet.collect(), results);
}
