//! Every example of noderange(7) gives what the page says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use noderange::Options;
use support::{Scratch, change, empty};

/// The lines of all literal blocks after a comment of this name, as a reader sees them, cut at the
/// first two blanks.
fn blocks(name: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../man/noderange.7");
    let page = std::fs::read_to_string(path).unwrap();
    let comment = format!(".\\\" {name}");
    let mut lines = page.lines();
    let mut found = Vec::new();
    while lines.any(|line| line == comment) {
        assert!(lines.next().unwrap().starts_with(".Bd -literal"));
        for line in lines.by_ref().take_while(|line| *line != ".Ed") {
            let line = line.replace("\\-", "-").replace("\\(ha", "^");
            let line = line.replace("\\e", "\\");
            let (range, result) = line.split_once("  ").expect("two blanks");
            found.push((range.to_string(), result.trim().to_string()));
        }
    }
    found
}

fn cluster() -> Scratch {
    let scratch = empty();
    scratch.tables.create_missing().unwrap();
    change(&scratch.tables, &["nodelist", "nodehm", "nodegroup"], |t| {
        for (node, rest) in &blocks("cluster")[1..] {
            let (groups, mgt) = rest.split_once(' ').unwrap();
            let key = [("node", node.as_str())];
            t.put("nodelist", &key, &[("groups", Some(groups))])?;
            if mgt.trim() != "-" {
                t.put("nodehm", &key, &[("mgt", Some(mgt.trim()))])?;
            }
        }
        for (group, conditions) in [("ipmigroup", "mgt==ipmi"), ("typogroup", "mgt")] {
            let values = [
                ("grouptype", Some("dynamic")),
                ("wherevals", Some(conditions)),
            ];
            t.put("nodegroup", &[("groupname", group)], &values)?;
        }
        Ok(())
    })
    .unwrap();
    scratch
}

fn options(strict: bool) -> Options {
    Options {
        strict,
        prefix: "node".into(),
        suffix: String::new(),
        ..Options::default()
    }
}

/// What is written of a result: `n1 n2; missed n5`, `no node`.
fn nodes(result: &str) -> (Vec<&str>, &str) {
    let (nodes, missed) = match result.split_once("missed ") {
        Some((nodes, missed)) => (nodes.trim().trim_end_matches(';'), missed),
        None => (result, ""),
    };
    let mut nodes: Vec<&str> = match nodes {
        "no node" => Vec::new(),
        names => names.split_whitespace().collect(),
    };
    nodes.sort_unstable();
    (nodes, missed)
}

#[test]
fn examples_give_what_is_written() {
    let cluster = cluster();
    let examples = blocks("examples");
    assert!(examples.len() > 40, "{}", examples.len());
    for (range, result) in examples {
        let found = cluster.tables.expand(&range, &options(true)).unwrap();
        let (wanted, missed) = nodes(&result);
        assert!(found.nodes.iter().eq(wanted), "{range}: {:?}", found.nodes);
        assert_eq!(found.missed.join(" "), missed, "{range}");
        assert_eq!(found.warnings, [], "{range}");
    }
}

#[test]
fn accidents_give_what_is_written_with_a_warning_or_are_errors() {
    let cluster = cluster();
    let accidents = blocks("accidents");
    assert!(accidents.len() > 15, "{}", accidents.len());
    for (range, result) in accidents {
        let found = cluster.tables.expand(&range, &options(false)).unwrap();
        assert!(
            found.nodes.iter().eq(nodes(&result).0),
            "{range}: {:?}",
            found.nodes
        );
        assert_eq!(found.warnings.len(), 1, "{range}: {:?}", found.warnings);
        let error = cluster.tables.expand(&range, &options(true)).unwrap_err();
        let wanted = format!("noderange: {} (strict)", found.warnings[0]);
        assert_eq!(error.to_string(), wanted);
    }
}
