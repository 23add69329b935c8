//! Expressions against what xCAT answered, and any text.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use proptest::prelude::*;
use serde_json::Value;
use support::{cases, judge};
use xcat_tables::evaluate;

#[test]
fn values_are_what_xcat_computes() {
    let results = cases("regexvalue.jsonl").into_iter().map(|case| {
        let id = case["id"].as_str().unwrap().to_string();
        let (value, node) = (
            case["value"].as_str().unwrap(),
            case["node"].as_str().unwrap(),
        );
        let wanted = case["result"].as_str().unwrap_or_default();
        let result = match (evaluate(value, node), &case["error"]) {
            (Ok(found), Value::Null) if found == wanted => Ok(()),
            (Err(_), Value::String(_)) => Ok(()),
            (found, _) => Err(format!("{value} of {node}: {found:?} for {wanted:?}")),
        };
        (id, result)
    });
    judge("regexvalue", results.collect());
}

proptest! {
    #[test]
    fn any_value_ends(value in "\\PC{0,40}", node in "[a-z]{1,3}[0-9]{0,3}") {
        let _ = evaluate(&value, &node);
    }

    #[test]
    fn any_program_ends(text in "[-a-z0-9$()\"'., +*/%?:<>=!&|^x\\\\]{0,40}", node in "[a-z]{1,3}[0-9]{1,3}") {
        let _ = evaluate(&format!("|\\D+(\\d+)|({text})|"), &node);
        let _ = evaluate(&format!("|{text}|"), &node);
    }

    #[test]
    fn arithmetic_is_integer(a in 0_i64..100_000, b in 1_i64..1000) {
        let node = format!("n{a}");
        for (operator, wanted) in [("+", a + b), ("-", a - b), ("*", a * b), ("/", a / b), ("%", a % b)] {
            let value = format!("|n(\\d+)|($1{operator}{b})|");
            prop_assert_eq!(evaluate(&value, &node).unwrap(), wanted.to_string());
        }
    }
}

#[test]
fn what_is_not_understood_is_said_and_not_guessed() {
    for program in [
        "reverse 1,2",
        "$x",
        "sort(1)",
        "\"@a\"",
        "$1 =~ /2/",
        "[1]",
        "1e3",
        "sprintf(\"%f\",1)",
    ] {
        let value = format!("|n(\\d+)|({program})|");
        let error = evaluate(&value, "n12").unwrap_err();
        assert!(
            error.to_string().contains("not understood"),
            "{program}: {error}"
        );
    }
}
