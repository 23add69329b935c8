//! The spool: what is in it, what replaces what, what is put aside.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use adapter_facts::Facts;
use node_report::{FileName, PrivateDir, Report, Spool, StoreError};
use xcat_request::load::{Disk, SetUp, Told, Verdict};

fn report(node: &str, received: u64) -> Report {
    Report {
        received,
        ..Report::now(node, None, None, Facts::default())
    }
}

fn waiting(spool: &Spool) -> Vec<(u64, String)> {
    let names = spool.waiting().unwrap();
    names
        .into_iter()
        .map(|(_, name)| (name.time, name.node))
        .collect()
}

#[test]
fn a_newer_report_of_a_node_replaces_an_older_one_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    for (node, time) in [("n1", 5), ("n2", 6), ("n1", 7)] {
        assert!(spool.store(&[report(node, time)])[0].is_ok());
    }
    assert_eq!(waiting(&spool), [(6, "n2".into()), (7, "n1".into())]);
    // One that comes late, with an older time, does not push the newer one out.
    assert!(spool.store(&[report("n1", 3)])[0].is_ok());
    assert_eq!(
        waiting(&spool),
        [(3, "n1".into()), (6, "n2".into()), (7, "n1".into())]
    );
}

#[test]
fn what_is_read_is_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let stored = report("n1", 5);
    assert!(spool.store(std::slice::from_ref(&stored))[0].is_ok());
    let (file, _) = spool.waiting().unwrap().remove(0);
    assert_eq!(spool.read(&file), Some(Ok(stored.clone())));
    assert_eq!(spool.applied_at("n1"), None);
    spool.settle(&[(file.clone(), "n1".into())]).unwrap();
    assert!(waiting(&spool).is_empty());
    assert_eq!(spool.applied_at("n1"), Some(5));
    assert_eq!(spool.read(&file), None, "gone is gone, not an error");
}

#[test]
fn a_name_that_is_no_file_name_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    for node in ["", "../n1", ".hidden", "a\nb", &"n".repeat(300)] {
        let result = spool.store(&[report(node, 5)]).remove(0);
        assert!(matches!(result, Err(StoreError::Name)), "{node:?}");
    }
    assert!(waiting(&spool).is_empty());
    assert_eq!(FileName::parse("5.1.../x"), None);
    assert_eq!(FileName::parse("x.1.n1"), None);
}

#[test]
fn a_file_of_a_newer_format_or_no_json_is_told_from_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join("reports").join(name), text).unwrap()
    };
    write("1.1.n1", "{\"format\":4,\"anything\":\"else\"}");
    write("2.1.n1", "{");
    write("3.1.n1", &"x".repeat(3 << 20));
    let why = |file: &str| spool.read(file).unwrap().unwrap_err().to_string();
    assert!(why("1.1.n1").contains("format 4"), "{}", why("1.1.n1"));
    assert!(why("3.1.n1").contains("longer"), "{}", why("3.1.n1"));
    assert!(spool.read("2.1.n1").unwrap().is_err());
    spool.reject("2.1.n1", "n1").unwrap();
    assert!(dir.path().join("reports/rejected/n1").exists());
}

#[test]
fn the_directory_is_tightened_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("private");
    std::fs::create_dir(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    PrivateDir::open(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "readers are shut out");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o770)).unwrap();
    let error = PrivateDir::open(&path).unwrap_err().to_string();
    assert!(error.contains("others may write"), "{error}");
}

#[test]
fn one_with_another_nonce_stays_until_it_is_judged_and_a_node_has_only_so_many() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let with = |time: u64| Report {
        nonce: Some(format!("{time:032x}")),
        ..report("n1", time)
    };
    for time in 1..=8 {
        assert!(spool.store(&[with(time)])[0].is_ok());
    }
    assert_eq!(waiting(&spool).len(), 8);
    assert!(matches!(
        spool.store(&[with(9)]).remove(0),
        Err(StoreError::Full(_))
    ));
    assert!(spool.store(&[report("n2", 1)])[0].is_ok());
}

fn load(node: &str, received: u64, told: Told) -> Report {
    Report {
        received,
        ..Report::now(node, None, Some("0f".repeat(16)), told)
    }
}

fn set_up() -> Told {
    let disk = Disk {
        image: "rocky9".into(),
        name: "sda".into(),
        serial: Some("S1".into()),
        wwn: None,
        size: 1 << 30,
    };
    Told::SetUp(SetUp { disks: vec![disk] })
}

fn verdict(status: u8) -> Told {
    Told::Verdict(Verdict {
        status,
        reason: String::new(),
        images: Vec::new(),
    })
}

#[test]
fn adapters_are_written_as_older_programs_read_them_and_disks_are_not() {
    let adapters = serde_json::to_string(&report("n1", 5)).unwrap();
    assert!(adapters.contains("\"format\":1"), "{adapters}");
    let disks = load("n1", 5, set_up());
    let text = serde_json::to_string(&disks).unwrap();
    assert!(text.contains("\"format\":3"), "{text}");
    assert_eq!(Report::parse(text.as_bytes()), Ok(disks));
    // A format says what it may hold, and each file says one thing.
    let older = text.replace("\"format\":3", "\"format\":1");
    assert!(Report::parse(older.as_bytes()).is_err());
    let both = adapters.replace("\"format\":1", "\"format\":3");
    let both = both.replacen(
        '{',
        "{\"load\":{\"verdict\":{\"status\":0,\"reason\":\"\",\"images\":[]}},",
        1,
    );
    assert!(Report::parse(both.as_bytes()).is_err());
    let neither = r#"{"format":3,"node":"n1","received":5}"#;
    assert!(Report::parse(neither.as_bytes()).is_err());
}

#[test]
fn a_verdict_waits_until_it_is_applied_whatever_comes_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let told = |time: u64, told: Told| {
        assert!(spool.store(&[load("n1", time, told)])[0].is_ok());
    };
    told(1, set_up());
    told(2, verdict(8));
    // Its second boot: a set-up is no later word on the same thing, a verdict is.
    told(3, set_up());
    let times: Vec<u64> = waiting(&spool).into_iter().map(|(time, _)| time).collect();
    assert_eq!(times, [2, 3]);
    assert!(spool.store(&[load("n1", 4, verdict(0))])[0].is_ok());
    assert_eq!(waiting(&spool), [(4, "n1".to_string())]);
    // What a stock script says of adapters is another matter.
    assert!(spool.store(&[report("n1", 5)])[0].is_ok());
    assert_eq!(waiting(&spool).len(), 2);
}
