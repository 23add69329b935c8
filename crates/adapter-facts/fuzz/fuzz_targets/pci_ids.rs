//! A pci.ids, after eight bytes of numbers to look up.

#![no_main]

use adapter_facts::kernel::pci_ids::{Id, PciIds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((numbers, list)) = data.split_at_checked(8) else {
        return;
    };
    let number = |at: usize| u16::from_be_bytes([numbers[at], numbers[at + 1]]);
    let id = Id {
        vendor: number(0),
        device: number(2),
        subsystem: Some((number(4), number(6))),
    };
    let found = PciIds::new(list.to_vec()).look_up(&id);
    assert!(found.model.is_none() || found.vendor.is_some());
});
