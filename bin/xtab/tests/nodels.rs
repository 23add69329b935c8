//! `xtab nodes` and `xtab get` against what nodels printed (vectors/nodels.jsonl).
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../crates/xcat-tables/tests/support/judge.rs"]
mod judge;
mod support;

use serde_json::{Value, json};
use support::{Tables, fixture};

/// The same task for xtab: conditions are a part of the range there, and no range is all nodes.
fn translated(words: &[&str]) -> Vec<String> {
    let (options, words): (Vec<&str>, Vec<&str>) =
        words[1..].iter().partition(|word| word.starts_with('-'));
    let (range, others) = words.split_first().unwrap_or((&"/.*", &[]));
    let (conditions, columns): (Vec<&str>, Vec<&str>) =
        others.iter().partition(|word| word.contains(['=', '~']));
    // Besides a condition nodels names the column, were it the only one.
    let named = !conditions.is_empty() && !columns.is_empty();
    let range = [vec![*range], conditions].concat().join("@");
    let command = if columns.is_empty() { "nodes" } else { "get" };
    // xCAT does nothing for a range in which a name is no node.
    let mut words = [vec![command, "--strict", &range], options, columns].concat();
    if named {
        words.push("-H");
    }
    words.into_iter().map(String::from).collect()
}

fn answered(tables: &Tables, case: &Value) -> Result<(), String> {
    let words = case["cmd"].as_array().unwrap().iter();
    let words = translated(&words.map(|word| word.as_str().unwrap()).collect::<Vec<_>>());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let found = tables.run(&words);
    let mut lines: Vec<&str> = found.out.lines().collect();
    lines.sort_unstable();
    let wanted = case["stdout_lines_sorted"].as_array().unwrap();
    // In bypass mode nodels says this where answers belong and ends well; xCAT's daemon does neither.
    let first = wanted.first().and_then(Value::as_str).unwrap_or_default();
    if let Some(names) = first.strip_prefix("Invalid nodes in noderange:") {
        let said = format!("xtab: Invalid nodes and/or groups in noderange: {names}\n");
        return match (found.code, lines.is_empty(), found.err == said) {
            (Some(3), true, true) => Ok(()),
            _ => Err(format!("{words:?}: {found:?}")),
        };
    }
    match json!(lines) == json!(wanted) && (found.code == Some(0)) == (case["rc"] == 0) {
        true => Ok(()),
        false => Err(format!("{words:?}: {found:?}")),
    }
}

#[test]
fn the_answers_are_those_of_nodels() {
    let cases = std::fs::read_to_string(fixture("ops").join("../../nodels.jsonl")).unwrap();
    let mut places = vec![Tables::loaded("ops")];
    if let Some(server) = postgres_server::shared() {
        let mut tables = Tables::empty();
        tables.setting = server.setting(&server.database());
        tables
            .run(&["load", fixture("ops").to_str().unwrap()])
            .ok("");
        places.push(tables);
    }
    for tables in places {
        tables.run(&["init"]).ok("");
        let cases = cases.lines().map(|line| {
            let case: Value = serde_json::from_str(line).unwrap();
            (
                case["id"].as_str().unwrap().to_string(),
                answered(&tables, &case),
            )
        });
        let results: Vec<_> = cases.collect();
        assert_eq!(results.len(), 25);
        judge::judge("nodels", results);
    }
}
