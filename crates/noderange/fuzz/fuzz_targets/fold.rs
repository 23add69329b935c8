//! Any names fold to a strict range of exactly these names.
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
    fn group(&self, _: &str) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }
    fn select(&self, _: &str, _: Op, _: &str) -> Result<Option<Vec<String>>, String> {
        Ok(None)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // A name with a backslash could be what another one is spelled as. No pattern is longer than 4096.
    let legal = |name: &&str| !name.is_empty() && name.len() < 1000 && !name.contains('\\');
    let names: BTreeSet<String> = text.split('\n').filter(legal).map(String::from).collect();
    let folded = fold(names.iter().map(String::as_str));
    let nodes = Nodes(names);
    let options = Options {
        strict: true,
        files: None,
        ..Options::default()
    };
    let found = expand(&folded, &nodes, &options).expect("folded");
    assert_eq!(found.nodes, nodes.0, "{folded}");
    assert!(found.missed.is_empty() && found.warnings.is_empty());
});
