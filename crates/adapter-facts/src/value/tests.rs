#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

#[test]
fn interfaces_are_the_kernels_without_separators() {
    for good in [
        "eno1",
        "br-eno1",
        "bond0.100",
        "net0",
        "enP2p1s0f0np0",
        "a",
        "123456789012345",
    ] {
        assert_eq!(Interface::new(good).unwrap().as_str(), good);
    }
    let bad = [
        "",
        ".",
        "..",
        "1234567890123456",
        "a b",
        "a/b",
        "a:b",
        "a,b",
        "a!b",
        "a|b",
        "a=b",
        "a\nb",
        "a\u{1b}b",
        "$(id)",
        "a;b",
        "`a`",
        "größe",
        "a\u{fffd}",
    ];
    for bad in bad {
        assert!(Interface::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn macs_have_one_to_32_bytes() {
    for good in [
        "",
        "00",
        "34:40:b5:be:6a:80",
        "34:40:B5:BE:6A:80",
        &["80"; 20].join(":"),
        &["80"; 32].join(":"),
    ] {
        assert!(Mac::new(good).is_ok(), "{good:?}");
    }
    for bad in [
        "3",
        "34:",
        ":34",
        "34:4",
        "34-40",
        "34::40",
        "HASH(0x5581)",
        "3g",
        &["80"; 33].join(":"),
    ] {
        assert!(Mac::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn locations_are_paths_or_addresses() {
    for good in [
        "/virtual",
        "0c:00.1",
        "/pci0000:00/0000:00:1d.0/usb2/2-1/2-1.1/2-1.1.5/2-1.1.5:1.0",
        "/platform/soc@0/30be0000.ethernet",
        "",
    ] {
        assert!(Location::new(good).is_ok(), "{good:?}");
    }
    for bad in [
        "/a/", "/a|b", "/a b", "/a,b", "/a/../b", "/a//b", "|a|b|", "/a+=b", "/a=b", "//",
    ] {
        assert!(Location::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn labels_take_what_vendors_write() {
    for good in [
        "A & B",
        "OneConnect 10Gb NIC (be3), v2!",
        "Größe",
        "I/O, Inc.",
    ] {
        assert!(Label::new(good).is_ok(), "{good:?}");
    }
    for bad in [
        "a|b",
        "a += b; a+=b",
        "/a/b/",
        " a",
        "a\tb",
        "a\u{202e}b",
        "a\u{fffd}",
    ] {
        assert!(Label::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn candidates_are_sorted_once_each() {
    let names = [
        "enx3440b5be6a80",
        "eno1",
        "bad name",
        "eno1",
        "a/b",
        "",
        "enp12s0f0",
    ];
    let names = Candidates::of(names).unwrap();
    assert_eq!(names.as_str(), "eno1/enp12s0f0/enx3440b5be6a80");
    assert_eq!(Candidates::of(["!", ""]), None);
    for bad in ["a//b", "/a", "a/", "a,b", "a/../b", &"a".repeat(128)] {
        assert!(Candidates::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn the_rest() {
    assert!(LinkState::new("LOWERLAYERDOWN").is_ok() && LinkState::new("UP ").is_err());
    assert!(Guid::new("0002:c903:001a:2b3c").is_ok() && Guid::new("0002:c903:001a").is_err());
    assert!(PciId::new("15b3:1011").is_ok() && PciId::new("15b3:101").is_err());
    assert!(
        Driver::new("mlx5_core").is_ok() && Driver::new("").is_err() && Driver::new("a b").is_err()
    );
    assert_eq!(Speed::parse("25000").unwrap().get(), 25_000);
    for bad in [
        "",
        "-1",
        "+1",
        " 1",
        "100000001",
        "4294967296",
        "99999999999",
    ] {
        assert!(Speed::parse(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn deserializing_checks_too() {
    assert!(serde_json::from_str::<Mac>("\"34:40:b5:be:6a:80\"").is_ok());
    assert!(serde_json::from_str::<Mac>("\"|a|b|\"").is_err());
    assert!(serde_json::from_str::<Interface>("\"\"").is_err());
    assert!(serde_json::from_str::<Speed>("100000001").is_err());
}

proptest! {
    #[test]
    fn no_value_is_evaluated_or_obeyed(text in "(\\PC|[|/+=,! \\x00-\\x1f]){0,300}") {
        let made: Vec<String> = [
            Interface::new(&text).map(String::from), Candidates::new(&text).map(String::from),
            Location::new(&text).map(String::from), Mac::new(&text).map(String::from),
            Label::new(&text).map(String::from), LinkState::new(&text).map(String::from),
            Driver::new(&text).map(String::from), Firmware::new(&text).map(String::from),
            Guid::new(&text).map(String::from), PciId::new(&text).map(String::from),
        ].into_iter().flatten().collect();
        for value in made {
            prop_assert_eq!(&value, &text);
            prop_assert!(!value.contains('|') && !value.contains("+="));
            prop_assert!(value.len() < 2 || !(value.starts_with('/') && value.ends_with('/')));
            prop_assert!(!value.chars().any(char::is_control));
        }
    }

    #[test]
    fn column_values_have_no_separator(text in "[a-f0-9:/.,!= |A-Z-]{0,60}") {
        let made: Vec<String> = [
            Interface::new(&text).map(String::from), Candidates::new(&text).map(String::from),
            Location::new(&text).map(String::from), Mac::new(&text).map(String::from),
            LinkState::new(&text).map(String::from),
        ].into_iter().flatten().collect();
        for value in made {
            prop_assert!(!value.contains([',', '!', '=', '|', ' ']));
        }
    }
}
