//! The walk through the trie.

use std::collections::BTreeMap;

use super::glob::matches;
use super::{Bytes, Hwdb, Node};

/// Nodes and values that one search touches at most. A search for a PCI or USB device touches some
/// hundred.
const STEPS: usize = 4096;

/// Bytes of a pattern or a modalias at most; beyond, nothing matches.
const PATTERN_LIMIT: usize = 512;

/// Properties by key, each with its rank.
type Ranked = BTreeMap<String, ((u64, u32), String)>;

/// All properties of `modalias`.
pub(super) fn search<B: Bytes>(hwdb: &Hwdb<B>, modalias: &[u8]) -> BTreeMap<String, String> {
    let mut search = Search {
        hwdb,
        found: Ranked::new(),
        steps: STEPS,
    };
    if modalias.len() <= PATTERN_LIMIT {
        // Broken offsets and spent steps end it; what was found stays.
        let _ = search.walk(modalias);
    }
    search
        .found
        .into_iter()
        .map(|(key, (_, value))| (key, value))
        .collect()
}

struct Search<'h, B> {
    hwdb: &'h Hwdb<B>,
    found: Ranked,
    steps: usize,
}

impl<B: Bytes> Search<'_, B> {
    /// Follows the modalias byte by byte. Where the trie goes on with a wildcard, all that is below
    /// is matched as patterns against the rest.
    fn walk(&mut self, mut rest: &[u8]) -> Option<()> {
        let mut node = self.node(self.hwdb.root)?;
        loop {
            let prefix = self.prefix(&node)?;
            for (at, byte) in prefix.iter().enumerate() {
                if matches!(byte, b'*' | b'?' | b'[') {
                    return self.patterns(node, &prefix[at..], rest);
                }
                let (first, others) = rest.split_first()?;
                if first != byte {
                    return Some(());
                }
                rest = others;
            }
            let children = self.hwdb.children(&node)?;
            for wildcard in [b'*', b'?', b'['] {
                if let Some((_, offset)) = children.iter().find(|(byte, _)| *byte == wildcard) {
                    let child = self.node(*offset)?;
                    let mut pattern = vec![wildcard];
                    pattern.extend(self.prefix(&child)?);
                    self.patterns(child, &pattern, rest)?;
                }
            }
            let Some((first, others)) = rest.split_first() else {
                return self.take(&node);
            };
            let Some((_, offset)) = children.iter().find(|(byte, _)| byte == first) else {
                return Some(());
            };
            node = self.node(*offset)?;
            rest = others;
        }
    }

    /// Matches `pattern`, which ends in the node's prefix, and all patterns below it.
    fn patterns(&mut self, node: Node, pattern: &[u8], text: &[u8]) -> Option<()> {
        let mut waiting = vec![(node, pattern.to_vec())];
        while let Some((node, pattern)) = waiting.pop() {
            if node.values > 0 && matches(&pattern, text) {
                self.take(&node)?;
            }
            for (byte, offset) in self.hwdb.children(&node)? {
                let child = self.node(offset)?;
                let mut longer = pattern.clone();
                longer.push(byte);
                longer.extend(self.prefix(&child)?);
                if longer.len() <= PATTERN_LIMIT {
                    waiting.push((child, longer));
                }
            }
        }
        Some(())
    }

    /// Takes a node's properties; of two with one key the later line of the later file counts.
    fn take(&mut self, node: &Node) -> Option<()> {
        for index in 0..node.values {
            self.step()?;
            let value = self.hwdb.value(node, index)?;
            let key = self.hwdb.string(value.key)?;
            // Keys without a blank before them are for other uses of the file.
            let Some(key) = key.strip_prefix(b" ") else {
                continue;
            };
            let key = String::from_utf8_lossy(key).into_owned();
            if self
                .found
                .get(&key)
                .is_none_or(|(rank, _)| *rank <= value.rank)
            {
                let text = self.hwdb.string(value.value)?;
                let text = String::from_utf8_lossy(&text).into_owned();
                self.found.insert(key, (value.rank, text));
            }
        }
        Some(())
    }

    fn node(&mut self, offset: u64) -> Option<Node> {
        self.step()?;
        self.hwdb.node(offset)
    }

    fn prefix(&self, node: &Node) -> Option<Vec<u8>> {
        match node.prefix {
            0 => Some(Vec::new()),
            offset => self.hwdb.string(offset),
        }
    }

    fn step(&mut self) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        Some(())
    }
}
