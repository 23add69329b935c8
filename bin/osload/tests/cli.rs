//! `osload image`, as it is typed.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::{MIB, Place};

#[test]
fn an_image_from_its_file_to_its_end() {
    let place = Place::new();
    place.disk("disk", 3 * MIB, 1);
    let added = place.add("rocky9", "disk").code(0);
    let digest = place.digest("rocky9").unwrap();
    assert!(
        added.out.starts_with("rocky9: 40.0 KiB of 3.0 MiB in "),
        "{added:?}"
    );
    assert!(added.out.ends_with(&format!(", from raw, {digest}\n")) && added.err.is_empty());
    assert_eq!(place.run(&["image", "list"]).code(0).out, added.out);
    assert_eq!(
        place.column("osimage", "rocky9", "provmethod").unwrap(),
        "osload"
    );
    let image = place.column("linuximage", "rocky9", "rootimgdir").unwrap();
    assert_eq!(image, place.images("names/rocky9").to_str().unwrap());
    let shown = place.run(&["image", "show", "rocky9"]).code(0).out;
    for line in [
        &format!("rocky9: manifest: {digest}"),
        "rocky9: size: 3145728",
        "rocky9: stored: 40960",
        "rocky9: frames: 2",
        "rocky9: frame size: 1048576",
        "rocky9: partition table: none",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line}: {shown}");
    }
    let object = place
        .run(&["--json", "image", "show", "rocky9"])
        .code(0)
        .out;
    let object: serde_json::Value = serde_json::from_str(&object).unwrap();
    assert_eq!(object["manifest"], digest.as_str());
    assert_eq!(object["source"]["sha256"], object["sha256"]);
    let verified = place
        .run(&["image", "verify", "rocky9", "--jobs", "1"])
        .code(0);
    assert_eq!(verified.out, "rocky9: whole\n");
    place.run(&["image", "rm", "rocky9"]).code(0);
    assert_eq!(place.run(&["image", "list"]).code(0).out, "");
    assert!(place.column("osimage", "rocky9", "provmethod").is_none());
    assert!(place.column("linuximage", "rocky9", "rootimgdir").is_none());
    assert!(place.entries("objects").is_empty());
}

#[test]
fn one_of_many_is_damaged_or_missing() {
    let place = Place::new();
    for (name, seed) in [("a", 1), ("b", 2)] {
        place.disk(name, MIB, seed);
        place.add(name, name).code(0);
    }
    let object = place.images(&format!("objects/{}.frames", place.digest("b").unwrap()));
    let mut bytes = fs::read(&object).unwrap();
    bytes[50] ^= 1;
    fs::write(&object, bytes).unwrap();
    let verified = place.run(&["image", "verify", "a", "b", "c"]).code(1);
    let lines: Vec<&str> = verified.out.lines().collect();
    assert!(
        lines[0] == "a: whole" && lines[1].starts_with("b: damaged: "),
        "{verified:?}"
    );
    assert!(
        verified
            .err
            .contains("osload: b: frame at byte 0 of the disk: "),
        "{verified:?}"
    );
    assert!(
        verified.err.ends_with("osload: c: no such image\n"),
        "{verified:?}"
    );
    let json = place.run(&["image", "verify", "b", "--json"]).code(1).out;
    assert!(json.contains("\"whole\":false"), "{json}");
    let removed = place.run(&["image", "rm", "c", "b"]).code(1);
    assert_eq!(removed.err, "osload: c: no such image\n");
    let removed = place.run(&["image", "rm", "c"]).code(3);
    assert_eq!(removed.err, "osload: c: no such image\n");
    let shown = place.run(&["image", "show", "c"]).code(3);
    assert_eq!(shown.err, "osload: c: no such image\n");
    // What is in the store and cannot be read hides nothing.
    fs::write(place.images("names/x"), "garbage\n").unwrap();
    let listed = place.run(&["image", "list"]).code(1);
    assert!(
        listed.out.starts_with("a: ") && listed.err.starts_with("osload: x: "),
        "{listed:?}"
    );
}

