//! Values set for nodes: what xCAT's nodech leaves behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Map, Value};
use support::{Engine, Scratch, cases, fixture_on, judge_on};
use xcat_tables::{ColumnName, Tables};

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

/// `table.column=value` and nothing of nodech's other operators.
fn plain(argument: &str) -> Option<(ColumnName, String)> {
    let (name, value) = argument.split_once('=')?;
    if value.starts_with(['=', '~', '@']) || name.ends_with(['+', ',', '^', '!', '-']) {
        return None;
    }
    Some((ColumnName::parse(name)?, value.to_string()))
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
        let Some(values) = arguments
            .iter()
            .map(|word| plain(word))
            .collect::<Option<Vec<_>>>()
        else {
            continue;
        };
        if values.is_empty() || range.starts_with('-') {
            continue;
        }
        let id = case["id"].as_str().unwrap().to_string();
        let scratch = fixture_on(model.engine, "ops").unwrap();
        let result = scratch
            .tables
            .select(range, &mut std::io::empty(), false, &mut |_| ())
            .and_then(|nodes| scratch.tables.assign(&nodes, &values));
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
    assert!(results.len() > 5, "{}", results.len());
    judge_on(model.engine, "writes-unmet.txt", results);
}
