//! Randomised updates with everything that can go wrong at a BMC: no false success, no node without a
//! verdict, nobody harmed by another's fault.
//!
//! `RFLASH_RUNS` is the number of node-runs (default 48), `RFLASH_SEED` repeats a campaign.

use std::net::Ipv4Addr;
use std::time::Instant;

use scenarios::fleet::{Fleet, runs, verdicts};
use scenarios::parts;
use simulators::{Certificates, Config, Fault, Flavour, Group, Power, Rule};

/// Simulated seconds per second.
const SCALE: f64 = 100.0;
/// Limits of real BMCs divided by the scale, but nothing shorter than a busy machine may take.
const LIMITS: &str = "connect=20,request=20,stall=3,upload=60,accept=5,find=5,busy=4,activate=9,reset=25,host-off=6,host-on=8,poll=0.8";

/// A small generator: the same seed gives the same campaign on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count.max(1)
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let at = usize::try_from(self.below(of.len() as u64)).expect("small");
        of[at].clone()
    }
}

/// Every fault that a BMC can have, with random measures.
fn fault(random: &mut Random, bmcs: usize) -> Rule {
    let percent = u8::try_from(random.below(100)).expect("small");
    let bytes = random.below(200_000);
    let seconds = random.below(900) as f64;
    let with = usize::try_from(random.below(bmcs as u64)).expect("small");
    let all = [
        Fault::Dead,
        Fault::CloseAtOnce,
        Fault::HangBeforeTls,
        Fault::NotTls,
        Fault::SharedAddress { with },
        Fault::Slow {
            seconds: seconds / 10.0,
        },
        Fault::Hang,
        Fault::CloseAfterRequest,
        Fault::DropMidAnswer {
            bytes: usize::try_from(bytes / 100).expect("small"),
        },
        Fault::Unauthorized,
        Fault::Unavailable {
            retry_after: Some("1".into()),
        },
        Fault::Unavailable {
            retry_after: Some("https://192.0.2.1/".into()),
        },
        Fault::Status {
            code: random.one(&[400, 403, 404, 409, 413, 500, 504]),
        },
        Fault::Html,
        Fault::NotJson,
        Fault::EmptyBody,
        Fault::HugeJson { bytes: 100_000_000 },
        Fault::DeepJson { depth: 100_000 },
        Fault::EndlessHeaders,
        Fault::Redirect {
            to: "https://192.0.2.1/".into(),
        },
        Fault::AbsoluteUris {
            to: "https://192.0.2.1".into(),
        },
        Fault::Chunked,
        Fault::Trickle { rate: 2000.0 },
        Fault::OffIgnored,
        Fault::OnIgnored,
        Fault::OffTakes { seconds },
        Fault::OnTakes { seconds },
        Fault::RebootTakes {
            seconds: seconds * 3.0,
        },
        Fault::RebootNeverEnds,
        Fault::LoginRefused,
        Fault::PasswordChangeRequired,
        Fault::TooLarge,
        Fault::ClosesOnOversize,
        Fault::Busy,
        Fault::UploadRate { rate: 20_000.0 },
        Fault::UploadStalls { bytes },
        Fault::UploadCloses { bytes },
        Fault::LittleMemory { bytes },
        Fault::ImageExists,
        Fault::NoSpace,
        Fault::ObjectLate { seconds },
        Fault::ImageInvalid,
        Fault::ActivationFails { at: percent },
        Fault::ProgressStuck { at: percent },
        Fault::OldVersionReturns,
        Fault::TaskVanishes,
        Fault::CertificateChangesAtReboot,
        Fault::ForeignImage {
            version: random.one(&["b-2", "h-2", "other"]).into(),
            purpose: random.one(&["BMC", "Host"]).into(),
        },
        Fault::Away { seconds },
        Fault::SessionLost,
        Fault::CertificateChange,
    ];
    let mut rule = Rule::from(random.one(&all));
    // Half of the faults of requests hit a part of them, or only for a while.
    rule = rule.on(random.one(&[
        "",
        "",
        "Task",
        "FirmwareInventory",
        "Managers",
        "Systems",
        "login",
        "Sessions",
        "software",
        "state",
        "update",
        "upload",
    ]));
    if random.below(2) == 0 {
        rule = rule.after(u32::try_from(random.below(12)).expect("small"));
    }
    if random.below(2) == 0 {
        rule = rule.times(1 + u32::try_from(random.below(20)).expect("small"));
    }
    rule
}

