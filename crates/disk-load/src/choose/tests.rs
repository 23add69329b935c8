#![allow(clippy::unwrap_used)]

use disk_image::order::DiskChoice;

use super::{Refused, Want, choose};
use crate::survey::{Disk, Reserve, Unusable};

const GB: u64 = 1_000_000_000;

fn disk(name: &str) -> Disk {
    Disk {
        name: name.to_string(),
        size: 100 * GB,
        serial: Some(format!("S-{name}")),
        wwn: Some(format!("naa.5000c500{name}")),
        model: None,
        unsafe_because: None,
        unusable_because: None,
    }
}

fn reserved(name: &str, why: Reserve) -> Disk {
    Disk {
        unsafe_because: Some(why),
        ..disk(name)
    }
}

fn unusable(name: &str, why: Unusable) -> Disk {
    Disk {
        unusable_because: Some(why),
        ..disk(name)
    }
}

fn want<'a>(image: &'a str, disk: Option<&'a DiskChoice>) -> Want<'a> {
    Want {
        image,
        size: 10 * GB,
        disk,
    }
}

fn names(disks: &[Disk], wants: &[Want<'_>]) -> Result<Vec<String>, Refused> {
    let chosen = choose(disks, wants)?;
    Ok(chosen.into_iter().map(|disk| disk.name.clone()).collect())
}

#[test]
fn the_only_disk_that_may_be_taken_is_taken() {
    let disks = [
        reserved("sda", Reserve::Usb),
        disk("sdb"),
        reserved("sdc", Reserve::Network("iSCSI")),
        unusable("loop0", Unusable::Virtual),
        unusable("sdd", Unusable::InUse("sdd1 is mounted on /".into())),
    ];
    assert_eq!(names(&disks, &[want("a", None)]).unwrap(), ["sdb"]);
}

#[test]
fn without_a_candidate_everything_that_is_there_is_told() {
    let disks = [
        reserved("sda", Reserve::Usb),
        reserved("sdb", Reserve::Multipath),
        unusable("loop0", Unusable::Virtual),
    ];
    let why = names(&disks, &[want("a", None)]).unwrap_err().to_string();
    assert!(
        why.starts_with("a: no disk may be taken for it: sda (100000000000 bytes, serial S-sda,")
    );
    assert!(why.contains("attached by USB") && why.contains("sdb") && why.contains("paths"));
    assert!(!why.contains("loop0"), "{why}");
    let why = names(&[], &[want("a", None)]).unwrap_err().to_string();
    assert_eq!(why, "a: no disk may be taken for it: there is none");
}

#[test]
fn two_candidates_are_one_too_many_until_one_is_named() {
    let disks = [disk("sda"), disk("sdb")];
    let error = names(&disks, &[want("a", None)]).unwrap_err();
    assert!(matches!(error, Refused::Several { .. }), "{error}");
    assert!(error.to_string().contains("sda (") && error.to_string().contains("sdb ("));
    for choice in [
        DiskChoice::Name("sdb".into()),
        DiskChoice::Serial("S-sdb".into()),
        DiskChoice::Wwn("wwn-0x5000C500sdb".into()),
    ] {
        let named = names(&disks, &[want("a", Some(&choice))]).unwrap();
        assert_eq!(named, ["sdb"]);
        // What is left for the other image.
        let both = names(&disks, &[want("a", None), want("b", Some(&choice))]).unwrap();
        assert_eq!(both, ["sda", "sdb"]);
    }
    let many: Vec<Disk> = (0..40).map(|n| disk(&format!("sd{n}"))).collect();
    let why = names(&many, &[want("a", None)]).unwrap_err().to_string();
    assert!(why.ends_with("and 28 more"), "{why}");
}

#[test]
fn what_is_not_the_nodes_own_is_taken_by_number_only() {
    let (serial, name) = (
        DiskChoice::Serial("S-sda".into()),
        DiskChoice::Name("sda".into()),
    );
    for why in [
        Reserve::Network("Fibre Channel"),
        Reserve::Multipath,
        Reserve::Usb,
        Reserve::Removable,
    ] {
        let disks = [reserved("sda", why)];
        assert_eq!(names(&disks, &[want("a", Some(&serial))]).unwrap(), ["sda"]);
        let error = names(&disks, &[want("a", Some(&name))]).unwrap_err();
        assert!(matches!(error, Refused::Reserved { .. }), "{error}");
    }
    for why in [
        Unusable::ReadOnly,
        Unusable::Empty,
        Unusable::Zoned,
        Unusable::InUse("a mount".into()),
    ] {
        let disks = [unusable("sda", why)];
        for choice in [&serial, &name] {
            let error = names(&disks, &[want("a", Some(choice))]).unwrap_err();
            assert!(matches!(error, Refused::Unusable { .. }), "{error}");
        }
    }
}

#[test]
fn two_images_never_get_one_disk_whatever_it_is_called() {
    let disks = [disk("sda"), disk("sdb")];
    let (a, b) = (
        DiskChoice::Name("sda".into()),
        DiskChoice::Serial("S-sda".into()),
    );
    let error = names(&disks, &[want("x", Some(&a)), want("y", Some(&b))]).unwrap_err();
    assert_eq!(error.to_string(), "y: sda: is for x as well");
    // With one disk only, the image without a name has none left.
    let error = names(&disks[..1], &[want("x", None), want("y", Some(&b))]).unwrap_err();
    assert!(matches!(error, Refused::None { .. }), "{error}");
}

#[test]
fn one_that_is_too_small_or_not_there_is_named() {
    let small = Disk {
        size: 9 * GB,
        ..disk("sda")
    };
    let error = names(&[small], &[want("a", None)]).unwrap_err().to_string();
    assert_eq!(
        error,
        "a: sda: is too small: 9000000000 bytes, the image has 10000000000"
    );
    let choice = DiskChoice::Serial("X".into());
    let error = names(&[disk("sda")], &[want("a", Some(&choice))]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no disk with serial number X: sda (")
    );
}

#[test]
fn one_number_for_two_disks_is_no_choice_but_paths_to_one_are() {
    let same = |name: &str, wwn: &str| Disk {
        serial: Some("ARRAY".into()),
        wwn: Some(wwn.into()),
        ..disk(name)
    };
    let serial = DiskChoice::Serial("ARRAY".into());
    let volumes = [same("sda", "naa.1"), same("sdb", "naa.2")];
    let error = names(&volumes, &[want("a", Some(&serial))]).unwrap_err();
    assert!(matches!(error, Refused::Several { .. }), "{error}");
    let mut paths = [same("sda", "naa.1"), same("sdb", "naa.1")];
    assert_eq!(names(&paths, &[want("a", Some(&serial))]).unwrap(), ["sda"]);
    paths[0].unusable_because = Some(Unusable::ReadOnly);
    let wwn = DiskChoice::Wwn("0x1".into());
    assert_eq!(names(&paths, &[want("a", Some(&wwn))]).unwrap(), ["sdb"]);
}
