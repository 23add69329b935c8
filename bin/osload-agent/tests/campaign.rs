//! The agent is killed at each call that changes the disk, and at moments that a seed chooses, and started
//! again, until it has ended by itself.
//!
//! `OSLOAD_AGENT_RUNS` loads, 3 without it; `OSLOAD_AGENT_SEED` repeats a campaign.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use disk_image::order::{Order, Zero};
use support::{Image, MIB, NONCE, Node, Running, Server, have, marker, run};
use xcat_request::load::{Told, status};

/// A load of this size, at this rate, takes a second or two.
const IMAGE: usize = 12;
const RATE: u64 = 12 << 20;
/// Kills of one load at most; then it may end.
const KILLS: u32 = 6;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What may be on a disk at any time: what was there, nothing that boots, or the whole image.
fn may_be_met_by_firmware(disk: &Path, old: &[u8], image: &Image) -> bool {
    let bytes = std::fs::read(disk).unwrap();
    marker(disk).is_some() || bytes == old || bytes[..image.disk.len()] == image.disk[..]
}

/// By strace: for each call that changes the disk, a thread's Nth one is its last, for N from 1 until the
/// agent comes through. The image has a first window, another one, and holes.
#[test]
fn at_every_step() {
    let strace = std::process::Command::new("strace").arg("-V").output();
    if !have("strace", strace.is_ok_and(|output| output.status.success())) {
        return;
    }
    let (node, image) = (Node::new(), Image::new(4, 1));
    let order = Order::new(NONCE, image.order().images, Vec::new(), Zero::Rest, 600).unwrap();
    let server = Server::start(&image, &order);
    // The agent, ended by that call; false if it came through.
    let killed = |disk: &Path, call: &str, step: u32| {
        let agent = node.agent(&order, &[&server], &[disk]);
        let mut traced = std::process::Command::new("strace");
        traced
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={call}"))
            .arg("-e")
            .arg(format!("inject={call}:signal=SIGKILL:when={step}"))
            .arg(agent.get_program())
            .args(agent.get_args());
        run(traced).code != Some(0)
    };
    let mut kills = 0;
    for call in ["pwrite64", "fallocate", "fsync"] {
        for step in 1.. {
            let disk = node.disk("sda", 6);
            let old = std::fs::read(&disk).unwrap();
            if !killed(&disk, call, step) {
                break;
            }
            kills += 1;
            let at = format!("{call} {step}");
            assert!(step < 100, "{at}: strace does not work");
            assert!(may_be_met_by_firmware(&disk, &old, &image), "{at}");
            let again = run(node.agent(&order, &[&server], &[&disk]));
            assert_eq!(again.code, Some(0), "{at}: {}", again.stderr);
            assert!(image.is_on(&disk), "{at}");
            let behind = &std::fs::read(&disk).unwrap()[4 * MIB..];
            assert!(behind.iter().all(|byte| *byte == 0), "{at}");
        }
    }
    // Marker, both ends, the first window and its first block are written; zeros are made; each is
    // followed by a flush.
    assert!(kills >= 10, "{kills} steps only");
    while let Some(told) = node.master.said() {
        if let Told::Verdict(verdict) = told {
            assert_eq!(verdict.status, status::LOADED, "{}", verdict.reason);
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

#[test]
fn whenever_it_dies_the_disk_is_old_or_not_bootable_or_whole() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().subsec_nanos();
    let seed = number("OSLOAD_AGENT_SEED").unwrap_or(u64::from(now));
    let runs = number("OSLOAD_AGENT_RUNS").unwrap_or(3);
    let mut random = Random(seed);
    let (mut kills, mut resumed) = (0, 0);
    for turn in 0..runs {
        let (node, image) = (Node::new(), Image::new(IMAGE, seed ^ turn));
        let zero = [Zero::Nothing, Zero::Rest, Zero::All][usize::try_from(turn % 3).unwrap()];
        let order = Order::new(NONCE, image.order().images, Vec::new(), zero, 600).unwrap();
        let disk = node.disk("sda", IMAGE + 3);
        let old = std::fs::read(&disk).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let server = Server::with(&image, &order, any, Some(RATE));
        let mut left = KILLS;
        let told = loop {
            let mut agent = Running::start(&mut node.agent(&order, &[&server], &[&disk]));
            if left == 0 {
                assert!(agent.0.wait().unwrap().success());
                break true;
            }
            left -= 1;
            std::thread::sleep(Duration::from_millis(random.below(1500)));
            if let Some(status) = agent.0.try_wait().unwrap() {
                assert!(status.success());
                break true;
            }
            agent.kill();
            kills += 1;
            let begun = marker(&disk).is_some();
            assert!(
                may_be_met_by_firmware(&disk, &old, &image),
                "seed {seed}, run {turn}: something else could be booted"
            );
            resumed += u32::from(begun);
        };
        assert!(told && image.is_on(&disk), "seed {seed}, run {turn}");
        let behind = &std::fs::read(&disk).unwrap()[IMAGE * MIB..];
        let kept = if zero == Zero::Nothing { 2 * MIB } else { 0 };
        assert!(
            behind[kept..].iter().all(|byte| *byte == 0),
            "seed {seed}, run {turn}"
        );
        // Every verdict was a good one, and the last thing that was said is one.
        let mut verdicts = 0;
        while let Some(told) = node.master.said() {
            if let Told::Verdict(verdict) = told {
                assert_eq!(verdict.status, status::LOADED, "{}", verdict.reason);
                verdicts += 1;
            }
        }
        assert!(verdicts > 0, "seed {seed}, run {turn}");
    }
    let _ = writeln!(
        std::io::stderr(),
        "osload-agent: seed {seed}: {runs} loads, {kills} kills, {resumed} of them in the middle: every disk is right"
    );
}
