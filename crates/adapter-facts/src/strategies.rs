//! Adapters for property tests: any value that its field can have.

#![allow(clippy::unwrap_used)]

use proptest::option::of;
use proptest::prelude::*;

use crate::adapter::Adapter;
use crate::value::*;

fn text<T: std::fmt::Debug, E: std::fmt::Debug>(
    pattern: &'static str,
    new: fn(&str) -> Result<T, E>,
) -> impl Strategy<Value = Option<T>> {
    of(pattern.prop_filter_map("does not fit its field", move |text| new(&text).ok()))
}

/// One adapter.
pub(crate) fn adapter() -> impl Strategy<Value = Adapter> {
    let original = (
        text("[a-z0-9#%+.@^_~-]{1,15}", Interface::new),
        text("[a-z0-9/+.@-]{0,60}", Candidates::new),
        text("[a-zA-Z0-9/:.@_-]{0,60}", Location::new),
        text("([0-9a-f]{2}(:[0-9a-fA-F]{2}){0,31})?", Mac::new),
        text("\\PC{0,40}", Label::new),
        text("[ -~]{0,40}", Label::new),
        text("[A-Z]{0,16}", LinkState::new),
    );
    let later = (
        text("[a-z0-9_.-]{1,64}", Driver::new),
        of((0..=100_000_000u32).prop_map(|n| Speed::new(n).unwrap())),
        text("[ -~]{1,64}", Firmware::new),
        text("[0-9a-f]{2}(:[0-9a-f]{2}){5}", Mac::new),
        text("[0-9a-f]{4}(:[0-9a-f]{4}){3}", Guid::new),
        of((0..=16_777_216u32).prop_map(|n| Mtu::new(n).unwrap())),
        of((0..=65_535u32).prop_map(|n| NumaNode::new(n).unwrap())),
        text("[0-9a-f]{4}:[0-9a-f]{4}", PciId::new),
    );
    (original, later).prop_map(|(original, later)| {
        let (interface, candidates, pci, mac, vendor, model, linkstate) = original;
        let (driver, speed, firmware, permanent_mac, guid, mtu, numa_node, pci_id) = later;
        Adapter {
            interface,
            candidates,
            pci,
            mac,
            vendor,
            model,
            linkstate,
            driver,
            speed,
            firmware,
            permanent_mac,
            guid,
            mtu,
            numa_node,
            pci_id,
        }
    })
}

/// Adapters of one node.
pub(crate) fn adapters() -> impl Strategy<Value = Vec<Adapter>> {
    proptest::collection::vec(adapter(), 0..12)
}
