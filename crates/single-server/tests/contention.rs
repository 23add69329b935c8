//! Many candidates, killed at random: one holder at a time, epochs in order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fork-worker/tests/support/mod.rs"]
mod support;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use fork_worker::{Crew, Event, Job, Limits, What};
use nix::sys::signal::{Signal, raise};
use single_server::{Held, Kind};
use support::{LONG, children, hang};

fn main() {
    support::run(&[(
        "one_holder_under_random_deaths",
        one_holder_under_random_deaths,
    )]);
}

const CANDIDATES: usize = 8;
const TERMS: u64 = 150;

/// Holds the lock for one term, and notes begin and end of it.
fn term(held: &Held, log: &Path) {
    let note = |what: &str| {
        let mut log: File = OpenOptions::new().append(true).open(log).unwrap();
        log.write_all(format!("{what} {}\n", held.epoch()).as_bytes())
            .unwrap();
    };
    note("begin");
    held.publish(&format!("server {}", held.epoch())).unwrap();
    std::thread::yield_now();
    note("end");
}

fn candidate(kind: &Kind, log: &Path) -> Result<String, String> {
    let mut line = kind.stand_in_line().map_err(|error| error.to_string())?;
    let held = loop {
        let waited = line
            .wait(&[], Some(LONG))
            .map_err(|error| error.to_string())?;
        if let Some(held) = waited.held {
            break held;
        }
    };
    let epoch = held.epoch();
    term(&held, log);
    if epoch % 3 == 0 {
        // No drop: address and all stay behind.
        raise(Signal::SIGKILL).unwrap();
        hang()
    }
    Ok(epoch.to_string())
}

fn one_holder_under_random_deaths() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    File::create(&log).unwrap();
    let kind = Kind::new(dir.path(), "callbackd").unwrap();
    kind.init_once().unwrap();
    let mut crew = Crew::new(Limits::fanout(CANDIDATES));
    let mut started = 0;
    let mut start = |crew: &mut Crew<()>| {
        let (kind, log) = (kind.clone(), log.clone());
        started += 1;
        crew.start((), Job::new(move |_| candidate(&kind, &log)))
    };
    let mut lined_up: Vec<_> = (0..CANDIDATES).map(|_| start(&mut crew)).collect();
    let (mut terms, mut round) = (0, 0_usize);
    while terms < TERMS {
        for Event { child, what, .. } in crew.wait(&[], Some(LONG)).unwrap().events {
            let What::Ended(_) = what else { continue };
            lined_up.retain(|other| *other != child);
            lined_up.push(start(&mut crew));
            // Somebody who stands in line dies as well, with its waiter.
            round += 1;
            if round % 5 == 0 {
                crew.cancel(lined_up[round % CANDIDATES]);
            }
        }
        // Whatever is published now is the newest that has begun, or nothing.
        let seen = kind.published().unwrap();
        let text = std::fs::read_to_string(&log).unwrap();
        terms = text
            .lines()
            .filter(|line| line.starts_with("begin"))
            .count() as u64;
        if let Some(seen) = seen {
            assert_eq!(seen.address, format!("server {}", seen.epoch));
        }
    }
    crew.terminate();
    assert_eq!(children(), [0; 0]);
    // The last holder and its waiter are gone: the lock is free.
    let mut line = kind.stand_in_line().unwrap();
    let last = line.wait(&[], Some(LONG)).unwrap().held.unwrap();
    check(&std::fs::read_to_string(&log).unwrap(), last.epoch());
    assert_eq!(kind.wait_published(Duration::ZERO).unwrap(), None);
}

/// Terms do not overlap: between a begin and its end there is nothing; a missing end is a death. The
/// numbers only grow.
fn check(log: &str, last: u64) {
    let mut open: Option<u64> = None;
    let mut before = 0;
    for line in log.lines() {
        let (what, epoch) = line.split_once(' ').unwrap();
        let epoch: u64 = epoch.parse().unwrap();
        match what {
            "begin" => {
                assert!(epoch > before, "{epoch} after {before}");
                (open, before) = (Some(epoch), epoch);
            }
            _ => assert_eq!(open.take(), Some(epoch), "two at once"),
        }
    }
    assert!(last > before);
}
