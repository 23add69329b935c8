//! Ranges against what xCAT answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;

use noderange::Options;
use serde_json::Value;
use support::{Engine, Scratch, cases, change, fixture_on, judge, vectors};
use xcat_tables::NodeNames;

fn text(value: &Value) -> Vec<String> {
    let items = value.as_array().unwrap().iter();
    items
        .map(|item| item.as_str().unwrap().to_string())
        .collect()
}

fn options(case: &Value) -> Options {
    let given = &case["options"];
    let flag = |name: &str, default| given[name].as_bool().unwrap_or(default);
    let word = |name: &str, default: &str| given[name].as_str().unwrap_or(default).to_string();
    Options {
        verify: flag("verify", true),
        honor_excludenodes: flag("honor_excludenodes", true),
        generic: flag("genericrange", false),
        prefix: word("prefix", "node"),
        suffix: word("suffix", ""),
        files: Some(
            vectors()
                .join("fixtures")
                .join(case["tables"].as_str().unwrap()),
        ),
        ..Options::default()
    }
}

fn check(case: &Value, tables: &Scratch, names: &NodeNames) -> Result<(), String> {
    let Some(excluded) = case["options"]["excludenodes"].as_str() else {
        return judged(case, names);
    };
    let key = [("key", "excludenodes")];
    change(&tables.tables, &["site"], |t| {
        t.put("site", &key, &[("value", Some(excluded))])
    })
    .unwrap();
    let result = judged(case, &tables.tables.names().unwrap());
    change(&tables.tables, &["site"], |t| t.delete("site", &key)).unwrap();
    result
}

fn judged(case: &Value, names: &NodeNames) -> Result<(), String> {
    let range = case["range"].as_str().unwrap();
    let found = noderange::expand(range, names, &options(case));
    let found = match (found, &case["error"]) {
        (Ok(found), Value::Null) => found,
        (Err(_), Value::String(_)) => return Ok(()),
        (Ok(_), _) => return Err("no error".into()),
        (Err(error), _) => return Err(error.to_string()),
    };
    let nodes: Vec<String> = found.nodes.into_iter().collect();
    if nodes != text(&case["nodes"]) {
        return Err(format!("{range}: {nodes:?} for {}", case["nodes"]));
    }
    if found.missed != text(&case["missed"]) {
        return Err(format!(
            "{range}: missed {:?} for {}",
            found.missed, case["missed"]
        ));
    }
    Ok(())
}

#[test]
fn ranges_are_expanded_as_xcat_does() {
    for engine in [Engine::Sqlite, Engine::Pg] {
        let mut tables: BTreeMap<String, (Scratch, NodeNames)> = BTreeMap::new();
        for name in ["basic", "hpc", "empty"] {
            let Some(scratch) = fixture_on(engine, name) else {
                return;
            };
            scratch.tables.create_missing().unwrap();
            let names = scratch.tables.names().unwrap();
            tables.insert(name.into(), (scratch, names));
        }
        let results = cases("noderange.jsonl").into_iter().map(|case| {
            let id = case["id"].as_str().unwrap().to_string();
            let (scratch, names) = &tables[case["tables"].as_str().unwrap()];
            let result = check(&case, scratch, names);
            (id, result)
        });
        judge("noderange", results.collect());
    }
}
