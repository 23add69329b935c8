#![allow(clippy::unwrap_used)]

use super::*;
use crate::{column, strategies};
use proptest::prelude::*;

/// The changes between two columns, as text.
fn texts(old: &str, new: &str) -> Vec<String> {
    let changes = diff(&column::parse(old), &column::parse(new));
    changes.iter().map(ToString::to_string).collect()
}

const ENO1: &str = "eno1!mac=34:40:b5:be:6a:80 linkstate=UP pci=/pci0000:00/0000:0c:00.0";

#[test]
fn nothing_changed() {
    assert_eq!(texts(ENO1, ENO1), [""; 0]);
    assert_eq!(
        texts(
            "eno1!mac=34:40:b5:be:6a:80",
            &ENO1.replace("be:6a", "BE:6A")
        ),
        [""; 0]
    );
}

#[test]
fn ports_come_and_go() {
    let two = format!("{ENO1},eno2!mac=34:40:b5:be:6a:81 pci=/pci0000:00/0000:0c:00.1");
    assert_eq!(texts(ENO1, &two), ["eno2: new (mac 34:40:b5:be:6a:81)"]);
    assert_eq!(texts(&two, ENO1), ["eno2: gone (mac 34:40:b5:be:6a:81)"]);
}

#[test]
fn a_card_was_swapped() {
    let other = "eno1!mac=00:00:00:00:00:01 linkstate=DOWN pci=/pci0000:00/0000:0c:00.0";
    assert_eq!(
        texts(ENO1, other),
        [
            "eno1: NIC swapped, mac was 34:40:b5:be:6a:80, is 00:00:00:00:00:01",
            "eno1: link UP -> DOWN"
        ]
    );
    let renamed = "ens1!mac=00:00:00:00:00:01 pci=/pci0000:00/0000:0c:00.0";
    assert_eq!(
        texts(ENO1, renamed),
        ["ens1: NIC swapped, mac was 34:40:b5:be:6a:80, is 00:00:00:00:00:01"]
    );
}

#[test]
fn names_changed_places() {
    let old = "eth0!mac=00:01 pci=/a:0,eth1!mac=00:02 pci=/a:1";
    let new = "eth0!mac=00:02 pci=/a:1,eth1!mac=00:01 pci=/a:0";
    assert_eq!(
        texts(old, new),
        [
            "eth0 at /a:1: same NIC as eth1 at /a:1 before (mac 00:02)",
            "eth1 at /a:0: same NIC as eth0 at /a:0 before (mac 00:01)"
        ]
    );
}

#[test]
fn a_card_moved_to_another_slot() {
    assert_eq!(
        texts("enp1s0!mac=00:01 pci=/a:0", "enp2s0!mac=00:01 pci=/b:0"),
        ["enp2s0 at /b:0: same NIC as enp1s0 at /a:0 before (mac 00:01)"]
    );
}

#[test]
fn virtual_devices_are_not_swapped() {
    let bridge = "br0!mac=00:01 pci=/virtual";
    assert_eq!(texts(bridge, "br0!mac=00:02 pci=/virtual"), [""; 0]);
    // A bridge with its port's address is not that port.
    assert_eq!(
        texts(
            "br0!mac=00:01 pci=/virtual,eno1!mac=00:01 pci=/a:0",
            "eno1!mac=00:01 pci=/a:0"
        ),
        ["br0: gone (mac 00:01)"]
    );
}

#[test]
fn the_stored_form_is_stable() {
    let changes = diff(
        &column::parse(ENO1),
        &column::parse(&ENO1.replace("UP", "DOWN")),
    );
    assert_eq!(
        serde_json::to_string(&changes).unwrap(),
        r#"[{"change":"link","port":{"interface":"eno1","pci":"/pci0000:00/0000:0c:00.0","mac":"34:40:b5:be:6a:80"},"was":"UP","now":"DOWN"}]"#
    );
}

proptest! {
    #[test]
    fn every_port_is_accounted_for(old in strategies::adapters(), new in strategies::adapters()) {
        let changes = diff(&old, &new);
        let count = |wanted: fn(&Change) -> bool| changes.iter().filter(|change| wanted(change)).count();
        let gone = count(|change| matches!(change, Change::Gone { .. }));
        let came = count(|change| matches!(change, Change::New { .. }));
        prop_assert_eq!(old.len() - gone, new.len() - came);
        let back: Vec<Change> = serde_json::from_str(&serde_json::to_string(&changes).unwrap()).unwrap();
        prop_assert_eq!(&back, &changes);
        for change in &changes {
            prop_assert!(!change.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn the_same_report_shows_no_change(adapters in strategies::adapters()) {
        let mut names = std::collections::BTreeSet::new();
        let unique: Vec<_> = adapters.into_iter()
            .filter(|a| a.interface.as_ref().is_some_and(|name| names.insert(name.clone()))).collect();
        prop_assert_eq!(diff(&unique, &unique), vec![]);
    }
}
