//! Names by a PCI device's address and by its hotplug slot.

use super::device::Device;

/// ARPHRD_INFINIBAND.
const INFINIBAND: u32 = 32;

/// `P` and the domain if it is not 0, `p` bus, `s` slot, then function and port.
pub(super) fn by_path(interface: &Device<'_>, pci: &Device<'_>) -> Option<String> {
    let place = Place::of(interface, pci)?;
    Some(format!(
        "{}p{}s{}{}",
        place.domain, place.bus, place.slot, place.end
    ))
}

/// The same by the number that is printed beside the slot, which survives a new bridge.
pub(super) fn by_slot(interface: &Device<'_>, pci: &Device<'_>) -> Option<String> {
    let place = Place::of(interface, pci)?;
    let slots = slots(pci);
    let on_the_way =
        std::iter::once(pci.clone()).chain(pci.parents().filter(|parent| parent.is_on("pci")));
    for device in on_the_way {
        let own = |(_, address): &&(u32, String)| device.name().starts_with(address.as_str());
        if let Some((number, _)) = slots.iter().find(own) {
            // Several devices behind a bridge would claim its slot.
            return (!is_bridge(&device))
                .then(|| format!("{}s{number}{}", place.domain, place.end));
        }
    }
    None
}

/// `n` and the name of the port on the card's bracket, else `d` and the number that the driver gives
/// a port that shares its function with others.
pub(super) fn port(interface: &Device<'_>) -> String {
    if let Some(name) = interface.attribute("phys_port_name") {
        return format!("n{name}");
    }
    let number = interface.number("dev_port").unwrap_or(0);
    // Older kernels tell InfiniBand's ports here instead.
    let older = || interface.hex("dev_id").map_or(0, u32::from);
    let infiniband = interface.number("type") == Some(INFINIBAND);
    match if number == 0 && infiniband {
        older()
    } else {
        number
    } {
        0 => String::new(),
        number => format!("d{number}"),
    }
}

struct Place {
    /// Written already: empty for domain 0.
    domain: String,
    bus: u32,
    slot: u32,
    /// Function and port, written.
    end: String,
}

impl Place {
    fn of(interface: &Device<'_>, pci: &Device<'_>) -> Option<Place> {
        let (domain, rest) = pci.name().split_once(':')?;
        let (bus, rest) = rest.split_once(':')?;
        let (slot, function) = rest.split_once('.')?;
        let [domain, bus, slot] =
            [domain, bus, slot].map(|text| u32::from_str_radix(text, 16).ok());
        let (domain, bus, slot) = (domain?, bus?, slot.filter(|slot| *slot < 32)?);
        let mut function: u32 = function.parse().ok().filter(|function| *function < 8)?;
        // With ARI the slot's five bits belong to the function.
        if pci
            .attribute("ari_enabled")
            .is_some_and(|text| text.starts_with('1'))
        {
            function += slot * 8;
        }
        let domain = if domain > 0 {
            format!("P{domain}")
        } else {
            String::new()
        };
        let shown = function > 0 || has_functions(pci);
        let function = if shown {
            format!("f{function}")
        } else {
            String::new()
        };
        Some(Place {
            domain,
            bus,
            slot,
            end: function + &port(interface),
        })
    }
}

/// The hotplug slots by number, with the address of what is in them (without the function).
fn slots(pci: &Device<'_>) -> Vec<(u32, String)> {
    let tree = pci.tree();
    let names = tree.list("/sys/bus/pci/slots").unwrap_or_default();
    let numbered = names
        .iter()
        .filter_map(|name| Some((name.parse().ok().filter(|n| *n > 0)?, name)));
    numbered
        .filter_map(|(number, name)| {
            Some((
                number,
                tree.text(&format!("/sys/bus/pci/slots/{name}/address"))?,
            ))
        })
        .filter(|(_, address)| !address.is_empty())
        .collect()
}

/// The header type's highest bit, at byte 14 of the configuration space.
fn has_functions(pci: &Device<'_>) -> bool {
    pci.byte("config", 14)
        .is_some_and(|header| header & 0x80 != 0)
}

fn is_bridge(pci: &Device<'_>) -> bool {
    pci.attribute("class")
        .is_some_and(|class| class.starts_with("0x0604"))
}
