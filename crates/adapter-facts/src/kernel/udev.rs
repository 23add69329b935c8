//! udev's database: one file per device, `/run/udev/data/n<index>` for an interface.

use std::collections::BTreeMap;

/// Bytes of an entry that are read.
pub(super) const LIMIT: usize = 64 << 10;

/// The properties of one device.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Entry(BTreeMap<String, String>);

impl Entry {
    /// Reads an entry's `E:KEY=VALUE` lines; other lines (links, tags, priorities) are passed over.
    /// Bytes that are no UTF-8 become U+FFFD.
    pub fn parse(bytes: &[u8]) -> Entry {
        let text = String::from_utf8_lossy(bytes);
        let properties = text
            .lines()
            .filter_map(|line| line.strip_prefix("E:")?.split_once('='));
        Entry(
            properties
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
        )
    }

    /// A property's value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Every name that udev has for an interface: the values of all `ID_NET_NAME*`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let named = self
            .0
            .iter()
            .filter(|(key, _)| key.starts_with("ID_NET_NAME"));
        named.map(|(_, value)| value.as_str())
    }
}