#[test]
fn wrong_usage() {
    let place = Place::new();
    place.disk("disk", MIB, 1);
    for (args, subject) in [
        (vec!["image"], "osload: "),
        (vec!["image", "add", "a", "disk"], "osload: --format"),
        (
            vec!["image", "add", "../a", "disk", "--format", "raw"],
            "osload: ../a: is no image name",
        ),
        (
            vec!["image", "add", "a", "disk", "--format", "iso"],
            "osload: --format",
        ),
        (
            vec![
                "image", "add", "a", "disk", "--format", "raw", "--level", "10",
            ],
            "osload: --level",
        ),
        (
            vec![
                "image",
                "add",
                "a",
                "disk",
                "--format",
                "raw",
                "--frame-size",
                "3",
            ],
            "osload: --frame-size",
        ),
        (
            vec![
                "image", "add", "a", "disk", "--format", "raw", "--jobs", "0",
            ],
            "osload: --jobs",
        ),
        (
            vec!["image", "show", "a/b"],
            "osload: a/b: is no image name",
        ),
        (
            vec!["image", "verify", "a", ".b"],
            "osload: .b: is no image name",
        ),
        (vec!["image", "rm"], "osload: <NAME>"),
    ] {
        let ended = place.run(&args).code(2);
        assert!(
            ended.err.starts_with(subject) && ended.err.lines().count() == 1,
            "{ended:?}"
        );
    }
    assert!(!place.images("").exists());
}

#[test]
fn nothing_is_begun_that_cannot_end() {
    let place = Place::without_tables();
    place.disk("disk", MIB, 1);
    let ended = place.add("a", "disk").code(3);
    assert!(
        ended.err.starts_with("osload: ") && ended.err.lines().count() == 1,
        "{ended:?}"
    );
    assert!(
        !place.images("").exists(),
        "nothing was done before the tables were seen"
    );
    // A name that is xCAT's own.
    let place = Place::new();
    place.disk("disk", MIB, 1);
    let row = [("imagename", Some("a")), ("provmethod", Some("netboot"))];
    let work = |work: &xcat_tables::Transaction<'_>| work.insert("osimage", &row);
    place.tables().transaction(&["osimage"], work).unwrap();
    let ended = place.add("a", "disk").code(3);
    assert_eq!(
        ended.err,
        "osload: a: is an osimage with provmethod netboot: choose another name\n"
    );
    assert!(!place.images("").exists());
    let ended = place.add("b", "missing").code(3);
    assert!(
        ended.err.starts_with("osload: missing: No such file"),
        "{ended:?}"
    );
    // Removing an image leaves xCAT's row alone.
    place.run(&["image", "rm", "a"]).code(3);
    assert_eq!(
        place.column("osimage", "a", "provmethod").unwrap(),
        "netboot"
    );
}

#[test]
fn what_a_site_has_put_into_the_row_stays() {
    let place = Place::new();
    place.disk("disk", MIB, 1);
    place.add("a", "disk").code(0);
    let work = |work: &xcat_tables::Transaction<'_>| {
        work.update(
            "osimage",
            &[("imagename", "a")],
            &[("description", Some("ours"))],
        )
    };
    place.tables().transaction(&["osimage"], work).unwrap();
    place.disk("disk", MIB, 2);
    place.add("a", "disk").code(0);
    assert_eq!(place.column("osimage", "a", "description").unwrap(), "ours");
    // The store may be elsewhere.
    fs::create_dir(place.path("etc")).unwrap();
    let elsewhere = place.path("elsewhere");
    let conf = format!("images = {}\n", elsewhere.display());
    fs::write(place.path("etc/xcat-nodetools.conf"), conf).unwrap();
    assert_eq!(place.run(&["image", "list"]).code(0).out, "");
    place.add("a", "disk").code(0);
    assert!(elsewhere.join("names/a").is_file());
}
