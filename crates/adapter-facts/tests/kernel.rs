//! The kernel reader on made-up machines.

#![allow(clippy::unwrap_used)]

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use adapter_facts::{ADAPTERS_LIMIT, column, from_request, kernel, record, to_request};
use machine::{Machine, text};

mod machine;

const NIC: &str = "/sys/devices/pci0000:00/0000:00:01.0/0000:0c:00.0";
const PCI_IDS: &str = "10df  Emulex Corporation\n\t0710  OneConnect 10Gb NIC (be3)\n15b3  Mellanox Technologies\n\t1011  MT27600 [Connect-IB]\n";

fn emulex() -> Machine {
    let machine = Machine::new();
    machine
        .pci(NIC, "0x020000", ("0x10df", "0x0710"), &[("numa_node", "1")])
        .link(&format!("{NIC}/driver"), "/sys/bus/pci/drivers/be2net")
        .file("/usr/share/hwdata/pci.ids", PCI_IDS);
    machine
}

#[test]
fn a_card_in_full() {
    let machine = emulex();
    let attributes = [
        ("address", "34:40:b5:be:6a:80"),
        ("operstate", "up"),
        ("speed", "10000"),
    ];
    machine.interface(NIC, "eth0", 2, &attributes);
    let adapter = machine.adapter();
    assert_eq!(
        record("n1", 0, &adapter),
        "n1:[0]->eth0!mac=34:40:b5:be:6a:80|pci=/pci0000:00/0000:00:01.0/0000:0c:00.0|candidatename=enp12s0/enx3440b5be6a80|vendor=Emulex Corporation|model=OneConnect 10Gb NIC (be3)|linkstate=UP|driver=be2net|speed=10000|mtu=1500|numanode=1|pciid=10df:0710"
    );
    let request = to_request(std::slice::from_ref(&adapter), &[]);
    let root = xcat_request::parse(request.as_bytes(), &xcat_request::Limits::default()).unwrap();
    assert_eq!(from_request(&root).adapters, [adapter]);
}

#[test]
fn udevs_database_comes_first() {
    let machine = emulex();
    machine.interface(NIC, "eno1", 2, &[("address", "34:40:b5:be:6a:80")]);
    machine.file(
        "/run/udev/data/n2",
        "I:12345\nE:ID_NET_NAME_MAC=enx3440b5be6a80\nE:ID_NET_NAME_PATH=enp12s0f0\nE:ID_NET_NAME_ONBOARD=eno1\nE:ID_NET_NAME=eno1\nE:ID_NET_NAMING_SCHEME=v252\nE:ID_VENDOR_FROM_DATABASE=Emulex Corp\nE:ID_MODEL_FROM_DATABASE=A|B\nG:tag\n",
    );
    let facts = kernel::survey(machine.root()).unwrap();
    let adapter = &facts.adapters[0];
    assert_eq!(text(&adapter.candidates), "eno1/enp12s0f0/enx3440b5be6a80");
    assert_eq!(text(&adapter.vendor), "Emulex Corp");
    assert_eq!(adapter.model, None);
    assert_eq!(facts.dropped, ["eno1: model: `A|B`: not printable text"]);
}

#[test]
fn virtio_is_a_layer_above_pci() {
    let machine = Machine::new();
    let pci = "/sys/devices/pci0000:00/0000:00:03.0";
    let virtio = format!("{pci}/virtio2");
    machine
        .pci(pci, "0x020000", ("0x1af4", "0x1041"), &[])
        .device(&virtio, "virtio", &[])
        .link(
            &format!("{virtio}/driver"),
            "/sys/bus/virtio/drivers/virtio_net",
        )
        .interface(
            &virtio,
            "eth0",
            4,
            &[("address", "02:fc:00:00:00:01"), ("operstate", "up")],
        );
    let adapter = machine.adapter();
    assert_eq!(text(&adapter.pci), "/pci0000:00/0000:00:03.0/virtio2");
    assert_eq!(text(&adapter.candidates), "enp0s3/enx02fc00000001");
    assert_eq!(text(&adapter.driver), "virtio_net");
    assert_eq!(text(&adapter.pci_id), "1af4:1041");
    assert_eq!(adapter.speed, None);
}

