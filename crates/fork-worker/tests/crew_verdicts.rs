//! What counts as a result, and what does not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::exit)]

mod support;

use std::io::Write;

use fork_worker::{Crew, Failure, Job, Limits};
use nix::sys::signal::{Signal, raise};
use support::{LONG, finish, hang, ignore, leave, outcome, report_pipe};

fn main() {
    support::run(&[
        ("a_result_comes_back", a_result_comes_back),
        ("lines_come_in_order", lines_come_in_order),
        ("a_bad_verdict_is_a_failure", a_bad_verdict_is_a_failure),
        (
            "verdict_and_status_must_agree",
            verdict_and_status_must_agree,
        ),
        ("a_panic_is_a_signal", a_panic_is_a_signal),
        ("silence_is_a_failure", silence_is_a_failure),
        ("long_texts", long_texts),
        (
            "ignored_sigchld_loses_nothing",
            ignored_sigchld_loses_nothing,
        ),
        ("a_lost_status_is_no_success", a_lost_status_is_no_success),
    ]);
}

fn a_result_comes_back() {
    assert_eq!(outcome(Job::new(|_| Ok("42".into()))), Ok("42".into()));
    assert_eq!(outcome(Job::new(|_| Ok(String::new()))), Ok(String::new()));
}

fn lines_come_in_order() {
    let mut crew = Crew::new(Limits::default());
    let job = Job::new(|report| {
        for number in 0..20_000 {
            report.line(&number.to_string()).unwrap();
        }
        Ok("done".into())
    });
    crew.start("n1", job);
    let (lines, ends) = finish(&mut crew);
    let expected: Vec<_> = (0..20_000).map(|n: i32| ("n1", n.to_string())).collect();
    assert_eq!(lines, expected);
    assert_eq!(ends, [("n1", Ok("done".into()))]);
}

fn a_bad_verdict_is_a_failure() {
    let said = outcome(Job::new(|_| Err("no route\nto host".into())));
    assert_eq!(said, Err(Failure::Said("no route\\nto host".into())));
}

fn verdict_and_status_must_agree() {
    for (bytes, status, good) in [("+ok\n", 1, true), ("+ok\n", 7, true), ("-no\n", 0, false)] {
        let end = outcome(Job::new(move |_| {
            report_pipe().write_all(bytes.as_bytes()).unwrap();
            leave(status)
        }));
        assert_eq!(end, Err(Failure::Disagree { good, status }));
    }
    // Killed after a good verdict.
    let end = outcome(Job::new(|_| {
        report_pipe().write_all(b"+ok\n").unwrap();
        raise(Signal::SIGSEGV).unwrap();
        hang()
    }));
    assert_eq!(end, Err(Failure::Signal(11)));
    // Half a verdict is none.
    let end = outcome(Job::new(|_| {
        report_pipe().write_all(b"+ok").unwrap();
        leave(0)
    }));
    assert_eq!(end, Err(Failure::NoVerdict { status: 0 }));
}

/// Notes whose process dropped it.
struct Guard(std::path::PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&self.0)
            .unwrap();
        writeln!(file, "{}", std::process::id()).unwrap();
    }
}

fn a_panic_is_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dropped");
    std::fs::write(&path, "").unwrap();
    let guard = Guard(path.clone());
    let end = outcome(Job::new(move |_| {
        let _guard = guard;
        panic!("as the test wants it");
    }));
    assert_eq!(end, Err(Failure::Signal(6)));
    // The parent let go of the body; the child ran no destructor.
    let dropped = std::fs::read_to_string(&path).unwrap();
    assert_eq!(dropped, format!("{}\n", std::process::id()));
}

fn silence_is_a_failure() {
    let end = outcome(Job::new(|_| std::process::exit(0)));
    assert_eq!(end, Err(Failure::NoVerdict { status: 0 }));
    let end = outcome(Job::new(|_| leave(3)));
    assert_eq!(end, Err(Failure::NoVerdict { status: 3 }));
}

fn long_texts() {
    // Exactly the limit passes, whole.
    let end = outcome(Job::new(|_| Ok("x".repeat(1000))).line_limit(1000));
    assert_eq!(end, Ok("x".repeat(1000)));
    // A result is never cut.
    let end = outcome(Job::new(|_| Ok("x".repeat(1001))).line_limit(1000));
    let Err(Failure::Said(why)) = end else {
        panic!("{end:?}")
    };
    assert!(why.contains("1001"), "{why}");
    // A reason is, at a character's border.
    let end = outcome(Job::new(|_| Err("é".repeat(600))).line_limit(1001));
    assert_eq!(end, Err(Failure::Said("é".repeat(500))));
    let job = Job::new(|report| {
        let long = report.line(&"x".repeat(31)).unwrap_err().kind();
        let two = report.line("a\nb").unwrap_err().kind();
        Ok(format!("{long:?} {two:?}"))
    });
    let end = outcome(job.line_limit(30));
    assert_eq!(end, Ok("InvalidInput InvalidInput".into()));
}

fn ignored_sigchld_loses_nothing() {
    ignore(Signal::SIGCHLD);
    let mut crew = Crew::new(Limits::default());
    // And once more behind its back.
    ignore(Signal::SIGCHLD);
    crew.start((), Job::new(|_| Ok("kept".into())));
    assert_eq!(finish(&mut crew).1, [((), Ok("kept".into()))]);
}

fn a_lost_status_is_no_success() {
    let mut crew = Crew::new(Limits::default());
    let job = Job::new(|report| report.ask("").map_err(|error| error.to_string()));
    let child = crew.start((), job);
    crew.wait(&[], Some(LONG)).unwrap();
    // From now on the kernel reaps by itself.
    ignore(Signal::SIGCHLD);
    crew.reply(child, "done").unwrap();
    assert_eq!(finish(&mut crew).1, [((), Err(Failure::StatusLost))]);
}
