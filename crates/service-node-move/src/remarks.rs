//! What there is to say of nodes, those that share a text in one line.

use std::collections::BTreeMap;

use noderange::fold;

/// Texts with the nodes that each is true of, in the order of their first.
#[derive(Debug, Clone, Default)]
pub struct Remarks<'a> {
    texts: Vec<(String, Vec<&'a str>)>,
    at: BTreeMap<String, usize>,
}

impl<'a> Remarks<'a> {
    /// Says a text of a node.
    pub fn add(&mut self, node: &'a str, text: impl Into<String>) {
        let text = text.into();
        match self.at.get(&text).and_then(|at| self.texts.get_mut(*at)) {
            Some((_, nodes)) => nodes.push(node),
            None => {
                self.at.insert(text.clone(), self.texts.len());
                self.texts.push((text, vec![node]));
            }
        }
    }

    /// Each text with its nodes as a noderange.
    pub fn folded(self) -> impl Iterator<Item = (String, String)> {
        let texts = self.texts.into_iter();
        texts.map(|(text, nodes)| (text, fold(nodes)))
    }

    /// `NODES: text` each.
    pub fn lines(self) -> impl Iterator<Item = String> {
        self.folded()
            .map(|(text, nodes)| format!("{nodes}: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_said_once() {
        let mut remarks = Remarks::default();
        for node in ["n1", "n2", "n3"] {
            remarks.add(node, "is old");
            if node == "n2" {
                remarks.add(node, "is lonely");
            }
        }
        let lines: Vec<String> = remarks.lines().collect();
        assert_eq!(lines, ["n[1-3]: is old", "n2: is lonely"]);
    }
}
