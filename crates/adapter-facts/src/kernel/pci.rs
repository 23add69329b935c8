//! Network devices on PCI that have no interface: no driver, a driver that gives them to a virtual
//! machine, or InfiniBand without IP. The stock script finds them by lspci.

use std::collections::BTreeSet;

use super::catalog::Catalog;
use super::device::Device;
use super::guid;
use super::port::pci_id;
use crate::adapter::Adapter;
use crate::value::{Driver, Label, Location, NumaNode};
use program::Tree;

/// The class byte of network controllers, InfiniBand ones (0x0207) among them.
const NETWORK: &str = "02";

/// The class of serial buses of the InfiniBand kind, which older Mellanox cards bear.
const INFINIBAND: &str = "0c06";

/// These devices by address, each with the address as its subject. `interfaces` are the paths of all
/// interfaces: a device with one of them below has been reported.
pub(super) fn without_interface(
    tree: &Tree,
    catalog: &mut Catalog<'_>,
    interfaces: &BTreeSet<String>,
) -> Vec<(String, Adapter)> {
    let mut found = Vec::new();
    for address in tree.list("/sys/bus/pci/devices").unwrap_or_default() {
        let Some(device) = Device::linked(tree, &format!("/sys/bus/pci/devices/{address}")) else {
            continue;
        };
        let below = format!("{}/", device.path());
        // The set is ordered, so the first path not before `below` is the only one to look at.
        let next = interfaces.range(below.clone()..).next();
        if is_network(&device) && !next.is_some_and(|path| path.starts_with(&below)) {
            found.push((address.clone(), read(&device, &address, catalog)));
        }
    }
    found
}

fn read(device: &Device<'_>, address: &str, catalog: &mut Catalog<'_>) -> Adapter {
    let numa_node = device.attribute("numa_node");
    Adapter {
        pci: Location::new(short(address)).ok(),
        // Vendor and model in one, as lspci has it and the stock script sends it.
        model: catalog
            .of_pci(device)
            .joined()
            .and_then(|text| Label::new(&text).ok()),
        driver: device
            .link_name("driver")
            .and_then(|name| Driver::new(&name).ok()),
        guid: guid::of_card(device),
        numa_node: numa_node.and_then(|text| NumaNode::parse(&text).ok()),
        pci_id: pci_id(device),
        ..Adapter::default()
    }
}

fn is_network(device: &Device<'_>) -> bool {
    let class = device.attribute("class").unwrap_or_default();
    let class = class.strip_prefix("0x").unwrap_or(&class);
    class.len() == 6 && (class.starts_with(NETWORK) || class.starts_with(INFINIBAND))
}

/// The address as lspci shows it: without the domain, if that is 0.
fn short(address: &str) -> &str {
    address.strip_prefix("0000:").unwrap_or(address)
}
