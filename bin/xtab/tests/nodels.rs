//! `xtab nodes` and `xtab get` against what nodels printed (vectors/nodels.jsonl).
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::{Value, json};
use support::{Tables, fixture};

/// What xtab has no form for, or prints elsewhere.
const NOT_RUN: [(&str, &str); 9] = [
    ("nl-v-001", "no range: xtab nodes wants one"),
    (
        "nl-v-012",
        "a condition and one column: nodels names the column then, xtab does not",
    ),
    (
        "nl-v-013",
        "-H: xtab get names the column if there are several",
    ),
    (
        "nl-v-014",
        "-b: xtab get does not say which group a value is from",
    ),
    ("nl-v-015", "a table's name for all of its columns"),
    ("nl-v-018", "a word that is no column: wrong usage for xtab"),
    ("nl-v-019", "names that are no nodes: on standard error"),
    (
        "nl-v-020",
        "names that are no nodes: on standard error, the others are served",
    ),
    ("nl-v-024", "names that are no nodes: on standard error"),
];

/// The same task for xtab: conditions are a part of the range there.
fn translated(words: &[&str]) -> Vec<String> {
    let ["nodels", range, others @ ..] = words else {
        panic!("{words:?}: not in the list of what is not run");
    };
    let (conditions, columns): (Vec<&str>, Vec<&str>) =
        others.iter().partition(|word| word.contains(['=', '~']));
    let range = [vec![*range], conditions].concat().join("@");
    let command = if columns.is_empty() { "nodes" } else { "get" };
    let words = [vec![command, &range], columns].concat();
    words.into_iter().map(String::from).collect()
}

#[test]
fn the_answers_are_those_of_nodels() {
    let file = fixture("ops").join("../../nodels.jsonl");
    let tables = Tables::loaded("ops");
    tables.run(&["init"]).ok("");
    let mut left_out = Vec::new();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let id = case["id"].as_str().unwrap();
        if let Some((id, _)) = NOT_RUN.iter().find(|(not_run, _)| *not_run == id) {
            left_out.push(*id);
            continue;
        }
        let words = case["cmd"].as_array().unwrap().iter();
        let words = translated(&words.map(|word| word.as_str().unwrap()).collect::<Vec<_>>());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let found = tables.run(&words);
        let mut lines: Vec<&str> = found.out.lines().collect();
        lines.sort_unstable();
        assert_eq!(json!(lines), case["stdout_lines_sorted"], "{id}: {words:?}");
        assert_eq!(found.code == Some(0), case["rc"] == 0, "{id}: {found:?}");
    }
    assert_eq!(left_out, NOT_RUN.map(|(id, _)| id));
}
