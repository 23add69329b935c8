//! Each thing that can be wrong with a BMC, one BMC for each and beside those that are in order: its
//! verdict, and nobody else's. And the options that decide who is touched at all.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use scenarios::fleet::{Fleet, runs, verdicts};
use scenarios::{Running, parts};
use simulators::{BmcState, Certificates, Config, Fault, Flavour, Group, Power, Rule};

/// Short where a fault is waited for, and long where only a busy machine is.
const LIMITS: &str =
    "--timeout=stall=3,upload=60,accept=5,find=5,busy=4,activate=15,reset=30,poll=0.3";
/// As good as never.
const LONG: &str = "--timeout=find=30,activate=120,reset=120,poll=0.1";

fn fleet(network: u8, flavours: &[Flavour], count: usize) -> Fleet {
    let groups = flavours.iter().zip(0..).map(|(flavour, number)| Group {
        flavour: *flavour,
        count,
        first: Ipv4Addr::new(127, 62, network, 1 + number * 64),
        certificates: Certificates::Each,
        ..Group::default()
    });
    Fleet::new(Config {
        groups: groups.collect(),
        scale: 50.0,
        ..Config::default()
    })
}

/// `-d` has done what it is for.
fn is_updated(state: &BmcState) -> bool {
    runs(state, "BMC").as_deref() == Some("b-2")
        && runs(state, "Host").as_deref() == Some("h-2")
        && state.power == Power::On
}

