//! What xCAT's commands say of nodes, line by line.
//!
//! xCAT's client prints `NODE: text` for what went well and, on standard error, `NODE: Error: text`,
//! `Error: NODE: text` or a sentence with the name in it; `[SERVER]: ` may stand before any part
//! (xcat-core, `xCAT::Client`).

use std::collections::{BTreeMap, BTreeSet};

/// Longest text kept of one line, in characters.
const TEXT: usize = 300;
/// Most lines kept for one node, and most that are nobody's.
const LINES: usize = 16;

/// One command's lines, sorted to the nodes that were asked for. Texts are escaped and cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// What was said of a node that was asked for, in order.
    pub said: BTreeMap<String, Vec<String>>,
    /// The first error for a node.
    pub failed: BTreeMap<String, String>,
    /// Errors that name no node that was asked for.
    pub general: Vec<String>,
    /// The exit status was 0, and all ran to their end.
    pub good: bool,
}

impl Answers {
    /// Sorts what a command wrote, of which it was asked for `nodes`. `good`: it ended by itself with
    /// status 0.
    pub fn of(stdout: &[u8], stderr: &[u8], nodes: &[String], good: bool) -> Answers {
        let nodes: BTreeSet<&str> = nodes.iter().map(String::as_str).collect();
        let mut answers = Answers {
            good,
            ..Answers::default()
        };
        answers.read(stdout, &nodes, false);
        answers.read(stderr, &nodes, true);
        answers
    }

    /// Each node's verdict: an error line is a failure, any other line is success, and a node of which
    /// nothing was said is `None`.
    pub fn verdict(&self, node: &str) -> Option<Result<(), String>> {
        match (self.failed.get(node), self.said.contains_key(node)) {
            (Some(why), _) => Some(Err(why.clone())),
            (None, true) => Some(Ok(())),
            (None, false) => None,
        }
    }

    /// What to say of a node that `program` left out.
    pub fn silence(&self, program: &str) -> String {
        match (self.general.first(), self.good) {
            (Some(why), _) => format!("{program}: {why}"),
            (None, true) => format!("{program} said nothing of it"),
            (None, false) => format!("{program} failed and said nothing of it"),
        }
    }

    /// Sorts one stream's bytes. `errors`: the stream is standard error, where a line that names no
    /// node is worth keeping.
    fn read(&mut self, bytes: &[u8], nodes: &BTreeSet<&str>, errors: bool) {
        for line in bytes.split(|c| *c == b'\n' || *c == b'\r') {
            let line = String::from_utf8_lossy(line);
            if !line.trim().is_empty() {
                self.line(line.trim(), nodes, errors);
            }
        }
    }

    /// Takes over what another call on other nodes said.
    pub(crate) fn join(&mut self, other: Answers) {
        self.said.extend(other.said);
        self.failed.extend(other.failed);
        self.general.extend(other.general);
        self.general.truncate(LINES);
        self.good &= other.good;
    }

    /// Puts what matters most in front of the lines that are nobody's.
    pub(crate) fn general_first(&mut self, text: &str) {
        self.general.insert(0, tidy(text));
        self.general.truncate(LINES);
    }

    fn general(&mut self, text: &str) {
        if self.general.len() < LINES {
            self.general.push(tidy(text));
        }
    }

    fn line(&mut self, line: &str, nodes: &BTreeSet<&str>, errors: bool) {
        let mut mark = Mark::Plain;
        let rest = marks(line, &mut mark);
        let subject = rest
            .split_once(':')
            .filter(|(name, _)| nodes.contains(name));
        let (node, text) = match subject {
            Some((name, text)) => (Some(name), marks(text, &mut mark)),
            None => (None, rest),
        };
        match (node, mark) {
            (_, Mark::Warning) => {}
            (Some(node), Mark::Error) => self.fail(node, text),
            (Some(node), Mark::Plain) => self.say(node, text),
            (None, Mark::Error) => match only_node(text, nodes) {
                Some(node) => self.fail(node, text),
                None => self.general(text),
            },
            (None, Mark::Plain) if errors => self.general(text),
            (None, Mark::Plain) => {}
        }
    }

    fn fail(&mut self, node: &str, text: &str) {
        self.failed
            .entry(node.to_string())
            .or_insert_with(|| tidy(text));
    }

