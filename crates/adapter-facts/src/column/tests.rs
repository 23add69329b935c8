#![allow(clippy::unwrap_used)]

use super::*;
use crate::strategies;
use proptest::prelude::*;

/// What the column keeps of these adapters.
fn subset(adapters: &[Adapter]) -> Vec<Adapter> {
    let kept = adapters.iter().filter(|adapter| device(adapter).is_some());
    kept.map(|adapter| Adapter {
        interface: adapter.interface.clone(),
        mac: adapter.mac.clone(),
        linkstate: adapter.linkstate.clone(),
        pci: adapter.pci.clone(),
        candidates: adapter.candidates.clone(),
        ..Adapter::default()
    })
    .collect()
}

#[test]
fn the_seeds_example_is_read() {
    let text = "enp12s0f1!pci=/pci0000:00/0000:00:01.0/0000:0c:00.1 mac=34:40:b5:be:6a:84 linkstate=DOWN,enp0s29u1u1u5!pci=/pci0000:00/0000:00:1d.0/usb2/2-1/2-1.1/2-1.1.5/2-1.1.5:1.0 mac=36:40:b5:bf:44:33 linkstate=UP";
    let read = parse(text);
    assert_eq!(read.len(), 2);
    assert_eq!(
        format(&read).unwrap(),
        "enp12s0f1!mac=34:40:b5:be:6a:84 linkstate=DOWN pci=/pci0000:00/0000:00:01.0/0000:0c:00.1,enp0s29u1u1u5!mac=36:40:b5:bf:44:33 linkstate=UP pci=/pci0000:00/0000:00:1d.0/usb2/2-1/2-1.1/2-1.1.5/2-1.1.5:1.0"
    );
}

#[test]
fn the_glued_form_of_2016_is_read() {
    let read = parse(
        "eno1! mac=34:40:b5:be:6a:80pci=/pci0000:00/0000:00:01.0/0000:0c:00.0 linkstate=UP qlen 1000\n    link/ether 36:40:b5:bf:44:33 brd ff:ff:ff:ff:ff:ff,enp12s0f1! mac=34:40:b5:be:6a:84pci=/virtual linkstate=DOWN ",
    );
    assert_eq!(
        format(&read).unwrap(),
        "eno1!mac=34:40:b5:be:6a:80 linkstate=UP pci=/pci0000:00/0000:00:01.0/0000:0c:00.0,enp12s0f1!mac=34:40:b5:be:6a:84 linkstate=DOWN pci=/virtual"
    );
}

#[test]
fn what_administrators_write_is_read() {
    let read = parse(
        "eth0,, eth1 !mac=00:11 note=x,bad name!mac=00:11,!mac=00:11,eth2!mac=HASH(0x5a) linkstate=UP xmac=22",
    );
    let text: Vec<_> = read.iter().map(|a| device(a).unwrap_or_default()).collect();
    assert_eq!(text, ["", "eth1!mac=00:11", "eth2!linkstate=UP"]);
    assert_eq!(read[0].interface.as_ref().unwrap().as_str(), "eth0");
}

#[test]
fn nothing_usable_is_nothing() {
    let named = parse("eth0,eth1!mac= linkstate=");
    assert_eq!(named.len(), 2);
    assert_eq!(format(&named), None);
    assert_eq!(format(&[]), None);
}

#[test]
fn the_number_read_is_bounded() {
    assert_eq!(parse(&"a!mac=00,".repeat(100_000)).len(), ADAPTERS_LIMIT);
}

proptest! {
    #[test]
    fn what_is_written_reads_back(adapters in strategies::adapters()) {
        let text = format(&adapters).unwrap_or_default();
        prop_assert_eq!(parse(&text), subset(&adapters));
    }

    #[test]
    fn a_written_text_is_never_evaluated(adapters in strategies::adapters()) {
        if let Some(text) = format(&adapters) {
            prop_assert!(!text.contains("+="));
            prop_assert!(!text.starts_with(['|', '/']));
            prop_assert!(!text.chars().any(char::is_control));
        }
    }

    #[test]
    fn any_text_is_read(text in "(\\PC|(mac|pci|linkstate|candidatename)=|[a-f0-9:/!,|= \\n]){0,200}") {
        let read = parse(&text);
        let again = format(&read).unwrap_or_default();
        prop_assert_eq!(parse(&again), subset(&read));
    }
}
