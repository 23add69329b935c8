#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

const LIST: &str = "# a list\n\
8086  Intel Corporation\n\
\t10fa  Other\n\
\t10fb  82599ES 10-Gigabit\n\
\t\t8086 0003  X520-2\n\
\t\t1028 0003  Dell\n\
\t10fc  Next\n\
\t\t8086 0003  Wrong\n\
\n\
15b3  Mellanox Technologies\n\
\t10fb  Not Intel\n\
C 02  Network controller\n\
\t00  Ethernet controller\n";

fn look_up(
    list: &str,
    vendor: u16,
    device: u16,
    subsystem: Option<(u16, u16)>,
) -> (Option<String>, Option<String>) {
    let found = PciIds::new(list.as_bytes().to_vec()).look_up(&Id {
        vendor,
        device,
        subsystem,
    });
    (found.vendor, found.model)
}

fn some(text: &str) -> Option<String> {
    Some(text.to_string())
}

#[test]
fn devices_are_found_below_their_vendor() {
    let intel = some("Intel Corporation");
    assert_eq!(
        look_up(LIST, 0x8086, 0x10fb, None),
        (intel.clone(), some("82599ES 10-Gigabit"))
    );
    assert_eq!(
        look_up(LIST, 0x8086, 0x10fb, Some((0x1028, 3))),
        (intel.clone(), some("82599ES 10-Gigabit (Dell)"))
    );
    assert_eq!(
        look_up(LIST, 0x8086, 0x10fb, Some((0x1028, 4))),
        (intel.clone(), some("82599ES 10-Gigabit"))
    );
    assert_eq!(
        look_up(LIST, 0x8086, 0x10fa, Some((0x8086, 3))),
        (intel.clone(), some("Other"))
    );
    assert_eq!(
        look_up(LIST, 0x15b3, 0x10fb, None),
        (some("Mellanox Technologies"), some("Not Intel"))
    );
    assert_eq!(look_up(LIST, 0x8086, 0x9999, None), (intel, None));
    assert_eq!(look_up(LIST, 0x1234, 0x10fb, None), (None, None));
}

#[test]
fn broken_lists_are_read_as_far_as_they_go() {
    assert_eq!(look_up("8086\n", 0x8086, 1, None), (None, None));
    assert_eq!(
        look_up("\t10fb  Lost\n8086  Intel", 0x8086, 0x10fb, None),
        (some("Intel"), None)
    );
    let bytes = b"8086  Int\xffel\n".to_vec();
    let found = PciIds::new(bytes).look_up(&Id {
        vendor: 0x8086,
        device: 0,
        subsystem: None,
    });
    assert_eq!(found.vendor.unwrap(), "Int\u{fffd}el");
}

proptest! {
    #[test]
    fn any_text_is_searched(list in "([0-9a-f]{4}  [a-z]{0,5}|\\t{0,3}|\\n|#|[0-9a-f ]{1,9}|\\PC){0,60}", vendor: u16, device: u16) {
        let (vendor, model) = look_up(&list, vendor, device, Some((vendor, device)));
        prop_assert!(model.is_none() || vendor.is_some());
    }
}