/// The fault, and how the verdict reads over Redfish and over REST; none: it does no harm.
type Expected = (Fault, [Option<&'static str>; 2]);

fn list() -> Vec<Expected> {
    let elsewhere = || "https://192.0.2.1".to_string();
    let both = |text: &'static str| [Some(text), Some(text)];
    // A task that fails is seen while the image is looked for, or later.
    vec![
        (Fault::LoginRefused, both("Invalid username or password")),
        (Fault::Unauthorized, both("login refused: status 401")),
        // Refused before it is sent, or broken off in it.
        (Fault::TooLarge, both("upload")),
        (
            Fault::ImageExists,
            [Some("task Exception"), Some("Could not find firmware b-2")],
        ),
        (
            Fault::NoSpace,
            [Some("task Exception"), Some("No space left on device")],
        ),
        (
            Fault::ActivationFails { at: 40 },
            [
                Some("task Exception"),
                Some("Firmware b-2 activation failed."),
            ],
        ),
        (
            Fault::ProgressStuck { at: 90 },
            [
                Some("Firmware b-2 activation"),
                Some("Firmware b-2 activation made no progress for 15 seconds."),
            ],
        ),
        (
            Fault::RebootNeverEnds,
            both("Sent bmcreboot but state did not change to BMC Ready after waiting 30 seconds."),
        ),
        (
            Fault::OldVersionReturns,
            both("the BMC came back with the old version 2.14.0"),
        ),
        // The first of its flavour is in order, and has a key of its own.
        (
            Fault::SharedAddress { with: 0 },
            both("its key has changed"),
        ),
        (
            Fault::Html,
            both("speaks neither Redfish nor OpenBMC's REST"),
        ),
        (
            Fault::HugeJson { bytes: 100_000_000 },
            both("longer than 1048576 bytes"),
        ),
        (
            Fault::Redirect { to: elsewhere() },
            both("speaks neither Redfish nor OpenBMC's REST: /redfish/v1/: status 302"),
        ),
        // These are lived with: the task is looked for in the inventory, a path on the BMC itself is
        // taken, and after our own reset a new key is one to keep.
        (Fault::TaskVanishes, [None, None]),
        (Fault::AbsoluteUris { to: elsewhere() }, [None, None]),
        (Fault::CertificateChangesAtReboot, [None, None]),
    ]
}

#[test]
fn each_fault_has_its_verdict() {
    if !parts::root() {
        return;
    }
    let flavours = [Flavour::Bmcweb2026, Flavour::PhosphorRest];
    let list = list();
    let count = list.len() + 1;
    let fleet = fleet(1, &flavours, count);
    for dialect in 0..flavours.len() {
        for (number, (fault, _)) in (1..).zip(&list) {
            let fault = match fault {
                Fault::SharedAddress { .. } => Fault::SharedAddress {
                    with: dialect * count,
                },
                other => other.clone(),
            };
            fleet
                .bmcs
                .fault(dialect * count + number, Rule::from(fault));
        }
    }
    let firmware = fleet.archives("b-2", "h-2", 200_000);
    let ended = fleet.rflash(&[
        "all",
        "-d",
        firmware.to_str().expect("path"),
        LIMITS,
        "--json",
    ]);
    ended.code(1);
    let verdicts = verdicts(&ended);
    for (dialect, flavour) in flavours.iter().enumerate() {
        let verdict = |number: usize| {
            let at = dialect * count + number;
            (&verdicts[&format!("n{}", at + 1)], fleet.state(at))
        };
        let (first, state) = verdict(0);
        assert!(
            first.0 && is_updated(&state),
            "{flavour:?}: {first:?} {state:?}"
        );
        for (number, (fault, wanted)) in (1..).zip(&list) {
            let ((good, why), state) = verdict(number);
            match wanted[dialect] {
                None => assert!(
                    *good && is_updated(&state),
                    "{flavour:?} {fault:?}: {why} {state:?}"
                ),
                Some(text) => assert!(
                    !good && why.contains(text) && !is_updated(&state),
                    "{flavour:?} {fault:?}: {good} {why}"
                ),
            }
        }
    }
}

/// A key that changes when nobody has reset the BMC is somebody else's: no login any more.
#[test]
fn another_key_in_the_middle_of_a_run_ends_it_before_the_login() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(2, &[Flavour::Bmcweb2026], 2);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    fleet
        .bmcs
        .fault(0, Rule::from(Fault::UploadRate { rate: 4000.0 }));
    let archive = firmware.join("bmc.tar");
    let mut command = fleet.cluster.command("rflash");
    command.args(["all", "-a", archive.to_str().expect("path"), LONG, "-V"]);
    let mut running = Running::start(command.stdin(Stdio::null()));
    running.stdout_line("n1: Uploading ");
    fleet.bmcs.fault(0, Rule::from(Fault::CertificateChange));
    let ended = running.finish();
    let said = ended.code(1);
    assert!(said.stderr.contains("n1: Error: BMC "), "{}", said.stderr);
    assert!(
        said.stderr.contains("its key has changed"),
        "{}",
        said.stderr
    );
    assert!(
        said.stdout.contains("Total=2 Success=1 Failed=1"),
        "{}",
        said.stdout
    );
}

/// A BMC that was there in preflight and gives no answer when its turn comes is asked again: nothing has
/// been sent.
#[test]
fn silence_before_the_first_byte_of_an_upload_is_borne() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(6, &[Flavour::Bmcweb2026], 1);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    // The login of preflight goes well, the next ones get no answer: more than one step tries by itself.
    let logins = Rule::from(Fault::CloseAfterRequest).on("POST /redfish/v1/SessionService");
    fleet.bmcs.fault(0, logins.after(1).times(8));
    let archive = firmware.join("bmc.tar");
    let args = ["all", "-u", archive.to_str().expect("path"), LONG];
    let said = fleet.rflash(&args).code(0).stdout.clone();
    assert!(said.contains("n1: Firmware upload successful"), "{said}");
    assert_eq!(fleet.state(0).uploads.len(), 1);
}

