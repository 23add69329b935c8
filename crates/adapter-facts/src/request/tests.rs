#![allow(clippy::unwrap_used)]

use super::*;
use crate::facts::ADAPTERS_LIMIT;
use crate::strategies;

use proptest::prelude::*;
use xcat_request::{Limits, parse};

fn tree(text: &str) -> Element {
    parse(text.as_bytes(), &Limits::default()).unwrap()
}

#[test]
fn written_as_the_stock_script_writes() {
    let adapter = Adapter {
        interface: Some(Interface::new("eno1").unwrap()),
        candidates: Some(Candidates::new("eno1/enp12s0f0").unwrap()),
        pci: Some(Location::new("/pci0000:00/0000:0c:00.0").unwrap()),
        mac: Some(Mac::new("").unwrap()),
        vendor: Some(crate::Label::new("A & <B>").unwrap()),
        linkstate: Some(LinkState::new("UP").unwrap()),
        speed: Some(crate::Speed::new(10_000).unwrap()),
        ..Adapter::default()
    };
    assert_eq!(
        to_request(&[adapter], &[("nonce", "a<b")]),
        "<xcatrequest>\n<command>getadapter</command>\n<action>update</action>\n<nonce>a&lt;b</nonce>\n<nic>\n<interface>eno1</interface>\n<predictablename>eno1/enp12s0f0</predictablename>\n<pcilocation>/pci0000:00/0000:0c:00.0</pcilocation>\n<mac></mac>\n<vendor>A &amp; &lt;B&gt;</vendor>\n<linkstate>UP</linkstate>\n<speed>10000</speed>\n</nic>\n</xcatrequest>\n"
    );
}

#[test]
fn frames_of_the_fifo_are_read() {
    let facts = from_request(&tree(
        "<opt node=\"n1\">\n  <nic>\n    <interface>eno1</interface>\n    <linkstate>UP </linkstate>\n    <mac>34:40:b5:be:6a:80</mac>\n  </nic>\n</opt>\n",
    ));
    let text = crate::column::format(&facts.adapters).unwrap();
    assert_eq!(text, "eno1!mac=34:40:b5:be:6a:80 linkstate=UP");
    assert_eq!(facts.dropped, [""; 0]);
}

#[test]
fn the_names_of_the_file_generation_are_read() {
    let facts = from_request(&tree(
        "<xcatrequest><nic><interface>eno1</interface><predictablename>eno1,enp1s0</predictablename></nic></xcatrequest>",
    ));
    assert_eq!(
        facts.adapters[0].candidates.as_ref().unwrap().as_str(),
        "eno1/enp1s0"
    );
}

#[test]
fn what_does_not_fit_is_dropped_by_name() {
    let facts = from_request(&tree(
        "<xcatrequest><nic><interface>|a|b|</interface><mac>x\n\u{9b}</mac><linkstate>up</linkstate><speed>-1</speed></nic>\
         <nic><interface>eth0</interface><pcilocation>/a,b!c=d</pcilocation><vendor>x|y</vendor><firmware></firmware></nic>\
         <nic/></xcatrequest>",
    ));
    assert_eq!(
        facts.dropped,
        [
            "nic 0: interface: `|a|b|`: not a name of a network interface",
            "nic 0: mac: `x\\n\\u{9b}`: not a hardware address",
            "nic 0: linkstate: `up`: not a link state",
            "nic 0: speed: `-1`: not a number",
            "nic 1: pcilocation: `/a,b!c=d`: not a device's location",
            "nic 1: vendor: `x|y`: not printable text",
        ]
    );
    assert_eq!(facts.adapters.len(), 1);
    assert_eq!(
        facts.adapters[0].interface.as_ref().unwrap().as_str(),
        "eth0"
    );
}

#[test]
fn a_flood_of_adapters_is_cut() {
    let nics = "<nic><pcilocation>0c:00.1</pcilocation></nic>".repeat(2_000);
    let facts = from_request(&tree(&format!("<xcatrequest>{nics}</xcatrequest>")));
    assert_eq!(facts.adapters.len(), ADAPTERS_LIMIT);
    assert!(facts.dropped.len() <= 64);
}

proptest! {
    #[test]
    fn what_is_written_reads_back(adapters in strategies::adapters()) {
        let mut kept = adapters;
        let mut names = std::collections::BTreeSet::new();
        for adapter in &mut kept {
            // Empty elements are left out but for the mac; two of a name are not one node's.
            adapter.candidates = adapter.candidates.take().filter(|value| !value.as_str().is_empty());
            adapter.pci = adapter.pci.take().filter(|value| !value.as_str().is_empty());
            adapter.vendor = adapter.vendor.take().filter(|value| !value.as_str().is_empty());
            adapter.model = adapter.model.take().filter(|value| !value.as_str().is_empty());
            adapter.linkstate = adapter.linkstate.take().filter(|value| !value.as_str().is_empty());
        }
        kept.retain(|adapter| !adapter.is_empty() && adapter.interface.as_ref().is_none_or(|name| names.insert(name.clone())));
        let facts = from_request(&tree(&to_request(&kept, &[])));
        prop_assert_eq!(facts.dropped, Vec::<String>::new());
        prop_assert_eq!(facts.adapters, kept);
    }

    #[test]
    fn any_element_is_read(fields in proptest::collection::vec(("(interface|predictablename|pcilocation|mac|vendor|model|linkstate|speed|guid|other)", "\\PC{0,30}|[|/+=,! a-f0-9:\\n]{0,30}"), 0..20)) {
        let nic = Element::node("nic", fields.iter().map(|(name, text)| Element::leaf(name, text)).collect());
        let facts = from_request(&Element::node("xcatrequest", vec![nic]));
        prop_assert!(facts.adapters.len() <= 1);
        prop_assert!(facts.dropped.iter().all(|line| !line.chars().any(char::is_control)));
    }
}