#[test]
fn virtual_devices_and_other_entries() {
    let machine = Machine::new();
    let base = "/sys/devices/virtual";
    machine
        .interface(
            base,
            "lo",
            1,
            &[("address", "00:00:00:00:00:00"), ("type", "772")],
        )
        .interface(
            base,
            "net0",
            5,
            &[
                ("address", "36:40:b5:bf:44:33"),
                ("operstate", "lowerlayerdown"),
                ("addr_assign_type", "3"),
            ],
        )
        .interface(
            base,
            "tun0",
            6,
            &[("address", ""), ("operstate", "unknown"), ("type", "65534")],
        )
        .file("/sys/class/net/bonding_masters", "bond0\n")
        .link("/sys/class/net/nowhere", "/sys/devices/virtual/net/nowhere")
        .link("/sys/class/net/outside", "/etc");
    let adapters = machine.adapters();
    assert_eq!(
        column::format(&adapters).unwrap(),
        "net0!mac=36:40:b5:bf:44:33 linkstate=LOWERLAYERDOWN pci=/virtual,tun0!mac= linkstate=UNKNOWN pci=/virtual"
    );
    assert!(
        adapters
            .iter()
            .all(|adapter| adapter.candidates.is_none() && adapter.vendor.is_none())
    );
}

#[test]
fn infiniband_has_guids() {
    let address = "80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:1a:2b:3d";
    let attributes = [("address", address), ("type", "32"), ("dev_id", "0x1")];
    let machine = Machine::new();
    machine
        .pci(NIC, "0x028000", ("0x15b3", "0x1003"), &[])
        .interface(NIC, "ib0", 7, &attributes);
    // Without the driver's own word, the port's.
    let adapter = machine.adapter();
    assert_eq!(text(&adapter.guid), "0002:c903:001a:2b3d");
    assert_eq!(text(&adapter.candidates), "ibp12s0d1");
    assert_eq!(text(&adapter.mac), address);
    machine.file(
        &format!("{NIC}/infiniband/mlx4_0/node_guid"),
        "0002:c903:001a:2b3c\n",
    );
    assert_eq!(text(&machine.adapter().guid), "0002:c903:001a:2b3c");
}

#[test]
fn usb_names_count_hubs() {
    let machine = Machine::new();
    let controller = "/sys/devices/pci0000:00/0000:00:1d.0";
    let usb = format!("{controller}/usb2/2-1/2-1.1/2-1.1.5");
    let function = format!("{usb}/2-1.1.5:1.0");
    machine
        .pci(controller, "0x0c0320", ("0x8086", "0x1c26"), &[])
        .device(
            &usb,
            "usb",
            &[
                ("uevent", "DEVTYPE=usb_device"),
                ("idVendor", "04b3"),
                ("idProduct", "4010"),
            ],
        )
        .device(&function, "usb", &[("uevent", "DEVTYPE=usb_interface")])
        .interface(&function, "usb0", 3, &[("address", "36:40:b5:bf:44:33")])
        // The controller is no network device and its names are not the adapter's.
        .file(
            "/usr/share/misc/pci.ids",
            "8086  Intel\n\t1c26  USB Controller\n",
        );
    let adapter = machine.adapter();
    assert_eq!(text(&adapter.candidates), "enp0s29u1u1u5/enx3640b5bf4433");
    assert_eq!(
        text(&adapter.pci),
        "/pci0000:00/0000:00:1d.0/usb2/2-1/2-1.1/2-1.1.5/2-1.1.5:1.0"
    );
    assert_eq!(text(&adapter.vendor), "");
}

