//! The pipe between a caller and whoever does its work: `node,status` lines.
//!
//! The first comma parts them, and xCAT's names hold none. Between our own two halves a third field
//! says why, and lines that begin with `#` tell what is being done; a reader of two fields knows
//! neither and is never sent them.

use crate::verdict::{NodeResult, Status};

/// Longest line, in bytes; what is longer is nobody's.
const LIMIT: usize = 4000;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// A node is settled. The last such line of a node counts.
    Settled(NodeResult),
    /// Said of the work in general, or of a node.
    Note(String),
}

impl Line {
    /// As it goes over the pipe; with `more`, why and notes too. None if it is not for this reader.
    pub(crate) fn encode(&self, more: bool) -> Option<String> {
        match self {
            Line::Settled(NodeResult { node, status, why }) if more => {
                Some(format!("{node},{},{}\n", status.0, one_line(why)))
            }
            Line::Settled(NodeResult { node, status, .. }) => {
                Some(format!("{node},{}\n", status.0))
            }
            Line::Note(text) if more => Some(format!("#{}\n", one_line(text))),
            Line::Note(_) => None,
        }
    }

    fn parse(line: &str) -> Option<Line> {
        if let Some(note) = line.strip_prefix('#') {
            return Some(Line::Note(note.into()));
        }
        let (node, rest) = line.split_once(',')?;
        let (status, why) = rest.split_once(',').unwrap_or((rest, ""));
        let status = status.parse().ok()?;
        Some(Line::Settled(NodeResult::new(node, Status(status), why)))
    }
}

/// Puts bytes together to lines.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pending: Vec<u8>,
    /// The line that is coming in is too long already.
    skipping: bool,
}

impl Reader {
    /// Takes bytes as they came; the lines that they complete. What is no line of ours is dropped: the
    /// node that it may have been about has no line, and so has failed.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if self.pending.len() + part.len() > LIMIT {
                self.skipping = true;
                self.pending.clear();
            }
            if !self.skipping {
                self.pending.extend_from_slice(part);
            }
            if parts.peek().is_some() {
                let line = std::mem::take(&mut self.pending);
                if !std::mem::take(&mut self.skipping) {
                    lines.extend(Line::parse(&String::from_utf8_lossy(&line)));
                }
            }
        }
        lines
    }
}

fn one_line(text: &str) -> String {
    let escaped = program::escape(text);
    escaped.chars().take(LIMIT / 8).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<(String, i32, String)> {
        let lines = Reader::default().feed(text.as_bytes());
        let settled = lines.into_iter().filter_map(|line| match line {
            Line::Settled(result) => Some((result.node, result.status.0, result.why)),
            Line::Note(_) => None,
        });
        settled.collect()
    }

    #[test]
    fn defect_1_the_whole_status_counts() {
        let lines = read("a,-1\nb,10\nc,-110\nd,0\n");
        let numbers: Vec<i32> = lines.iter().map(|(_, status, _)| *status).collect();
        assert_eq!(numbers, [-1, 10, -110, 0]);
    }

    #[test]
    fn defect_2_names_with_dots_are_names() {
        assert_eq!(
            read("n1.cluster,0\n"),
            [("n1.cluster".into(), 0, String::new())]
        );
    }

    #[test]
    fn what_is_no_line_is_dropped_alone() {
        let long = "x".repeat(5000);
        let text = format!("nonsense\nn1,zero\n,\n{long},0\nn2,99999999999\nn3,3,a, b\nn4,1");
        assert_eq!(read(&text), [("n3".into(), 3, "a, b".into())]);
    }

    #[test]
    fn a_reader_of_two_fields_gets_two() {
        let line = Line::Settled(NodeResult::new("n1", Status(3), "no,\nBMC"));
        assert_eq!(line.encode(false).unwrap(), "n1,3\n");
        assert_eq!(line.encode(true).unwrap(), "n1,3,no,\\nBMC\n");
        assert_eq!(Line::Note("x".into()).encode(false), None);
    }

    proptest! {
        #[test]
        fn lines_come_back_however_they_are_cut(
            sent in prop::collection::vec(("[a-z0-9][a-z0-9._-]{0,20}", any::<i32>(), "[ -~]{0,60}"), 0..20),
            cut in 1_usize..40,
        ) {
            let bytes: String = sent.iter().filter_map(|(node, status, why)| {
                Line::Settled(NodeResult::new(node, Status(*status), why.as_str())).encode(true)
            }).collect();
            let mut reader = Reader::default();
            let got: Vec<Line> = bytes.as_bytes().chunks(cut).flat_map(|part| reader.feed(part)).collect();
            let expected: Vec<Line> = sent.iter()
                .map(|(node, status, why)| Line::Settled(NodeResult::new(node, Status(*status), program::escape(why))))
                .collect();
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn any_bytes_stay_within_the_limit(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..10)) {
            let mut reader = Reader::default();
            for part in parts {
                reader.feed(&part);
                prop_assert!(reader.pending.len() <= LIMIT);
            }
        }
    }
}
