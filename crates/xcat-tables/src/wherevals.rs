//! The conditions of dynamic groups (`nodegroup.wherevals`).

use std::sync::LazyLock;

use noderange::{Accident, Op};
use serde::Deserialize;

/// `attribute op value`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Condition<'a> {
    pub(crate) attribute: &'a str,
    pub(crate) op: Op,
    pub(crate) value: &'a str,
}

/// Where an attribute of a node lives (`xCAT::Schema`'s definition of nodes as objects).
#[derive(Debug, Deserialize)]
pub(crate) struct Place {
    attribute: String,
    pub(crate) table: String,
    pub(crate) column: String,
    /// Only if this attribute has that value.
    #[serde(default)]
    pub(crate) only_if: Option<(String, String)>,
}

static PLACES: LazyLock<Vec<Place>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("node-attributes.json")).unwrap_or_default()
});

/// Where an attribute may live, in the order of looking; nowhere if there is no such attribute.
pub(crate) fn places(attribute: &str) -> impl Iterator<Item = &'static Place> {
    PLACES
        .iter()
        .filter(move |place| place.attribute == attribute)
}

/// Conditions that must all hold, separated by `::`; none if the text cannot be parsed. Of two for
/// one attribute the last counts.
pub(crate) fn conditions(text: &str) -> Option<Vec<Condition<'_>>> {
    let mut conditions: Vec<Condition<'_>> = Vec::new();
    for condition in written(text)? {
        conditions.retain(|other| other.attribute != condition.attribute);
        conditions.push(condition);
    }
    Some(conditions)
}

/// What the group's author will not have meant.
pub(crate) fn doubts(text: &str) -> Vec<Accident> {
    let Some(conditions) = written(text) else {
        return vec![Accident::GroupOfAll];
    };
    let mut doubts = Vec::new();
    for (at, condition) in conditions.iter().enumerate() {
        let attribute = condition.attribute;
        if places(attribute).next().is_none() {
            doubts.push(Accident::GroupAttribute(attribute.into()));
        }
        if conditions[..at].iter().any(|c| c.attribute == attribute) {
            doubts.push(Accident::GroupTwice(attribute.into()));
        }
    }
    doubts
}

fn written(text: &str) -> Option<Vec<Condition<'_>>> {
    text.split("::").map(condition).collect()
}

fn condition(part: &str) -> Option<Condition<'_>> {
    let made = |attribute, op, value| {
        Some(Condition {
            attribute,
            op,
            value,
        })
    };
    // What stands around the first `=` decides, as in xCAT.
    let Some((before, behind)) = part.split_once('=') else {
        let (attribute, value) = part.split_once("!~")?;
        return made(attribute, Op::NotMatch, value);
    };
    if let Some(value) = behind.strip_prefix('=') {
        return made(before, Op::Equal, value);
    }
    if let Some(value) = behind.strip_prefix('~') {
        return made(before, Op::Match, value);
    }
    if let Some(attribute) = before.strip_suffix('!') {
        return made(attribute, Op::NotEqual, behind);
    }
    if let Some((attribute, _)) = part.split_once("!~") {
        return made(attribute, Op::NotMatch, &part[attribute.len() + 2..]);
    }
    if behind.is_empty() || behind.contains('=') {
        return None;
    }
    made(before, Op::Equal, behind)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn one(text: &str) -> Option<(&str, Op, &str)> {
        let mut all = conditions(text)?;
        let last = all.pop()?;
        Some((last.attribute, last.op, last.value))
    }

    #[test]
    fn operators() {
        assert_eq!(one("mgt==ipmi"), Some(("mgt", Op::Equal, "ipmi")));
        assert_eq!(one("mgt=ipmi"), Some(("mgt", Op::Equal, "ipmi")));
        assert_eq!(one("mgt!=ipmi"), Some(("mgt", Op::NotEqual, "ipmi")));
        assert_eq!(one("os=~^sles"), Some(("os", Op::Match, "^sles")));
        assert_eq!(one("os!~^sles"), Some(("os", Op::NotMatch, "^sles")));
        assert_eq!(one("justtext"), None);
        assert_eq!(one("a="), None);
        assert_eq!(conditions("a==1::b==2::a==3").unwrap().len(), 2);
    }

    #[test]
    fn what_is_doubtful() {
        let twice = Accident::GroupTwice("mgt".into());
        let none = |name: &str| Accident::GroupAttribute(name.into());
        assert_eq!(doubts("mgt==ipmi::os=~rhels"), []);
        assert_eq!(doubts("mgt==ipmi::mgt!=hmc"), [twice]);
        assert_eq!(doubts("os>=rhels8"), [none("os>")]);
        assert_eq!(doubts("justtext"), [Accident::GroupOfAll]);
        assert_eq!(doubts(""), [Accident::GroupOfAll]);
    }

    #[test]
    fn the_compiled_in_list_parses() {
        assert!(PLACES.len() > 200);
        assert_eq!(places("bmc").count(), 2);
        assert_eq!(places("nosuch").count(), 0);
    }
}
