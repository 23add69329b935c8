//! Every recorded run of the original: the same rows, the same commands.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::Case;

/// Decided differences, each with the reason.
fn decided() -> BTreeMap<String, Value> {
    let text = include_str!("vectors/decided.json");
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_case_gives_the_same_rows_and_commands() {
    let decided = decided();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for line in include_str!("vectors/snmove.jsonl").lines() {
        let case = Case::read(line);
        let Some(request) = case.request() else {
            // Usage, help, version: the front's.
            continue;
        };
        seen += 1;
        let got = case.run(&request);
        let original = json!({"rows": case.expected_rows(), "calls": case.expected_calls(), "exit": case.expected_exit()});
        let wanted = match decided.get(&case.id) {
            Some(difference) => {
                assert!(
                    difference["why"]
                        .as_str()
                        .is_some_and(|why| !why.is_empty()),
                    "{}",
                    case.id
                );
                let mut wanted = original.clone();
                for field in ["rows", "calls", "exit"] {
                    if let Some(better) = difference.get(field) {
                        wanted[field] = better.clone();
                    }
                }
                assert_ne!(
                    wanted, original,
                    "{}: is listed, and differs in nothing",
                    case.id
                );
                wanted
            }
            None => original,
        };
        if got.comparable(case.groups_may_swap())
            != support::comparable(&wanted, case.groups_may_swap())
        {
            wrong.push(format!(
                "{} {}\n  got    {}\n  wanted {}\n  said {:?}",
                case.id, case.note, got.value, wanted, got.said
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {seen}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(seen > 60, "{seen}");
}
