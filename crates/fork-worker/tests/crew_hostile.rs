//! Children that say what no honest one says, and conversations with them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{ErrorKind, Write};
use std::time::{Duration, Instant};

use fork_worker::{Crew, Failure, Job, Limits, What};
use nix::sys::signal::Signal;
use support::{LONG, finish, hang, hasty, ignore, leave, outcome, report_pipe};

fn main() {
    support::run(&[
        ("endless_lines_end_the_child", endless_lines_end_the_child),
        (
            "an_endless_line_ends_the_child",
            an_endless_line_ends_the_child,
        ),
        ("garbage_ends_the_child", garbage_ends_the_child),
        ("words_after_the_verdict", words_after_the_verdict),
        ("invalid_utf8_is_replaced", invalid_utf8_is_replaced),
        (
            "answers_reach_the_one_who_asked",
            answers_reach_the_one_who_asked,
        ),
        ("a_deaf_child_never_blocks", a_deaf_child_never_blocks),
        ("answers_are_single_lines", answers_are_single_lines),
    ]);
}

fn endless_lines_end_the_child() {
    let job = Job::new(|report| {
        loop {
            report.line("more").map_err(|error| error.to_string())?;
        }
    });
    let started = Instant::now();
    assert_eq!(outcome(job.total_limit(1 << 20)), Err(Failure::TooLong));
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "it was given time"
    );
}

fn an_endless_line_ends_the_child() {
    let job = Job::new(|_| {
        let mut pipe = report_pipe();
        while pipe.write_all(&[b'i'; 4096]).is_ok() {}
        hang()
    });
    assert_eq!(outcome(job), Err(Failure::TooLong));
}

fn garbage_ends_the_child() {
    for bytes in ["\n", "what\n", "\0\0\0\n", "\u{fffd}\n"] {
        let end = outcome(Job::new(move |_| {
            ignore(Signal::SIGTERM);
            report_pipe().write_all(bytes.as_bytes()).unwrap();
            hang()
        }));
        assert_eq!(end, Err(Failure::Garbled), "{bytes:?}");
    }
}

fn words_after_the_verdict() {
    for bytes in ["+ok\n+ok\n", "+ok\n-no\n", "+ok\ni\n", "+ok\n\n", "+ok\nx"] {
        let end = outcome(Job::new(move |_| {
            report_pipe().write_all(bytes.as_bytes()).unwrap();
            leave(0)
        }));
        assert_eq!(end, Err(Failure::Garbled), "{bytes:?}");
    }
}

fn invalid_utf8_is_replaced() {
    let end = outcome(Job::new(|_| {
        report_pipe().write_all(b"+a\xffb\x00\x1b[2J\n").unwrap();
        leave(0)
    }));
    // Control characters pass: whoever shows them escapes them.
    assert_eq!(end, Ok("a\u{fffd}b\0\u{1b}[2J".into()));
}

fn answers_reach_the_one_who_asked() {
    let mut crew = Crew::new(Limits::default());
    for number in 0..20 {
        let job = Job::new(move |report| {
            for round in 0..50 {
                let answer = report.ask(&format!("{number} {round}")).unwrap();
                assert_eq!(answer, format!("{number} {round} heard"));
            }
            Ok("all answered".into())
        });
        crew.start(number, job);
    }
    let mut done = 0;
    while !crew.is_idle() {
        for event in crew.wait(&[], Some(LONG)).unwrap().events {
            match event.what {
                What::Line(text) => crew.reply(event.child, &format!("{text} heard")).unwrap(),
                What::Ended(end) => {
                    assert_eq!(end, Ok("all answered".into()));
                    let late = crew.reply(event.child, "late").unwrap_err();
                    assert_eq!(late.kind(), ErrorKind::NotFound);
                    done += 1;
                }
            }
        }
    }
    assert_eq!(done, 20);
}

fn a_deaf_child_never_blocks() {
    let mut crew = Crew::new(hasty());
    let job = Job::new(|report| {
        report.line("here").map_err(|error| error.to_string())?;
        hang()
    });
    let child = crew.start((), job);
    crew.wait(&[], Some(LONG)).unwrap();
    let error = (0..100_000)
        .find_map(|_| crew.reply(child, &"x".repeat(1000)).err())
        .expect("a full pipe");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(finish(&mut crew).1, [((), Err(Failure::Deaf))]);
}

fn answers_are_single_lines() {
    let mut crew = Crew::new(Limits::default());
    let child = crew.start(
        (),
        Job::new(|report| report.ask("?").map_err(|error| error.to_string())),
    );
    crew.wait(&[], Some(LONG)).unwrap();
    let refused = crew.reply(child, "a\nb").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    // Two at once: the second waits for the next question, which does not come.
    crew.reply(child, "one").unwrap();
    let _ = crew.reply(child, "two");
    assert_eq!(finish(&mut crew).1, [((), Ok("one".into()))]);
}