#[test]
fn who_is_touched_at_all() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(3, &[Flavour::Bmcweb2026], 4);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    let archive = firmware.join("bmc.tar");
    let archive = archive.to_str().expect("path");
    let uploads = || -> usize { (1..4).map(|i| fleet.state(i).uploads.len()).sum() };
    // Another archive than was meant: to nobody.
    let wrong = "0".repeat(64);
    let refused = fleet.rflash(&["all", "-u", archive, LONG, "--sha256", &wrong]);
    assert!(refused.status.code() > Some(1), "{:?}", refused.status);
    assert!(refused.stderr.contains("SHA-256"), "{}", refused.stderr);
    // The first one fails: the others are left alone, and said to be.
    fleet.bmcs.fault(0, Rule::from(Fault::NoSpace));
    for waves in [
        &["--canary", "1"][..],
        &["--max-fail", "0", "--batch", "1", "--pause", "600"],
    ] {
        let stopped = fleet.rflash(&[&["all", "-a", archive, LONG], waves].concat());
        let said = &stopped.code(1).stdout;
        assert!(
            said.contains("Total=4 Success=0 Failed=4"),
            "{waves:?}: {said}"
        );
        assert!(said.contains("n4: not touched: "), "{waves:?}: {said}");
    }
    assert_eq!(uploads(), 0);
    fleet.bmcs.clear(0);
    // All together no faster than that; a number for each when it has what was asked for.
    let started = Instant::now();
    let words = ["--rate", "200000", "--status-fd", "1", "--json"];
    let sent = fleet.rflash(&[&["n2,n3,n4", "-u", archive, LONG], &words[..]].concat());
    let said = &sent.code(0).stdout;
    assert!(
        ["n2,0\n", "n3,0\n", "n4,0\n"]
            .iter()
            .all(|line| said.contains(line)),
        "{said}"
    );
    // 900 kB, of which what is under way at the beginning does not count.
    let least = Duration::from_millis(1500);
    assert!(started.elapsed() > least, "{:?}", started.elapsed());
    assert_eq!(uploads(), 3);
}

#[test]
fn those_that_differ_from_most() {
    if !parts::root() {
        return;
    }
    let group = |count, last, version: &str| Group {
        count,
        first: Ipv4Addr::new(127, 62, 4, last),
        bmc_version: version.into(),
        ..Group::default()
    };
    let fleet = Fleet::new(Config {
        groups: vec![group(5, 1, "2.14.0"), group(1, 11, "2.9.0")],
        ..Config::default()
    });
    let odd = fleet.rflash(&["all", "-c", "--outliers"]);
    let said = &odd.code(0).stdout;
    assert!(
        said.contains("n6: BMC Firmware Product:   2.9.0 (Active)*"),
        "{said}"
    );
    assert!(!said.contains("2.14.0") && !said.contains("n1: "), "{said}");
}

#[test]
fn a_run_in_the_background_is_cancelled() {
    if !parts::root() {
        return;
    }
    let fleet = fleet(5, &[Flavour::Bmcweb2026], 3);
    let firmware = fleet.archives("b-2", "h-2", 300_000);
    let archive = firmware.join("bmc.tar");
    let archive = archive.to_str().expect("path");
    let waves = ["--batch", "1", "--pause", "600", "--background"];
    let begun = fleet.rflash(&[&["all", "-u", archive, LONG], &waves[..]].concat());
    let id = begun
        .code(0)
        .stdout
        .lines()
        .last()
        .expect("an ID")
        .to_string();
    let started = Instant::now();
    let until = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "it does not come"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until(&|| fleet.state(0).uploads.len() == 1);
    fleet.rflash(&["--cancel", &id]).code(0);
    until(&|| fleet.rflash(&["--status"]).stdout.contains("over"));
    let shown = fleet.rflash(&["--status", &id]);
    assert!(
        shown.stdout.contains("3 nodes: 1 done, 2 failed, 0 open"),
        "{}",
        shown.stdout
    );
    assert!(
        shown
            .stdout
            .contains("n[2-3]: not touched: the run was stopped"),
        "{}",
        shown.stdout
    );
    assert_eq!(
        fleet.state(1).uploads.len() + fleet.state(2).uploads.len(),
        0
    );
}