    fn say(&mut self, node: &str, text: &str) {
        let lines = self.said.entry(node.to_string()).or_default();
        if lines.len() < LINES {
            lines.push(tidy(text));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Plain,
    Warning,
    Error,
}

/// Takes `Error:`, `Warning:` and `[SERVER]:` off the front of `text`.
fn marks<'a>(text: &'a str, mark: &mut Mark) -> &'a str {
    let mut rest = text.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix("Error:") {
            *mark = Mark::Error;
            rest = after.trim_start();
        } else if let Some(after) = rest.strip_prefix("Warning:") {
            if *mark == Mark::Plain {
                *mark = Mark::Warning;
            }
            rest = after.trim_start();
        } else if let Some((_, after)) = rest
            .strip_prefix('[')
            .and_then(|inside| inside.split_once("]:"))
            .filter(|(server, _)| crate::name::is_plain(server))
        {
            rest = after.trim_start();
        } else {
            return rest;
        }
    }
}

/// The node that a sentence is about, if it names exactly one.
fn only_node<'a>(text: &str, nodes: &BTreeSet<&'a str>) -> Option<&'a str> {
    let mut named: BTreeSet<&str> = BTreeSet::new();
    for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        if let Some(node) = nodes.get(word.trim_end_matches('.')) {
            named.insert(node);
        }
    }
    match (named.pop_first(), named.is_empty()) {
        (Some(node), true) => nodes.get(node).copied(),
        _ => None,
    }
}

fn tidy(text: &str) -> String {
    let short: String = text.trim().chars().take(TEXT).collect();
    program::escape(&short).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn read(out: &str, err: &str) -> Answers {
        let nodes = ["n1", "n2", "n3"].map(str::to_string);
        Answers::of(out.as_bytes(), err.as_bytes(), &nodes, true)
    }

    #[test]
    fn every_form_of_an_error_reaches_its_node() {
        for line in [
            "Error: n2: no such thing",
            "n2: Error: no such thing",
            "n2: [mn]: Error: no such thing",
            "Error: [mn]: n2: no such thing",
            "[mn]: Error: n2: no such thing",
        ] {
            let answers = read("n1: runcmd=getadapter\n", line);
            assert_eq!(answers.failed.get("n2").unwrap(), "no such thing", "{line}");
            assert_eq!(answers.verdict("n1"), Some(Ok(())));
            assert_eq!(answers.verdict("n3"), None);
        }
    }

    #[test]
    fn a_sentence_about_one_node_is_that_nodes() {
        let answers = read(
            "",
            "Error: No archictecture defined in nodetype table for n2\n",
        );
        assert!(
            answers
                .failed
                .get("n2")
                .unwrap()
                .starts_with("No archictecture")
        );
        let two = read("", "Error: n1 and n2 are strange.\n");
        assert!(two.failed.is_empty());
        assert_eq!(two.silence("nodeset"), "nodeset: n1 and n2 are strange.");
    }

    #[test]
    fn an_error_outweighs_a_good_line_in_either_order() {
        assert_eq!(
            read("n1: boot\n", "n1: Error: disk full").verdict("n1"),
            Some(Err("disk full".to_string()))
        );
    }

    #[test]
    fn warnings_decide_nothing() {
        let answers = read("n1: boot\n", "Warning: n1: odd\nn2: Warning: odd\n");
        assert_eq!(answers.verdict("n1"), Some(Ok(())));
        assert_eq!(answers.verdict("n2"), None);
    }

    #[test]
    fn foreign_names_and_controls_do_no_harm() {
        let answers = read("evil: on\nn1: \x1b[2Jon\u{202e}\n", "Error: evil: gone\n");
        assert_eq!(answers.said.len(), 1);
        assert_eq!(answers.said["n1"], ["\\u{1b}[2Jon\\u{202e}"]);
        assert_eq!(answers.general, ["evil: gone"]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let long = format!("n1: {}\n", "x".repeat(10_000)).repeat(1000);
        let answers = read(&long, &"Error: nobody\n".repeat(1000));
        assert_eq!(answers.said["n1"].len(), LINES);
        assert_eq!(answers.said["n1"][0].len(), TEXT);
        assert_eq!(answers.general.len(), LINES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(out in proptest::collection::vec(any::<u8>(), 0..400),
                              lines in proptest::collection::vec("(Error: |\\[mn\\]: |n1: |n2: |[a-z:\\[\\] \\PC]{0,6}){0,6}", 0..8)) {
            let nodes = BTreeSet::from(["n1", "n2"]);
            let mut answers = Answers::default();
            answers.read(&out, &nodes, true);
            answers.read(lines.join("\n").as_bytes(), &nodes, false);
            for node in answers.said.keys().chain(answers.failed.keys()) {
                prop_assert!(nodes.contains(node.as_str()));
            }
            for text in answers.failed.values().chain(&answers.general) {
                prop_assert!(!text.contains(|c: char| c.is_control()));
            }
        }
    }
}
