//! How many children at once, how fast, and what else wakes their parent.
#![allow(unsafe_code)] // A signal handler.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use fork_worker::{Crew, Failure, Job, Limits, What};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::{getpid, pipe};
use support::{LONG, children, finish, hanging};

fn main() {
    support::run(&[
        (
            "five_hundred_jobs_at_fanout_64",
            five_hundred_jobs_at_fanout_64,
        ),
        ("starts_are_paced", starts_are_paced),
        ("others_wake_the_wait", others_wake_the_wait),
        ("nothing_to_wait_for_returns", nothing_to_wait_for_returns),
        ("few_descriptors_lose_nothing", few_descriptors_lose_nothing),
        ("signals_interrupt_nothing", signals_interrupt_nothing),
    ]);
}

fn five_hundred_jobs_at_fanout_64() {
    let mut crew = Crew::new(Limits::fanout(64));
    for number in 0..500 {
        let job = Job::new(move |report| {
            report.line("here").map_err(|error| error.to_string())?;
            match number % 7 {
                0 => Err(format!("not {number}")),
                _ => Ok(number.to_string()),
            }
        });
        crew.start(number, job);
    }
    let mut ends = BTreeMap::new();
    let (mut lines, mut most) = (0, 0);
    while !crew.is_idle() {
        let ready = crew.wait(&[], Some(LONG)).unwrap();
        most = most.max(crew.running());
        for event in ready.events {
            match event.what {
                What::Line(_) => lines += 1,
                What::Ended(end) => assert!(ends.insert(event.key, end).is_none()),
            }
        }
    }
    assert!(most <= 64, "{most} at once");
    assert_eq!((lines, ends.len()), (500, 500));
    for (number, end) in ends {
        let expected = match number % 7 {
            0 => Err(Failure::Said(format!("not {number}"))),
            _ => Ok(number.to_string()),
        };
        assert_eq!(end, expected);
    }
    assert_eq!(children(), [0; 0]);
}

fn starts_are_paced() {
    let mut crew = Crew::new(Limits {
        batch: Some(2),
        pause: Duration::from_millis(100),
        ..Limits::default()
    });
    let started = Instant::now();
    for number in 0..5 {
        crew.start(number, Job::new(|_| Ok(String::new())));
    }
    crew.pump().unwrap();
    if started.elapsed() < Duration::from_millis(100) {
        assert_eq!(crew.queued(), 3, "the first batch was not 2");
    }
    while crew.queued() > 0 {
        crew.wait(&[], Some(LONG)).unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(200), "no pauses");
    finish(&mut crew);
}

fn others_wake_the_wait() {
    let (quiet, _quiet_writer) = pipe().unwrap();
    let (reader, writer) = pipe().unwrap();
    let mut crew = Crew::new(Limits::default());
    hanging(&mut crew, 1, false);
    let both = [quiet.as_fd(), reader.as_fd()];
    let ready = crew.wait(&both, Some(Duration::from_millis(20))).unwrap();
    assert!(ready.events.is_empty() && ready.readable.is_empty());
    File::from(writer.try_clone().unwrap())
        .write_all(b"x")
        .unwrap();
    assert_eq!(crew.wait(&both, None).unwrap().readable, [1]);
    // A hang-up wakes as well.
    File::from(reader.try_clone().unwrap())
        .read_exact(&mut [0])
        .unwrap();
    drop(writer);
    assert_eq!(crew.wait(&[reader.as_fd()], None).unwrap().readable, [0]);
}

fn nothing_to_wait_for_returns() {
    let mut crew: Crew<()> = Crew::new(Limits::default());
    let ready = crew.wait(&[], None).unwrap();
    assert!(ready.events.is_empty() && crew.is_idle());
}

fn few_descriptors_lose_nothing() {
    setrlimit(Resource::RLIMIT_NOFILE, 20, 20).unwrap();
    let mut crew = Crew::new(Limits::fanout(64));
    for number in 0..100 {
        crew.start(number, Job::new(move |_| Ok(number.to_string())));
    }
    let mut ends = 0;
    while !crew.is_idle() {
        for event in crew.wait(&[], Some(LONG)).unwrap().events {
            assert_eq!(event.what, What::Ended(Ok(event.key.to_string())));
            ends += 1;
        }
    }
    assert_eq!(ends, 100);
}

fn signals_interrupt_nothing() {
    extern "C" fn handler(_: i32) {}
    // Without SA_RESTART every call returns EINTR.
    let action = SigAction::new(
        SigHandler::Handler(handler),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let parent = getpid();
    let mut crew = Crew::new(Limits::default());
    for _ in 0..4 {
        let job = Job::new(move |report| {
            for _ in 0..500 {
                kill(parent, Signal::SIGUSR1).unwrap();
                report.line("x").unwrap();
            }
            Ok(String::new())
        });
        crew.start((), job);
    }
    let (lines, ends) = finish(&mut crew);
    assert_eq!((lines.len(), ends.len()), (2000, 4));
    assert!(ends.iter().all(|(_, end)| end.is_ok()));
}
