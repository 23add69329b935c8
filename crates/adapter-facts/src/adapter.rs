//! One adapter.

use serde::{Deserialize, Serialize};

use crate::value::{
    Candidates, Driver, Firmware, Guid, Interface, Label, LinkState, Location, Mac, Mtu, NumaNode,
    PciId, Speed,
};

/// One network adapter, as far as it is known. The first seven are what the original reports (spec
/// section 6); the others came later and stand after them wherever adapters are written.
///
/// `None` is what was not said; an empty value (where its type has one) is what was said to be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Adapter {
    /// The name it has now; none for a device without a driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// The names it could have (`predictablename` in XML, `candidatename` in the column).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Candidates>,
    /// Where it sits (`pcilocation` in XML).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci: Option<Location>,
    /// The hardware address it uses now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<Label>,
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Label>,
    /// Whether it has a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linkstate: Option<LinkState>,
    /// The kernel driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// The link's speed in megabits a second, while there is a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<Speed>,
    /// The firmware's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware: Option<Firmware>,
    /// The address it was made with; bonds and bridges change the one it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permanent_mac: Option<Mac>,
    /// The InfiniBand node GUID (of a port, where only that is known).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<Guid>,
    /// The largest packet, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// The NUMA node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa_node: Option<NumaNode>,
    /// Vendor and device number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci_id: Option<PciId>,
}

impl Adapter {
    /// True if nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Adapter::default()
    }

    /// The fields that the original does not have: names as in XML and in records, in order.
    pub(crate) fn later(&self) -> impl Iterator<Item = (&'static str, String)> {
        fn text<T: ToString>(value: &Option<T>) -> Option<String> {
            value.as_ref().map(ToString::to_string)
        }
        [
            ("driver", text(&self.driver)),
            ("speed", text(&self.speed)),
            ("firmware", text(&self.firmware)),
            ("permanentmac", text(&self.permanent_mac)),
            ("guid", text(&self.guid)),
            ("mtu", text(&self.mtu)),
            ("numanode", text(&self.numa_node)),
            ("pciid", text(&self.pci_id)),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name, value)))
    }
}
