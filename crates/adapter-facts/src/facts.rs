//! A node's adapters as a whole, and what was wrong with them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::adapter::Adapter;
use crate::column;
use crate::value::Interface;

/// Adapters of one node at most. The largest node known has some 70; containers and virtual
/// functions come on top.
pub const ADAPTERS_LIMIT: usize = 256;

/// Lines in [`Facts::dropped`] at most, the last of which says that there was more.
const DROPPED_LIMIT: usize = 64;

/// Characters of one such line at most: a subject and a text, which escaping makes longer, and a
/// reason of ours.
const LINE_LIMIT: usize = 1000;

/// Characters of a subject or text from outside that such a line repeats.
const SHOWN: usize = 40;

/// What a node said, after the checks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Facts {
    /// The adapters, in the node's order. No two have the same interface name, and their column text
    /// is within [`column::LIMIT`].
    pub adapters: Vec<Adapter>,
    /// What did not fit and was dropped: one line each, escaped, ready to be shown.
    pub dropped: Vec<String>,
}

/// Collects [`Facts`] and keeps their promises.
#[derive(Default)]
pub(crate) struct Intake {
    facts: Facts,
    names: BTreeSet<Interface>,
    column_length: usize,
}

impl Intake {
    /// Takes an adapter, or says why not; `subject` names it (`nic 3`). One of which nothing is
    /// known is not worth a word: what it lost has been named.
    pub(crate) fn admit(&mut self, subject: &str, adapter: Adapter) {
        if adapter.is_empty() {
            return;
        }
        if self.facts.adapters.len() >= ADAPTERS_LIMIT {
            return self.drop(subject, "", &format!("more than {ADAPTERS_LIMIT} adapters"));
        }
        let length = column::device(&adapter).map_or(0, |text| text.len() + 1);
        if self.column_length + length > column::LIMIT {
            return self.drop(
                subject,
                "",
                &format!("the column is full ({} bytes)", column::LIMIT),
            );
        }
        if let Some(name) = &adapter.interface
            && !self.names.insert(name.clone())
        {
            return self.drop(subject, name.as_str(), "a second adapter of this name");
        }
        self.column_length += length;
        self.facts.adapters.push(adapter);
    }

    /// Notes what was dropped: `subject: text: why`.
    pub(crate) fn drop(&mut self, subject: &str, text: &str, why: &str) {
        let line = match self.facts.dropped.len() {
            DROPPED_LIMIT.. => return,
            count if count == DROPPED_LIMIT - 1 => "and more".to_string(),
            _ if text.is_empty() => format!("{}: {why}", short(subject)),
            _ => format!("{}: `{}`: {why}", short(subject), short(text)),
        };
        self.facts.dropped.push(program::escape(&line).into_owned());
    }

    pub(crate) fn finish(self) -> Facts {
        self.facts
    }
}

/// What comes out of a file or pipe, before it is believed.
#[derive(Deserialize)]
struct Raw {
    adapters: Vec<Adapter>,
    #[serde(default)]
    dropped: Vec<String>,
}

impl TryFrom<Raw> for Facts {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Facts, &'static str> {
        let mut intake = Intake::default();
        let count = raw.adapters.len();
        for adapter in raw.adapters {
            intake.admit("", adapter);
        }
        // Whoever wrote this had Facts; anything else is not ours.
        if intake.facts.adapters.len() != count {
            return Err("too many, empty or ambiguous adapters");
        }
        let line = |line: &String| {
            line.chars().count() <= LINE_LIMIT && matches!(program::escape(line), Cow::Borrowed(_))
        };
        if raw.dropped.len() > DROPPED_LIMIT || !raw.dropped.iter().all(line) {
            return Err("too many or unescaped remarks");
        }
        intake.facts.dropped = raw.dropped;
        Ok(intake.facts)
    }
}

/// The beginning of a text, with a mark if there is more.
fn short(text: &str) -> String {
    let more = if text.chars().nth(SHOWN).is_some() {
        "..."
    } else {
        ""
    };
    text.chars().take(SHOWN).chain(more.chars()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::value::{Location, Mac};

    fn port(name: &str) -> Adapter {
        Adapter {
            interface: Some(Interface::new(name).unwrap()),
            mac: Some(Mac::new("34:40:b5:be:6a:80").unwrap()),
            ..Adapter::default()
        }
    }

    #[test]
    fn names_are_unique_and_numbers_bounded() {
        let mut intake = Intake::default();
        intake.admit("nic 0", port("eno1"));
        intake.admit("nic 1", port("eno1"));
        intake.admit("nic 2", Adapter::default());
        for n in 0..400 {
            intake.admit(&format!("nic {n}"), port(&format!("veth{n}")));
        }
        let facts = intake.finish();
        assert_eq!(facts.adapters.len(), ADAPTERS_LIMIT);
        assert_eq!(
            facts.dropped[0],
            "nic 1: `eno1`: a second adapter of this name"
        );
        assert_eq!(facts.dropped[1], "nic 255: more than 256 adapters");
        assert_eq!(facts.dropped.len(), DROPPED_LIMIT);
        assert_eq!(facts.dropped[DROPPED_LIMIT - 1], "and more");
    }

    #[test]
    fn the_column_stays_within_its_length() {
        let mut intake = Intake::default();
        for n in 0..250 {
            let pci = Some(Location::new(&format!("/{}", "a".repeat(255))).unwrap());
            intake.admit(
                "",
                Adapter {
                    pci,
                    ..port(&format!("eth{n}"))
                },
            );
        }
        let facts = intake.finish();
        let text = column::format(&facts.adapters).unwrap();
        assert!(text.len() <= column::LIMIT && text.len() > column::LIMIT - 400);
        assert_eq!(column::parse(&text).len(), facts.adapters.len());
    }

    #[test]
    fn remarks_are_escaped_and_short() {
        let mut intake = Intake::default();
        let long = "\u{202e}".repeat(500);
        intake.drop("nic 0: mac", &long, "not a hardware address");
        intake.drop(&long, &long, "not a hardware address");
        let facts = intake.finish();
        assert!(facts.dropped[0].starts_with("nic 0: mac: `\\u{202e}"));
        assert!(facts.dropped.iter().all(|line| line.len() <= LINE_LIMIT));
        let text = serde_json::to_string(&facts).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), facts);
    }

    #[test]
    fn foreign_facts_are_refused() {
        let bad = [
            r#"{"adapters":[{}]}"#,
            r#"{"adapters":[{"interface":"a"},{"interface":"a"}]}"#,
            r#"{"adapters":[{"interface":"a,b"}]}"#,
            r#"{"adapters":[],"dropped":["\u001b[2J"]}"#,
        ];
        for bad in bad {
            assert!(serde_json::from_str::<Facts>(bad).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Facts>(r#"{"adapters":[{"interface":"a"}]}"#).is_ok());
    }
}
