//! What holds for any text and any set of names.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use noderange::{HARD_LIMIT, Names, Op, Options, expand, fold};
use proptest::prelude::*;

struct Nodes(BTreeSet<String>);

impl Names for Nodes {
    fn is_node(&self, name: &str) -> bool {
        self.0.contains(name)
    }
    fn nodes(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.0.iter().map(String::as_str))
    }
    fn group(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        Ok((name == "all").then(|| self.0.iter().cloned().collect()))
    }
    fn select(&self, attribute: &str, op: Op, value: &str) -> Result<Option<Vec<String>>, String> {
        let nodes = self
            .0
            .iter()
            .filter(|node| (*node == value) == (op == Op::Equal));
        Ok((attribute == "t.c").then(|| nodes.cloned().collect()))
    }
}

fn options() -> Options {
    Options {
        files: None,
        ..Options::default()
    }
}

fn some() -> Nodes {
    Nodes(["n1", "n2", "n10", "r1c1", "a-1"].map(String::from).into())
}

proptest! {
    #[test]
    fn folding_loses_nothing(names in prop::collection::btree_set("[a-c]{1,2}[0-9]{0,3}[-._]?[0-9]{0,2}[a-b]?", 0..60)) {
        let folded = fold(names.iter().map(String::as_str));
        let found = expand(&folded, &Nodes(names.clone()), &options()).unwrap();
        prop_assert_eq!(&found.nodes, &names, "{}", folded);
        prop_assert!(found.missed.is_empty());
    }

    #[test]
    fn any_text_ends(text in "[-n0-9@,()\\[\\]:+^/=~!. ]{0,40}|\\PC{0,30}") {
        if let Ok(found) = expand(&text, &some(), &options()) {
            prop_assert!(found.nodes.iter().all(|node| some().is_node(node)));
        }
    }

    #[test]
    fn without_verification_too(text in "[-n0-3@,()\\[\\]:+]{0,30}") {
        let options = Options { verify: false, ..options() };
        if let Ok(found) = expand(&text, &some(), &options) {
            prop_assert!(found.missed.is_empty() || found.missed.iter().all(|name| name.len() < 200));
        }
    }
}

#[test]
fn there_is_an_end_to_everything() {
    let options = options();
    for range in [
        "n[1-99999999]",
        "n1+99999999",
        "n1+99999999999999999999999",
        "n[1-999999]x[1-999999]",
        "n00000000-n99999999",
        "n[000000009-000000007]",
    ] {
        let error = expand(range, &some(), &options).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("noderange: more than {HARD_LIMIT} names"),
            "{range}"
        );
    }
    assert!(expand(&"(".repeat(1000), &some(), &options).is_err());
    let deep = format!("{}n1{}", "(".repeat(1000), ")".repeat(1000));
    assert!(expand(&deep, &some(), &options).is_err());
    assert!(expand(&"n".repeat(17 << 20), &some(), &options).is_err());
    let few = Options {
        max_nodes: 2,
        ..options
    };
    assert!(expand("all", &some(), &few).is_err());
    assert_eq!(
        expand("all,-r1c1,-a-1,-n10", &some(), &few)
            .unwrap()
            .nodes
            .len(),
        2
    );
}

#[test]
fn files_are_refused_where_none_may_be_read() {
    let error = expand("n1,^/etc/passwd", &some(), &options()).unwrap_err();
    assert!(error.to_string().contains("no file may be read"), "{error}");
}

#[test]
fn a_number_without_a_prefix_is_an_error() {
    let bare = Options {
        prefix: String::new(),
        ..options()
    };
    assert!(expand("5", &some(), &bare).is_err());
}
