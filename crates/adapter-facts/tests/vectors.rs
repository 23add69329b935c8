//! What the original stored and printed (spec section 7), against what this crate does with the same
//! requests.

#![allow(clippy::unwrap_used)]

use adapter_facts::{Adapter, column, from_request, is_update, record};
use serde_json::Value;
use xcat_request::{Limits, parse};

const VECTORS: &str = include_str!("vectors/getadapter-format.jsonl");

/// Lines that the original prints and ours does not: a printed reference where an element is empty
/// (spec section 10.8).
const PRINTED_REFERENCE: &str = "mac=HASH(...)";

fn cases() -> Vec<(String, Value)> {
    let lines = VECTORS
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .map(|case| (case["id"].as_str().unwrap().to_string(), case))
        .collect()
}

fn adapters(case: &Value) -> Vec<Adapter> {
    let request = case["request"].as_str().unwrap();
    let root = parse(request.as_bytes(), &Limits::default()).unwrap();
    if is_update(&root) {
        from_request(&root).adapters
    } else {
        Vec::new()
    }
}

#[test]
fn the_column_is_stored_as_the_present_xcat_stores_it() {
    let mut met = 0;
    for (id, case) in cases() {
        let expected = &case["generations"]["callback-head"];
        let stored = column::format(&adapters(&case));
        if expected["result"] == "request does not parse" {
            // Ours takes the unescaped `&` literally: the report is not lost.
            assert_eq!(id, "nic-s-11");
            let escaped = cases()
                .into_iter()
                .find(|(id, _)| id == "nic-s-10")
                .unwrap()
                .1;
            assert_eq!(stored, column::format(&adapters(&escaped)), "{id}");
        } else {
            assert_eq!(stored.as_deref(), expected["stored"].as_str(), "{id}");
        }
        met += 1;
    }
    assert_eq!(met, 15);
}

#[test]
fn what_older_generations_stored_is_read() {
    let mut read = 0;
    for (id, case) in cases() {
        let root = parse(
            case["request"].as_str().unwrap().as_bytes(),
            &Limits::default(),
        )
        .unwrap();
        let said = column::format(&from_request(&root).adapters);
        for generation in ["fifo-2016", "fifo-2017", "callback-head"] {
            if let Some(stored) = case["generations"][generation]["stored"].as_str() {
                // The printed reference is no address: left out, where the present form is `mac=`.
                let said = said
                    .as_ref()
                    .map(|said| match stored.contains(PRINTED_REFERENCE) {
                        true => said.replace("mac= ", ""),
                        false => said.clone(),
                    });
                let known = column::parse(stored);
                let named = |text: &str| column::parse(text);
                let without_candidates: Vec<Adapter> = named(said.as_deref().unwrap_or_default())
                    .into_iter()
                    .map(|adapter| match generation {
                        "callback-head" => adapter,
                        _ => Adapter {
                            candidates: None,
                            ..adapter
                        },
                    })
                    .collect();
                assert_eq!(known, without_candidates, "{id} {generation}");
                read += 1;
            }
        }
    }
    assert!(read > 25, "only {read} stored texts in the vectors");
}

#[test]
fn records_are_printed_as_in_2017() {
    let mut met = 0;
    for (id, case) in cases() {
        let root = parse(
            case["request"].as_str().unwrap().as_bytes(),
            &Limits::default(),
        )
        .unwrap();
        let shown = &case["generations"]["fifo-2017"]["shown"];
        let Some(shown) = shown[0].as_str() else {
            continue;
        };
        let node = case["node"].as_str().unwrap();
        let mut lines = vec![format!("[{node}] scan successfully below is result:")];
        let facts = from_request(&root);
        lines.extend(
            facts
                .adapters
                .iter()
                .enumerate()
                .map(|(index, adapter)| record(node, index, adapter)),
        );
        let shown = shown.replace(PRINTED_REFERENCE, "mac=");
        assert_eq!(lines.join("\n") + "\n", shown, "{id}");
        met += 1;
    }
    assert_eq!(met, 12);
}
