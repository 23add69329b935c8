//! The text in `nics.nicsadapter` (spec section 7): written in the present form, read in all four.

use crate::adapter::Adapter;
use crate::facts::ADAPTERS_LIMIT;
use crate::value::{Candidates, Interface, LinkState, Location, Mac};

pub use crate::diff::{Change, diff};

/// Bytes that the column takes at most: a TEXT column of MySQL, where some sites' tables still come
/// from, ends at 65,535.
pub const LIMIT: usize = 60_000;

/// The column's text for these adapters, or `None` if there is nothing to say, in which case the
/// column stays as it was. Adapters without a name, or of which the column knows nothing but the
/// name, are left out, as the original leaves them out; those that no longer fit into [`LIMIT`] too,
/// which [`crate::Facts`] never has.
///
/// The form is the one of xCAT's callback generation: `name!mac=.. linkstate=.. pci=..
/// candidatename=..`, joined by `,`.
pub fn format(adapters: &[Adapter]) -> Option<String> {
    let mut text = String::new();
    for device in adapters.iter().filter_map(device) {
        if text.len() + 1 + device.len() > LIMIT {
            break;
        }
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&device);
    }
    Some(text).filter(|text| !text.is_empty())
}

/// What a stored text says, whoever stored it: the four generations of xCAT, the seed's example, or
/// an administrator. What does not fit its field is left out silently: the text is in the table for
/// everyone to see. At most [`ADAPTERS_LIMIT`] adapters are read.
pub fn parse(text: &str) -> Vec<Adapter> {
    text.split(',')
        .filter_map(read_device)
        .take(ADAPTERS_LIMIT)
        .collect()
}

/// One device's text, if it has a name and a value that is not empty.
pub(crate) fn device(adapter: &Adapter) -> Option<String> {
    let name = adapter.interface.as_ref()?;
    let values = [
        ("mac", adapter.mac.as_ref().map(Mac::as_str)),
        (
            "linkstate",
            adapter.linkstate.as_ref().map(LinkState::as_str),
        ),
        ("pci", adapter.pci.as_ref().map(Location::as_str)),
        (
            "candidatename",
            adapter.candidates.as_ref().map(Candidates::as_str),
        ),
    ];
    if values
        .iter()
        .all(|(_, value)| value.is_none_or(str::is_empty))
    {
        return None;
    }
    let values: Vec<String> = values
        .iter()
        .filter_map(|(key, value)| value.map(|value| format!("{key}={value}")))
        .collect();
    Some(format!("{name}!{}", values.join(" ")))
}

fn read_device(text: &str) -> Option<Adapter> {
    let (name, rest) = text.split_once('!').unwrap_or((text, ""));
    Some(Adapter {
        interface: Some(Interface::new(name.trim()).ok()?),
        mac: value(rest, "mac=").and_then(|text| Mac::new(text).ok()),
        linkstate: value(rest, "linkstate=").and_then(|text| LinkState::new(text).ok()),
        pci: value(rest, "pci=").and_then(|text| Location::new(text).ok()),
        candidates: value(rest, "candidatename=").and_then(|text| Candidates::new(text).ok()),
        ..Adapter::default()
    })
}

/// The text after the first `key`, up to a blank. The FIFO generation of 2016 glued `pci=` to the
/// mac before it and kept what followed the link state, line ends included.
fn value<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let glued = key == "pci=";
    let starts = |at: &usize| {
        glued
            || text[..*at]
                .chars()
                .next_back()
                .is_none_or(char::is_whitespace)
    };
    let at = text.match_indices(key).map(|(at, _)| at).find(starts)?;
    let value = &text[at + key.len()..];
    let value = value.split(char::is_whitespace).next().unwrap_or_default();
    Some(value.split("pci=").next().unwrap_or_default())
}

#[cfg(test)]
mod tests;