#[test]
fn devices_without_an_interface_are_reported_too() {
    let machine = emulex();
    machine.interface(NIC, "eth0", 2, &[("address", "34:40:b5:be:6a:80")]);
    let ids = ("0x15b3", "0x1011");
    let bare = |address: &str| format!("/sys/devices/pci0000:00/{address}");
    machine
        .pci(&bare("0000:0c:00.1"), "0x020700", ids, &[])
        .pci(
            &bare("0001:01:00.0"),
            "0x0c0600",
            ids,
            &[("numa_node", "-1")],
        )
        .pci(&bare("0000:0d:00.0"), "0x030000", ids, &[])
        .pci(&bare("0000:0e:00.0"), "0x020000", ("0x1234", "0x5678"), &[])
        .link(
            &format!("{}/driver", bare("0001:01:00.0")),
            "/sys/bus/pci/drivers/mlx5_core",
        )
        .file(
            &format!("{}/infiniband/mlx5_0/node_guid", bare("0001:01:00.0")),
            "0002:c903:001a:2b3c",
        );
    let lines: Vec<String> = machine
        .adapters()
        .iter()
        .skip(1)
        .map(|adapter| record("n1", 0, adapter))
        .collect();
    assert_eq!(
        lines,
        [
            "n1:[0]->pci=0c:00.1|model=Mellanox Technologies MT27600 [Connect-IB]|pciid=15b3:1011",
            "n1:[0]->pci=0e:00.0|pciid=1234:5678",
            "n1:[0]->pci=0001:01:00.0|model=Mellanox Technologies MT27600 [Connect-IB]|driver=mlx5_core|guid=0002:c903:001a:2b3c|pciid=15b3:1011",
        ]
    );
}

#[test]
fn hostile_names_and_values() {
    let machine = emulex();
    let attributes = [
        ("address", "|a|b|\u{1b}"),
        ("operstate", "up, pci=x"),
        ("speed", "99999999999"),
        ("phys_port_name", "a,b"),
    ];
    machine.interface(NIC, "a|b,c!d=", 2, &attributes);
    machine.interface(
        "/sys/devices/virtual",
        "0123456789abcdef",
        3,
        &[("address", "00:11")],
    );
    machine
        .file(&format!("/sys/devices/virtual/net/big/{}", "ifindex"), "9")
        .link("/sys/class/net/big", "/sys/devices/virtual/net/big");
    machine.file(
        "/sys/devices/virtual/net/big/address",
        "34:".repeat(100_000),
    );
    let raw = machine
        .root()
        .join("sys/class/net")
        .join(std::ffi::OsStr::from_bytes(b"eth\xff"));
    symlink("../../devices/virtual/net/x", raw).unwrap();
    let facts = kernel::survey(machine.root()).unwrap();
    let text = column::format(&facts.adapters).unwrap();
    assert_eq!(text, "big!pci=/virtual");
    assert_eq!(facts.dropped.len(), 5, "{:#?}", facts.dropped);
    assert!(
        facts
            .dropped
            .iter()
            .all(|line| !line.chars().any(char::is_control))
    );
    // The card is still reported, by where it sits.
    assert!(
        facts
            .adapters
            .iter()
            .any(|adapter| adapter.interface.is_none() && adapter.pci_id.is_some())
    );
}

#[test]
fn a_thing_that_would_block_is_not_opened() {
    let machine = emulex();
    machine.interface(NIC, "eth0", 2, &[]);
    let fifo = machine
        .root()
        .join(NIC.trim_start_matches('/'))
        .join("net/eth0/address");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(text(&machine.adapter().mac), "");
}

#[test]
fn too_many_adapters_cost_virtual_ones() {
    let machine = emulex();
    for n in 0..ADAPTERS_LIMIT {
        let index = u32::try_from(n).unwrap() + 10;
        machine.interface(
            "/sys/devices/virtual",
            &format!("br{n}"),
            index,
            &[("address", "00:11")],
        );
    }
    machine.interface(NIC, "eth0", 2, &[("address", "34:40:b5:be:6a:80")]);
    let facts = kernel::survey(machine.root()).unwrap();
    assert_eq!(facts.adapters.len(), ADAPTERS_LIMIT);
    assert_eq!(text(&facts.adapters[0].interface), "eth0");
    assert_eq!(facts.dropped.len(), 1);
}

#[test]
fn without_sysfs_there_is_an_error() {
    let empty = tempfile::tempdir().unwrap();
    let error = kernel::read(&empty.path().join("none")).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("sys/class/net: cannot list the network interfaces"),
        "{error}"
    );
    assert!(kernel::read(Path::new("/proc/self/nothing")).is_err());
}
