#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::{Limits, parse};

const NONCE: &str = "00112233445566778899aabbccddeeff";

fn read(text: &str) -> Result<(String, Told), Error> {
    from_request(&parse(text.as_bytes(), &Limits::default()).unwrap())
}

#[test]
fn attributes_are_as_good_as_elements() {
    let (nonce, told) = read(&format!(
        "<xcatrequest><command>osload</command><action>setup</action><nonce> {NONCE} </nonce>\
         <disk image='rocky9' name='nvme0n1' serial='' size='1000'/></xcatrequest>"
    ))
    .unwrap();
    assert_eq!(nonce, NONCE);
    let disk = Disk {
        image: "rocky9".into(),
        name: "nvme0n1".into(),
        serial: None,
        wwn: None,
        size: 1000,
    };
    assert_eq!(told, Told::SetUp(SetUp { disks: vec![disk] }));
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let verdict = |head: &str| {
        read(&format!(
            "<xcatrequest><action>verdict</action>{head}</xcatrequest>"
        ))
    };
    let with_nonce = |rest: &str| verdict(&format!("<nonce>{NONCE}</nonce>{rest}"));
    assert_eq!(verdict("<status>0</status>"), Err(Error::Nonce));
    assert_eq!(
        verdict("<nonce>../x</nonce><status>0</status>"),
        Err(Error::Nonce)
    );
    for (rest, text) in [
        ("", "status: missing"),
        ("<status>-1</status>", "status: -1: no number"),
        ("<status>+0</status>", "status: +0: no number"),
        ("<status>12</status>", "status: no such status"),
        ("<status>256</status>", "status: no such status"),
        (
            "<status>0</status><loaded><image>../a</image></loaded>",
            "image: ../a: not one",
        ),
        (
            "<status>0</status><loaded image='a' written='99999999999999999999' seconds='1'/>",
            "written: 99999999999999999999: no number",
        ),
    ] {
        assert_eq!(with_nonce(rest).unwrap_err().to_string(), text);
    }
    let many = "<loaded image='a' written='1' seconds='1'/>".repeat(IMAGES + 1);
    assert_eq!(
        with_nonce(&format!("<status>0</status>{many}")),
        Err(Error::TooMany)
    );
    let error = read(&format!(
        "<xcatrequest><action>done\u{9b}</action><nonce>{NONCE}</nonce></xcatrequest>"
    ));
    assert_eq!(error, Err(Error::Action("done\\u{9b}".into())));
    let error = read(&format!(
        "<xcatrequest><action>setup</action><nonce>{NONCE}</nonce></xcatrequest>"
    ));
    assert_eq!(error.unwrap_err().to_string(), "disk: none");
}

#[test]
fn a_spool_file_is_believed_no_more_than_the_wire() {
    let good =
        r#"{"verdict":{"status":0,"reason":"","images":[{"image":"a","written":1,"seconds":2}]}}"#;
    serde_json::from_str::<Told>(good).unwrap();
    for (from, to) in [
        ("\"status\":0", "\"status\":12"),
        ("\"reason\":\"\"", "\"reason\":\"a\\nb\""),
        ("\"image\":\"a\"", "\"image\":\"/etc\""),
    ] {
        assert!(serde_json::from_str::<Told>(&good.replace(from, to)).is_err());
    }
    assert!(serde_json::from_str::<Told>(r#"{"setup":{"disks":[]}}"#).is_err());
}

fn told() -> impl Strategy<Value = Told> {
    let image = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}";
    let identity = || proptest::option::of("[!-~]([ -~]{0,126}[!-~])?");
    let disk = (
        image,
        "[a-z0-9][a-z0-9!._:-]{0,63}",
        identity(),
        identity(),
        any::<u64>(),
    )
        .prop_map(|(image, name, serial, wwn, size)| Disk {
            image,
            name,
            serial,
            wwn,
            size,
        });
    let loaded = (image, any::<u64>(), any::<u64>()).prop_map(|(image, written, seconds)| Loaded {
        image,
        written,
        seconds,
    });
    prop_oneof![
        proptest::collection::vec(disk, 1..=IMAGES).prop_map(|disks| Told::SetUp(SetUp { disks })),
        (
            0..=status::LARGEST,
            "([^\\s\\p{C}\u{fffe}\u{ffff}]([^\\p{C}\\s]| ){0,200}[^\\s\\p{C}])?",
            proptest::collection::vec(loaded, 0..=IMAGES)
        )
            .prop_map(|(status, reason, images)| Told::Verdict(Verdict {
                status,
                reason,
                images
            })),
    ]
}

proptest! {
    #[test]
    fn what_is_said_is_heard(nonce in "[0-9a-f]{1,64}", told in told()) {
        let text = to_request(&nonce, &told);
        prop_assert_eq!(read(&text), Ok((nonce, told.clone())));
        let json = serde_json::to_string(&told).unwrap();
        prop_assert_eq!(serde_json::from_str::<Told>(&json).unwrap(), told);
    }

    #[test]
    fn whatever_a_disk_says_of_itself_its_report_is_taken(serial in any::<String>(), reason in "\\PC*|(?s).{0,2000}") {
        let disk = Disk { image: "a".into(), name: "sda".into(), serial: Some(serial), wwn: None, size: 1 };
        for told in [
            Told::SetUp(SetUp { disks: vec![disk] }),
            Told::Verdict(Verdict { status: status::WRITE, reason, images: Vec::new() }),
        ] {
            prop_assert!(read(&to_request(NONCE, &told)).is_ok());
        }
    }

    #[test]
    fn any_request_is_understood_or_refused(text in "<xcatrequest>(<(nonce|action|status|disk|image|size)>(0|a|setup|verdict|[ -~]{0,3})</(nonce|action|status|disk|image|size)>){0,8}</xcatrequest>") {
        if let Ok(root) = parse(text.as_bytes(), &Limits::default())
            && let Ok((nonce, told)) = from_request(&root)
        {
            prop_assert_eq!(read(&to_request(&nonce, &told)), Ok((nonce, told)));
        }
    }
}
