//! The kernel reader on this machine, against what `ip` and `udevadm` say of it. Where a tool is
//! missing the comparison is left out and says so; under CI (the variable is set) it fails.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use adapter_facts::{Adapter, Candidates, kernel};

/// The adapters of this machine that have a name, by name.
fn interfaces() -> Vec<(String, Adapter)> {
    let named = kernel::read(Path::new("/")).unwrap().into_iter();
    named
        .filter_map(|adapter| Some((adapter.interface.clone()?.to_string(), adapter)))
        .collect()
}

/// What a tool writes to standard output.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    // The scheme that ours follows; systemd's default depends on its version.
    let result = Command::new(program)
        .args(arguments)
        .env("NET_NAMING_SCHEME", "v252")
        .output();
    match result {
        Ok(output) => Some(String::from_utf8(output.stdout).unwrap()),
        Err(why) => {
            assert!(std::env::var_os("CI").is_none(), "{program}: {why}");
            eprintln!("SKIPPED: {program}: {why}");
            None
        }
    }
}

/// The values of the properties whose names begin so.
fn properties<'t>(text: &'t str, beginning: &str) -> BTreeSet<&'t str> {
    let pairs = text.lines().filter_map(|line| line.trim().split_once('='));
    pairs
        .filter(|(key, _)| key.starts_with(beginning))
        .map(|(_, value)| value)
        .collect()
}

/// True if udev runs here and knows the interface.
fn known_to_udev(name: &str) -> bool {
    let index =
        std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).unwrap_or_default();
    Path::new(&format!("/run/udev/data/n{}", index.trim())).exists()
}

#[test]
fn names_addresses_and_states_are_those_of_ip() {
    // Interfaces come and go; what ip says the same before and after holds in between.
    for _ in 0..20 {
        let Some(before) = said("ip", &["-o", "link", "show"]) else {
            return;
        };
        let ours = interfaces();
        if said("ip", &["-o", "link", "show"]).unwrap() == before {
            return compare(&before, &ours);
        }
    }
    panic!("the interfaces of this machine never stand still");
}

fn compare(text: &str, ours: &[(String, Adapter)]) {
    let mut listed = BTreeSet::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |key: &str| {
            words
                .iter()
                .skip_while(|word| **word != key)
                .nth(1)
                .copied()
        };
        let name = words[1].trim_end_matches(':').split('@').next().unwrap();
        if name == "lo" {
            continue;
        }
        listed.insert(name);
        let Some((_, adapter)) = ours.iter().find(|(ours, _)| ours == name) else {
            panic!("{name}: not found by the reader");
        };
        let state = adapter.linkstate.as_ref().map(|state| state.as_str());
        assert_eq!(state, after("state"), "{line}");
        let mtu = adapter.mtu.map(|mtu| mtu.to_string());
        assert_eq!(mtu.as_deref(), after("mtu"), "{line}");
        if words.contains(&"link/ether") {
            let mac = adapter.mac.as_ref().map(|mac| mac.as_str());
            assert_eq!(mac, after("link/ether"), "{line}");
        }
    }
    assert_eq!(
        ours.iter()
            .map(|(name, _)| name.as_str())
            .collect::<BTreeSet<_>>(),
        listed
    );
}

#[test]
fn locations_are_udevs_device_paths() {
    for (name, adapter) in interfaces() {
        let path = format!("/sys/class/net/{name}");
        let Some(text) = said("udevadm", &["info", "--query=path", "--path", &path]) else {
            return;
        };
        let location = adapter.pci.as_ref().unwrap().as_str();
        assert_eq!(format!("/devices{location}/net/{name}"), text.trim());
    }
}

#[test]
fn candidate_names_are_udevs() {
    for (name, adapter) in interfaces() {
        let path = format!("/sys/class/net/{name}");
        let text = match known_to_udev(&name) {
            true => said("udevadm", &["info", "--query=property", "--path", &path]),
            false => said("udevadm", &["test-builtin", "net_id", &path]),
        };
        let Some(text) = text else { return };
        let expected = properties(&text, "ID_NET_NAME");
        assert_eq!(adapter.candidates, Candidates::of(expected), "{name}");
    }
}

#[test]
fn vendors_and_models_are_udevs() {
    for (name, adapter) in interfaces() {
        let path = format!("/sys/class/net/{name}");
        let text = match known_to_udev(&name) {
            true => said("udevadm", &["info", "--query=property", "--path", &path]),
            false => said("udevadm", &["test-builtin", "hwdb --subsystem=pci", &path]),
        };
        let Some(text) = text else { return };
        let ours = [&adapter.vendor, &adapter.model];
        for (key, ours) in ["ID_VENDOR_FROM_DATABASE", "ID_MODEL_FROM_DATABASE"]
            .iter()
            .zip(ours)
        {
            let ours: BTreeSet<&str> = ours.iter().map(|label| label.as_str()).collect();
            let theirs = properties(&text, key);
            // Without udev's database file a pci.ids may still tell us more.
            if !theirs.is_empty() {
                assert_eq!(ours, theirs, "{name} {key}");
            }
        }
    }
}

#[test]
fn hardware_names_are_those_of_the_installed_database() {
    let path = [
        "/etc/udev/hwdb.bin",
        "/lib/udev/hwdb.bin",
        "/usr/lib/udev/hwdb.bin",
    ];
    let file = path.iter().find_map(|path| std::fs::File::open(path).ok());
    let Some(file) = file else {
        assert!(std::env::var_os("CI").is_none(), "no hwdb.bin");
        eprintln!("SKIPPED: no hwdb.bin");
        return;
    };
    let hwdb = kernel::hwdb::Hwdb::open(file).unwrap();
    let modaliases = [
        "pci:v00008086d000010FBsv00001028sd0000154Abc02sc00i00",
        "pci:v00008086d000010FB",
        "pci:v000015B3d00001011",
        "pci:v000010DFd00000710",
        "pci:v0000FFFEd0000FFFE",
        "usb:v046DpC52B:",
        "usb:v0B95p1790:",
        "acpi:PNP0A08:",
        "evdev:atkbd:dmi:bvn:bvr:bd:svnDell:pnLatitude:",
    ];
    for modalias in modaliases {
        let Some(text) = said("systemd-hwdb", &["query", modalias]) else {
            return;
        };
        let ours: BTreeSet<String> = hwdb
            .look_up(modalias)
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(
            ours,
            text.lines().map(str::to_string).collect(),
            "{modalias}"
        );
    }
}
