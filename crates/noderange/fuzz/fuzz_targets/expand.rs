//! Any text as a range: it ends, names only nodes, and folds back to the same ones.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use noderange::{Names, Op, Options, expand, fold};

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
        let nodes = self.0.iter().filter(|node| (*node == value) == (op == Op::Equal));
        Ok((attribute == "t.c").then(|| nodes.cloned().collect()))
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // A million names are allowed and take a second: the grammar is what is looked for here.
    let mut digits = text.split(|c: char| !c.is_ascii_digit()).map(str::len);
    if digits.any(|length| length > 3) {
        return;
    }
    let names = ["n1", "n2", "n10", "n008", "r1c1", "r1c2", "gpu08-ib0", "a-1", "db01.x"];
    let nodes = Nodes(names.map(String::from).into());
    for verify in [true, false] {
        let options = Options {
            verify,
            files: None,
            prefix: "node".into(),
            suffix: String::new(),
            ..Options::default()
        };
        let Ok(found) = expand(text, &nodes, &options) else {
            continue;
        };
        if verify {
            assert!(found.nodes.iter().all(|node| nodes.is_node(node)));
            let folded = fold(found.nodes.iter().map(String::as_str));
            let again = expand(&folded, &nodes, &options).expect("folded");
            assert_eq!(again.nodes, found.nodes);
            assert!(again.missed.is_empty());
        }
    }
});
