//! The names that udev would give an interface, for systems without udev: systemd's scheme
//! (`systemd.net-naming-scheme`, as of version 252) for what xCAT's nodes have: PCI with slots,
//! functions, ports and virtual functions, virtio, USB, IBM's virtual I/O, hardware addresses.
//!
//! Not composed: names of s390 channels, ARM platform devices and Broadcom buses.

use super::device::Device;
use super::slot;

/// ARPHRD_ETHER and ARPHRD_INFINIBAND.
const ETHERNET: u32 = 1;
const INFINIBAND: u32 = 32;
const SLIP: u32 = 256;

/// NET_ADDR_PERM: the address is the hardware's own.
const PERMANENT: u32 = 0;

/// Firmware's numbers above this are nonsense (systemd's ONBOARD_14BIT_INDEX_MAX).
const ONBOARD_LIMIT: u32 = 16_383;

/// All names, in no order of rank.
pub(super) fn names(interface: &Device<'_>) -> Vec<String> {
    let Some(prefix) = prefix(interface) else {
        return Vec::new();
    };
    // A VLAN has the hardware of the interface below it.
    if interface.number("iflink") != interface.number("ifindex") {
        return Vec::new();
    }
    let hardware = by_address(interface).into_iter().chain(by_place(interface));
    hardware.map(|name| format!("{prefix}{name}")).collect()
}

/// What kind of interface it is, in two letters.
fn prefix(interface: &Device<'_>) -> Option<&'static str> {
    match interface.number("type")? {
        ETHERNET => Some(match interface.variable("DEVTYPE").as_deref() {
            Some("wlan") => "wl",
            Some("wwan") => "ww",
            _ => "en",
        }),
        INFINIBAND => Some("ib"),
        SLIP => Some("sl"),
        _ => None,
    }
}

/// `x` and the address. An InfiniBand address is too long for a name.
fn by_address(interface: &Device<'_>) -> Option<String> {
    if interface.number("addr_assign_type")? != PERMANENT {
        return None;
    }
    let address = interface.attribute("address")?;
    let digits: String = address.split(':').collect();
    // Addresses that start with three zero bytes are Xerox' and in truth nobody's.
    let usable = address.len() == 17 && digits.len() == 12 && !digits.starts_with("000000");
    usable.then(|| format!("x{}", digits.to_ascii_lowercase()))
}

fn by_place(interface: &Device<'_>) -> Vec<String> {
    // Virtio is a layer above its PCI device, not a bus in between.
    let Some(parent) = interface.parents().find(|parent| !parent.is_on("virtio")) else {
        return Vec::new();
    };
    if parent.is_on("vio") {
        return vio_slot(&parent).into_iter().collect();
    }
    let direct = parent.is_on("pci");
    let pci = if direct {
        Some(parent)
    } else {
        interface.parent_on("pci")
    };
    let Some(pci) = pci else {
        return Vec::new();
    };
    // A virtual function bears its physical function's names and its own number.
    let (pci, suffix) = match virtual_function(&pci) {
        Some((physical, number)) => (physical, format!("v{number}")),
        None => (pci, String::new()),
    };
    let places = [
        slot::by_path(interface, &pci),
        slot::by_slot(interface, &pci),
    ];
    let mut names: Vec<String> = places.into_iter().flatten().collect();
    if direct {
        names.extend(onboard(interface, &pci));
    } else if let Some(ports) = usb_ports(interface) {
        // Firmware numbers the controller, not what is plugged into it.
        return names
            .iter()
            .map(|name| format!("{name}{suffix}{ports}"))
            .collect();
    } else {
        return Vec::new();
    }
    names.iter().map(|name| format!("{name}{suffix}")).collect()
}

/// `o` and the firmware's number of the device, by ACPI or else by SMBIOS.
fn onboard(interface: &Device<'_>, pci: &Device<'_>) -> Option<String> {
    let index = pci.number("acpi_index").or_else(|| pci.number("index"))?;
    let port = slot::port(interface);
    (index <= ONBOARD_LIMIT).then(|| format!("o{index}{port}"))
}

/// The physical function of a virtual one, and which of its virtual functions it is.
fn virtual_function<'t>(pci: &Device<'t>) -> Option<(Device<'t>, u32)> {
    let physical = pci.link("physfn")?;
    let is_mine = |name: &str| {
        physical
            .link(name)
            .is_some_and(|one| one.path() == pci.path())
    };
    let functions = physical
        .entries("")
        .into_iter()
        .filter(|name| name.starts_with("virtfn"));
    let mine = functions
        .filter(|name| is_mine(name))
        .find_map(|name| name["virtfn".len()..].parse().ok())?;
    Some((physical, mine))
}

/// `u` and the port, for each hub on the way; configuration and interface where they are not the
/// usual ones: `2-1.1.5:1.0` is `u1u1u5`.
fn usb_ports(interface: &Device<'_>) -> Option<String> {
    let is_interface = |device: &Device<'_>| {
        device
            .variable("DEVTYPE")
            .is_some_and(|kind| kind == "usb_interface")
    };
    let usb = interface
        .parents()
        .find(|parent| parent.is_on("usb") && is_interface(parent))?;
    let (ports, function) = usb.name().split_once('-')?.1.split_once(':')?;
    let (configuration, number) = function.split_once('.')?;
    let configuration = if configuration == "1" {
        String::new()
    } else {
        format!("c{configuration}")
    };
    let number = if number == "0" {
        String::new()
    } else {
        format!("i{number}")
    };
    Some(format!(
        "u{}{configuration}{number}",
        ports.replace('.', "u")
    ))
}

/// `v` and the slot that the hypervisor's console shows: `/devices/vio/30000002` is `v2`.
fn vio_slot(vio: &Device<'_>) -> Option<String> {
    let name = vio.name();
    let slot = name.get(4..8).filter(|_| name.len() == 8)?;
    Some(format!("v{}", u32::from_str_radix(slot, 16).ok()?))
}
