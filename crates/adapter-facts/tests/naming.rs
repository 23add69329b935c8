//! Predictable names, composed as systemd composes them.

#![allow(clippy::unwrap_used)]

use machine::{Machine, text};

mod machine;

const BRIDGE: &str = "/sys/devices/pci0000:00/0000:00:02.0";
const MAC: (&str, &str) = ("address", "34:40:b5:be:6a:80");

/// The names by place of an interface on a PCI function.
fn names(machine: &Machine, pci: &str, attributes: &[(&str, &str)]) -> String {
    let all: Vec<_> = [("addr_assign_type", "1"), MAC]
        .iter()
        .chain(attributes)
        .copied()
        .collect();
    machine.interface(pci, "eth0", 2, &all);
    text(&machine.adapter().candidates)
}

/// A machine with a function of a card behind a bridge.
fn behind_bridge(address: &str, attributes: &[(&str, &str)]) -> (Machine, String) {
    let machine = Machine::new();
    let pci = format!("{BRIDGE}/{address}");
    machine.pci(BRIDGE, "0x060400", ("0x8086", "0x0001"), &[]);
    machine.pci(&pci, "0x020000", ("0x8086", "0x10fb"), attributes);
    (machine, pci)
}

/// Configuration space of a device with several functions.
fn multifunction() -> Vec<u8> {
    let mut config = vec![0; 64];
    config[14] = 0x80;
    config
}

#[test]
fn paths_have_domain_function_and_port() {
    let (machine, pci) = behind_bridge("0000:0c:00.0", &[]);
    assert_eq!(names(&machine, &pci, &[]), "enp12s0");
    let (machine, pci) = behind_bridge("0002:0c:1f.3", &[]);
    assert_eq!(names(&machine, &pci, &[]), "enP2p12s31f3");
    let (machine, pci) = behind_bridge("0000:0c:00.0", &[]);
    machine.file(&format!("{pci}/config"), multifunction());
    assert_eq!(names(&machine, &pci, &[("dev_port", "1")]), "enp12s0f0d1");
    let (machine, pci) = behind_bridge("0000:0c:00.1", &[]);
    assert_eq!(
        names(
            &machine,
            &pci,
            &[("dev_port", "1"), ("phys_port_name", "p0")]
        ),
        "enp12s0f1np0"
    );
}

#[test]
fn ari_functions_are_counted_across_slots() {
    let (machine, pci) = behind_bridge("0000:0c:02.1", &[("ari_enabled", "1")]);
    assert_eq!(names(&machine, &pci, &[]), "enp12s2f17");
}

#[test]
fn firmware_numbers_onboard_devices() {
    let (machine, pci) = behind_bridge("0000:0c:00.0", &[("acpi_index", "1")]);
    assert_eq!(names(&machine, &pci, &[]), "eno1/enp12s0");
    let (machine, pci) = behind_bridge("0000:0c:00.0", &[("index", "2")]);
    assert_eq!(
        names(&machine, &pci, &[("dev_port", "3")]),
        "eno2d3/enp12s0d3"
    );
    // What some firmware says of every device.
    let (machine, pci) = behind_bridge("0000:0c:00.0", &[("acpi_index", "16777215")]);
    assert_eq!(names(&machine, &pci, &[]), "enp12s0");
}

#[test]
fn slots_are_those_of_the_card_not_of_a_bridge() {
    let (machine, pci) = behind_bridge("0000:0c:00.1", &[]);
    machine.file("/sys/bus/pci/slots/4/address", "0000:0c:00\n");
    machine.file("/sys/bus/pci/slots/0/address", "0000:0c:00\n");
    machine.file("/sys/bus/pci/slots/4-1/address", "0000:0c:00\n");
    assert_eq!(names(&machine, &pci, &[]), "enp12s0f1/ens4f1");
    let (machine, pci) = behind_bridge("0000:0c:00.1", &[]);
    machine.file("/sys/bus/pci/slots/2/address", "0000:00:02\n");
    assert_eq!(names(&machine, &pci, &[]), "enp12s0f1");
}

#[test]
fn virtual_functions_bear_their_physical_functions_name() {
    let (machine, physical) = behind_bridge("0000:0c:00.1", &[("acpi_index", "7")]);
    let function = format!("{BRIDGE}/0000:0c:10.3");
    machine
        .pci(&function, "0x020000", ("0x8086", "0x10ed"), &[])
        .link(&format!("{function}/physfn"), &physical)
        .link(&format!("{physical}/virtfn1"), &function);
    machine.interface(&function, "eth0", 2, &[MAC, ("addr_assign_type", "1")]);
    let adapters = machine.adapters();
    assert_eq!(text(&adapters[0].candidates), "eno7v1/enp12s0f1v1");
    // The physical function has no interface of its own here.
    assert_eq!(text(&adapters[1].pci), "0c:00.1");
}

#[test]
fn addresses_make_names_only_if_they_are_the_hardwares() {
    let names = |attributes: &[(&str, &str)]| {
        let (machine, pci) = behind_bridge("0000:0c:00.0", &[]);
        machine.interface(&pci, "eth0", 2, attributes);
        text(&machine.adapter().candidates)
    };
    assert_eq!(names(&[MAC]), "enp12s0/enx3440b5be6a80");
    assert_eq!(names(&[MAC, ("addr_assign_type", "2")]), "enp12s0");
    assert_eq!(names(&[("address", "00:00:00:be:6a:80")]), "enp12s0");
    assert_eq!(
        names(&[MAC, ("uevent", "DEVTYPE=wlan")]),
        "wlp12s0/wlx3440b5be6a80"
    );
    assert_eq!(names(&[MAC, ("iflink", "9")]), "");
    assert_eq!(names(&[MAC, ("type", "772")]), "");
}

#[test]
fn ibms_virtual_adapters_have_slots() {
    let machine = Machine::new();
    machine.device("/sys/devices/vio/30000002", "vio", &[]);
    assert_eq!(names(&machine, "/sys/devices/vio/30000002", &[]), "env2");
    assert_eq!(text(&machine.adapter().pci), "/vio/30000002");
}
