//! Archives on their way to every generation, and what comes of those that are not wanted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use bmc::firmware::{Archive, Meanwhile, Patience, Sent, UploadError};
use bmc::{Certificates, Client, Error, Kind, Limits, Settings};
use simulators::{Bmcs, Config, Fault, Flavour, Rule};
use support::PASSWORD;

/// More than the sockets between us and the BMC hold: a refusal at its beginning comes early.
const SIZE: usize = 12 << 20;
const PATIENCE: Patience = Patience {
    stall: Duration::from_secs(10),
    accept: Duration::from_secs(20),
};

fn start(flavour: Flavour, net: u8) -> Bmcs {
    let mut config = Config::of(flavour, 1, Ipv4Addr::new(127, 42, net, 1));
    config.groups[0].port = 8443;
    config.groups[0].machine_name = "simulated".to_string();
    config.password = PASSWORD.to_string();
    config.scale = 20.0;
    Bmcs::start(config)
}

/// What is tested here are no limits: a machine at its own may take its time.
fn patient() -> Settings {
    Settings::new(
        Certificates::Insecure,
        Default::default(),
        Limits::default(),
    )
    .unwrap()
}

/// A tar with a manifest and `SIZE` bytes of image, in a file without a name.
fn archive() -> File {
    let manifest = "version=b-2\npurpose=x.VersionPurpose.BMC\nMachineName=simulated\n";
    let mut file = tempfile::tempfile().unwrap();
    for (name, content) in [
        ("MANIFEST", manifest.as_bytes()),
        ("image-bmc", &vec![7; SIZE]),
    ] {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        file.write_all(&header).unwrap();
        file.write_all(content).unwrap();
        let padding = content.len().next_multiple_of(512) - content.len();
        file.write_all(&vec![0; padding]).unwrap();
    }
    file.write_all(&[0; 1024]).unwrap();
    file
}

/// What the caller of an upload was asked and told.
#[derive(Debug, Default)]
struct Seen {
    sent: u64,
    last: bool,
}

impl Meanwhile for Seen {
    fn sent(&mut self, bytes: u64) {
        assert!(bytes >= self.sent);
        self.sent = bytes;
    }
    fn may_send(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
    fn last(&mut self) -> io::Result<()> {
        self.last = true;
        Ok(())
    }
}

fn upload(bmcs: &Bmcs) -> (Result<Sent, UploadError>, Seen) {
    upload_with(bmcs, PATIENCE)
}

fn upload_with(bmcs: &Bmcs, patience: Patience) -> (Result<Sent, UploadError>, Seen) {
    let target = support::target(bmcs.address(0).into(), Kind::OpenBmc);
    let mut client = Client::connect(&target, &patient()).unwrap();
    let mut file = archive();
    let archive = Archive {
        size: file.metadata().unwrap().len(),
        file: &mut file,
        name: "bmc.tar",
    };
    let mut seen = Seen::default();
    (client.upload(archive, patience, &mut seen), seen)
}

#[test]
fn every_flavour_gets_the_whole_archive() {
    for (flavour, net) in Flavour::ALL.into_iter().zip(1..) {
        let bmcs = start(flavour, net);
        let (answer, seen) = upload(&bmcs);
        let accepted = matches!(answer, Ok(Sent::Accepted { .. }));
        assert!(accepted && seen.last, "{flavour:?}: {answer:?}");
        let size = archive().metadata().unwrap().len();
        assert_eq!(bmcs.state(0).uploads[0].bytes, size, "{flavour:?}");
        assert_eq!(seen.sent, size, "{flavour:?}");
    }
}

#[test]
fn an_internal_error_before_the_end_is_a_busy_bmc_and_after_it_a_refusal() {
    // Today's updater cannot say 503: it says 500 before the body is whole.
    let busy = start(Flavour::Bmcweb2026, 20);
    busy.fault(0, Fault::Busy);
    let (answer, seen) = upload(&busy);
    assert!(
        matches!(answer, Err(UploadError::Bmc(Error::Busy { .. }))),
        "{answer:?}"
    );
    // It was asked whether it wants the body.
    assert_eq!((seen.sent, seen.last), (0, false));
    assert!(busy.state(0).uploads.is_empty());

    // The older one says the same 500 of an archive that it has read and dislikes.
    let full = start(Flavour::Bmcweb2023, 21);
    full.fault(0, Fault::NoSpace);
    let (answer, seen) = upload(&full);
    assert!(
        matches!(&answer, Err(UploadError::Bmc(Error::Refused { why, .. })) if why.starts_with("status 500")),
        "{answer:?}"
    );
    assert!(seen.last);
    assert_eq!(full.state(0).uploads.len(), 1);
}

#[test]
fn a_connection_that_breaks_off_in_the_middle_is_no_upload() {
    let bmcs = start(Flavour::Bmcweb2026, 22);
    let rule = Rule::from(Fault::UploadCloses { bytes: 1 << 20 });
    bmcs.fault(0, rule);
    let (answer, seen) = upload(&bmcs);
    assert!(matches!(answer, Err(UploadError::Broke(_))), "{answer:?}");
    assert!(!seen.last && seen.sent < SIZE as u64);
}

#[test]
fn what_stays_as_it_is_is_asked_for_once_and_what_changes_each_time() {
    let bmcs = start(Flavour::Bmcweb2026, 24);
    let target = support::target(bmcs.address(0).into(), Kind::OpenBmc);
    let mut client = Client::connect(&target, &patient()).unwrap();
    client.update_offer().unwrap();
    for _ in 0..2 {
        client.images().unwrap();
        client.running().unwrap();
    }
    let counts = bmcs.counts();
    let asked = |path: &str| counts[&format!("200 GET /redfish/v1/{path}")];
    for (path, times) in [
        ("UpdateService", 1),
        ("Managers", 1),
        ("Managers/bmc", 5),
        ("Systems", 1),
        ("Systems/system", 4),
    ] {
        assert_eq!(asked(path), times, "{path}");
    }
}

#[test]
fn what_counts_as_sent_is_with_the_bmc_but_for_a_little() {
    let bmcs = start(Flavour::Bmcweb2026, 23);
    let rule = Rule::from(Fault::UploadStalls { bytes: 64 << 10 });
    bmcs.fault(0, rule);
    let patience = Patience {
        stall: Duration::from_secs(1),
        ..PATIENCE
    };
    let (answer, seen) = upload_with(&bmcs, patience);
    assert!(
        matches!(&answer, Err(UploadError::Broke(why)) if why.contains("stalled")),
        "{answer:?}"
    );
    // Two buffers of sockets are between us; ours, left to itself, grows to megabytes.
    assert!(seen.sent < 2 << 20, "{}", seen.sent);
}
