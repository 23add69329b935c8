//! The line that `getadapter` prints for an adapter.

use crate::adapter::Adapter;

/// `node:[index]->name!field|field`, without a line end: the form of 2017 (spec section 2) with the
/// later fields after its own. A device without a name has nothing before its first field. Safe to
/// print: whatever could act on a terminal is escaped, in the node's name too.
pub fn record(node: &str, index: usize, adapter: &Adapter) -> String {
    fn field<T: AsRef<str>>(name: &str, value: Option<T>) -> Option<String> {
        value.map(|value| format!("{name}={}", value.as_ref()))
    }
    let original = [
        field("mac", adapter.mac.as_ref().map(|value| value.as_str())),
        field("pci", adapter.pci.as_ref().map(|value| value.as_str())),
        field(
            "candidatename",
            adapter.candidates.as_ref().map(|value| value.as_str()),
        ),
        field(
            "vendor",
            adapter.vendor.as_ref().map(|value| value.as_str()),
        ),
        field("model", adapter.model.as_ref().map(|value| value.as_str())),
        field(
            "linkstate",
            adapter.linkstate.as_ref().map(|value| value.as_str()),
        ),
    ];
    let later = adapter
        .later()
        .map(|(name, value)| format!("{name}={value}"));
    let fields: Vec<String> = original.into_iter().flatten().chain(later).collect();
    let name = adapter
        .interface
        .as_ref()
        .map(|name| format!("{name}!"))
        .unwrap_or_default();
    let line = format!("{node}:[{index}]->{name}{}", fields.join("|"));
    program::escape(&line).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::strategies;
    use crate::value::{Driver, Interface, Mac, Speed};
    use proptest::prelude::*;

    #[test]
    fn later_fields_stand_after_the_originals() {
        let adapter = Adapter {
            interface: Some(Interface::new("eno1").unwrap()),
            mac: Some(Mac::new("34:40:b5:be:6a:80").unwrap()),
            driver: Some(Driver::new("be2net").unwrap()),
            speed: Some(Speed::new(10_000).unwrap()),
            ..Adapter::default()
        };
        assert_eq!(
            record("n1\u{1b}", 3, &adapter),
            "n1\\u{1b}:[3]->eno1!mac=34:40:b5:be:6a:80|driver=be2net|speed=10000"
        );
    }

    proptest! {
        #[test]
        fn one_safe_line(adapter in strategies::adapter(), node in "\\PC{0,20}") {
            let line = record(&node, 0, &adapter);
            prop_assert!(!line.chars().any(char::is_control));
        }
    }
}
