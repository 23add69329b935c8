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

/// Cases that are marked as a defect of the original and whose rows and commands are right all the same, each with what
/// is better elsewhere.
const BETTER_ELSEWHERE: [(&str, &str); 11] = [
    ("snmove-s-017", "said: not known to be the old service node"),
    ("snmove-s-031", "the front: an unknown node is an error"),
    ("snmove-s-035", "the front: exit status 2"),
    ("snmove-s-036", "the front: exit status 2"),
    ("snmove-s-037", "the front: exit status 2"),
    ("snmove-s-038", "the front: exit status 2"),
    ("snmove-s-048", "said: is taken (-D says another)"),
    (
        "snmove-s-050",
        "network.rs: the narrowest, which here is the last",
    ),
    ("snmove-s-058", "said: syslog is not among the scripts"),
    ("snmove-s-062", "xCAT's rule for groups"),
    ("snmove-s-066", "refused: ghost: has no row in nodelist"),
];

#[test]
fn every_quirk_is_listed() {
    let decided = decided();
    for line in include_str!("vectors/snmove.jsonl").lines() {
        let case = Case::read(line);
        let elsewhere = BETTER_ELSEWHERE.iter().find(|(id, _)| *id == case.id);
        // Nothing else is decided otherwise; what is said of AIX is for information.
        assert!(
            case.is_quirk() || case.is_aix() || !decided.contains_key(&case.id),
            "{}",
            case.id
        );
        if case.is_quirk() {
            assert!(
                elsewhere.is_some() || decided.contains_key(&case.id),
                "{}: {}",
                case.id,
                case.note
            );
        }
        let (Some((id, how)), Some(mut request)) = (elsewhere, case.request()) else {
            continue;
        };
        request.check_destination = how.starts_with("refused: ");
        let Some((_, text)) = how.split_once("said: ").or(how.split_once("refused: ")) else {
            continue;
        };
        let said = case.run(&request).said;
        assert!(
            said.iter().any(|line| line.contains(text)),
            "{id}: {said:?}"
        );
    }
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