#[test]
fn no_false_success_and_no_node_without_a_verdict() {
    if !parts::root() {
        return;
    }
    let number = |name: &str, default: u64| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let wanted = number("RFLASH_RUNS", 48);
    let from_clock = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |since| since.as_secs());
    let seed = number(
        "RFLASH_SEED",
        if wanted == 48 { 20_261_121 } else { from_clock },
    );
    eprintln!("rflash campaign: seed {seed}: {wanted} node-runs (RFLASH_SEED repeats it)");
    let started = Instant::now();
    // Most of a fleet's time is waiting: four of them wait side by side.
    let lanes: u8 = if wanted > 1000 { 4 } else { 1 };
    let ended: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let start =
            |lane: u8| scope.spawn(move || fly(seed, lane, wanted.div_ceil(u64::from(lanes))));
        let lanes: Vec<_> = (0..lanes).map(start).collect();
        let lanes = lanes.into_iter();
        lanes
            .map(|lane| lane.join().expect("a lane of the campaign"))
            .collect()
    });
    let (done, good) = ended
        .iter()
        .fold((0, 0), |sum, lane| (sum.0 + lane.0, sum.1 + lane.1));
    eprintln!(
        "rflash campaign: seed {seed}: {done} node-runs, {good} good, 0 false successes, 0 without verdict, {} s",
        started.elapsed().as_secs()
    );
    assert!(
        good > done / 8,
        "{good} of {done}: the campaign tests something"
    );
}

/// Fleet after fleet until `wanted` nodes had their run: how many had, and how many of them ended well.
fn fly(seed: u64, lane: u8, wanted: u64) -> (u64, u64) {
    let mut random = Random(seed.wrapping_add(u64::from(lane) << 32));
    let started = Instant::now();
    let per_flavour = if wanted > 200 { 40 } else { 4 };
    let (mut done, mut good, mut round) = (0_u64, 0_u64, 0_u8);
    while done < wanted {
        round = round.wrapping_add(1);
        let first = |index: u8| Ipv4Addr::new(127, 70 + 6 * lane + index, round, 1);
        let groups: Vec<Group> = Flavour::ALL
            .iter()
            .zip(0..)
            .map(|(flavour, index)| Group {
                flavour: *flavour,
                count: per_flavour,
                first: first(index),
                certificates: random.one(&[Certificates::Shared, Certificates::Each]),
                ..Group::default()
            })
            .collect();
        let fleet = Fleet::new(Config {
            groups,
            scale: SCALE,
            log_requests: false,
            ..Config::default()
        });
        let bmcs = fleet.bmcs.len();
        let firmware = fleet.archives("b-2", "h-2", 200_000);
        let mut faults: Vec<Vec<Rule>> = Vec::new();
        for i in 0..bmcs {
            // A quarter is in order; others have up to three things wrong.
            let count = random.below(4);
            let rules: Vec<Rule> = (0..count).map(|_| fault(&mut random, bmcs)).collect();
            rules
                .iter()
                .for_each(|rule| fleet.bmcs.fault(i, rule.clone()));
            faults.push(rules);
        }
        let archive = firmware.join("bmc.tar");
        let archive = archive.to_str().expect("path");
        let directory = firmware.to_str().expect("path");
        let goal: &[&str] = random.one(&[
            &["-d", "DIR"][..],
            &["-d", "DIR"],
            &["-d", "DIR", "--no-host-reboot"],
            &["-a", "FILE"],
            &["-u", "FILE"],
        ]);
        let mut args = vec!["all"];
        args.extend(goal.iter().map(|word| match *word {
            "DIR" => directory,
            "FILE" => archive,
            other => other,
        }));
        // Children that hang until their limit must not keep the others waiting.
        args.extend(["--json", "--fanout", "120", "--timeout", LIMITS]);
        let ended = fleet.rflash(&args);
        let verdicts = verdicts(&ended);
        let context = |i: usize| {
            format!(
                "seed {seed}, lane {lane}, round {round}, {goal:?}, n{} {:?}: {:?}, faults {:?}",
                i + 1,
                fleet.state(i).flavour,
                verdicts.get(&format!("n{}", i + 1)),
                faults[i]
            )
        };
        assert!(
            matches!(ended.status.code(), Some(0 | 1)),
            "seed {seed}, lane {lane}, round {round}: {:?} {}",
            ended.status,
            ended.stderr
        );
        let shared = |i: usize| {
            faults[i]
                .iter()
                .any(|rule| matches!(rule.fault, Fault::SharedAddress { .. }))
        };
        for (i, rules) in faults.iter().enumerate() {
            let (verdict, _) = verdicts
                .get(&format!("n{}", i + 1))
                .unwrap_or_else(|| panic!("no verdict: {}: {}", context(i), ended.stderr));
            let state = fleet.state(i);
            if *verdict && !shared(i) {
                good += 1;
                let has = |purpose: &str, version: &str| {
                    state
                        .images
                        .iter()
                        .any(|image| image.purpose == purpose && image.version == version)
                };
                let bmc_runs = runs(&state, "BMC").as_deref() == Some("b-2");
                let true_success = match goal {
                    ["-d", _] => {
                        bmc_runs
                            && runs(&state, "Host").as_deref() == Some("h-2")
                            && state.power == Power::On
                    }
                    ["-d", ..] => bmc_runs && has("Host", "h-2"),
                    _ => has("BMC", "b-2"),
                };
                assert!(true_success, "FALSE SUCCESS: {}: {state:?}", context(i));
            }
            assert!(
                *verdict || !rules.is_empty(),
                "a BMC in order failed: {}",
                context(i)
            );
            done += 1;
        }
        if wanted > 200 {
            let seconds = started.elapsed().as_secs();
            eprintln!("rflash campaign: lane {lane}: {done} node-runs, {good} good, {seconds} s");
        }
    }
    (done, good)
}
