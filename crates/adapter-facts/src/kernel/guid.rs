//! InfiniBand GUIDs.

use super::device::Device;
use crate::value::Guid;

/// Bytes of an IP-over-InfiniBand address; the last eight are the port's GUID.
const ADDRESS: usize = 20;

/// The GUID of an interface's card, else the one of its port. The card's comes first because the
/// port's is in the address anyway.
pub(super) fn of_interface(interface: &Device<'_>) -> Option<Guid> {
    let card = interface.parents().next().and_then(|card| of_card(&card));
    card.or_else(|| of_address(&interface.attribute("address")?))
}

/// The node GUID of a card, if its driver offers InfiniBand.
pub(super) fn of_card(card: &Device<'_>) -> Option<Guid> {
    let names = card.entries("infiniband");
    let text = card.attribute(&format!("infiniband/{}/node_guid", names.first()?))?;
    known(&text)
}

fn of_address(address: &str) -> Option<Guid> {
    let bytes: Vec<&str> = address.split(':').collect();
    if bytes.len() != ADDRESS {
        return None;
    }
    let pairs: Vec<String> = bytes[ADDRESS - 8..]
        .chunks(2)
        .map(|pair| pair.concat())
        .collect();
    known(&pairs.join(":"))
}

/// All zeros is a card that has none yet.
fn known(text: &str) -> Option<Guid> {
    Guid::new(text)
        .ok()
        .filter(|_| text.contains(|c: char| c != '0' && c != ':'))
}
