//! How children are made to end.
#![allow(unsafe_code)] // Descriptors by number, as children keep them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use fork_worker::{Crew, Failure, Job, Limits, What};
use nix::sys::signal::{Signal, raise};
use nix::unistd::pipe;
use support::{
    LONG, children, descriptors, finish, hang, hanging, hasty, ignore, is_alive, outcome,
    outcome_within, report_pipe,
};

fn main() {
    support::run(&[
        ("deadline_by_term", deadline_by_term),
        ("deadline_by_kill", deadline_by_kill),
        ("deadline_of_a_stopped_child", deadline_of_a_stopped_child),
        ("a_closed_pipe_is_no_way_out", a_closed_pipe_is_no_way_out),
        ("done_is_done_even_late", done_is_done_even_late),
        ("drop_kills_and_reaps", drop_kills_and_reaps),
        ("terminate_tells_of_every_job", terminate_tells_of_every_job),
        ("cancel_ends_one_job", cancel_ends_one_job),
        (
            "sigkill_takes_the_children_along",
            sigkill_takes_the_children_along,
        ),
    ]);
}

fn deadline_by_term() {
    let started = Instant::now();
    let end = outcome(Job::new(|_| hang()).deadline(Duration::from_millis(100)));
    assert_eq!(end, Err(Failure::Deadline));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(100), "{took:?}");
    assert!(took < Duration::from_secs(5), "TERM did not do: {took:?}");
}

fn deadline_by_kill() {
    let job = Job::new(|report| {
        ignore(Signal::SIGTERM);
        report.line("deaf").unwrap();
        hang()
    });
    let started = Instant::now();
    let end = outcome_within(job.deadline(Duration::from_millis(100)), hasty());
    assert_eq!(end, Err(Failure::Deadline));
    assert!(started.elapsed() >= Duration::from_millis(150), "no grace");
}

fn deadline_of_a_stopped_child() {
    let job = Job::new(|_| {
        raise(Signal::SIGSTOP).unwrap();
        hang()
    });
    let end = outcome(job.deadline(Duration::from_millis(50)));
    assert_eq!(end, Err(Failure::Deadline));
}

fn a_closed_pipe_is_no_way_out() {
    for said in ["", "+ok\n"] {
        for deadline in [None, Some(Duration::from_millis(100))] {
            let mut job = Job::new(move |_| {
                let mut pipe = report_pipe();
                pipe.write_all(said.as_bytes()).unwrap();
                drop(pipe);
                hang()
            });
            job.deadline = deadline;
            assert_eq!(outcome_within(job, hasty()), Err(Failure::Deadline));
        }
    }
}

fn done_is_done_even_late() {
    let mut crew = Crew::new(Limits::default());
    let job = Job::new(|report| {
        ignore(Signal::SIGTERM);
        report.ask("ready").map_err(|error| error.to_string())
    });
    let child = crew.start((), job.deadline(Duration::from_secs(1)));
    let ready = crew.wait(&[], Some(LONG)).unwrap();
    assert_eq!(ready.events[0].what, What::Line("ready".into()));
    // Nothing is said while the deadline passes.
    let ready = crew.wait(&[], Some(Duration::from_millis(1200))).unwrap();
    assert!(ready.events.is_empty());
    crew.reply(child, "done").unwrap();
    assert_eq!(finish(&mut crew).1, [((), Ok("done".into()))]);
}

fn drop_kills_and_reaps() {
    let before = descriptors();
    for stubborn in [false, true] {
        let mut crew = Crew::new(hasty());
        let pids = hanging(&mut crew, 5, stubborn);
        crew.start(9, Job::new(|_| Ok(String::new())));
        assert_eq!(children().len(), 5);
        drop(crew);
        assert_eq!(children(), [0; 0], "zombies or orphans");
        assert!(pids.into_iter().all(|pid| !is_alive(pid)));
    }
    assert_eq!(descriptors(), before);
}

fn terminate_tells_of_every_job() {
    let mut crew = Crew::new(Limits::fanout(3));
    hanging(&mut crew, 3, false);
    crew.start(3, Job::new(|_| Ok(String::new())));
    let mut ended = Vec::new();
    for event in crew.terminate() {
        assert_eq!(event.what, What::Ended(Err(Failure::Terminated)));
        ended.push(event.key);
    }
    ended.sort_unstable();
    assert_eq!(ended, [0, 1, 2, 3]);
    assert!(crew.is_idle());
    // It can go on afterwards.
    crew.start(4, Job::new(|_| Ok("again".into())));
    assert_eq!(finish(&mut crew).1, [(4, Ok("again".into()))]);
}

fn cancel_ends_one_job() {
    let mut crew = Crew::new(Limits::fanout(1));
    let job = Job::new(|report| {
        report.line("here").unwrap();
        hang()
    });
    let running = crew.start("running", job);
    let queued = crew.start("queued", Job::new(|_| Ok("never".into())));
    crew.start("last", Job::new(|_| Ok("done".into())));
    crew.wait(&[], Some(LONG)).unwrap();
    assert!(crew.cancel(queued));
    assert!(crew.cancel(running));
    let (_, mut ends) = finish(&mut crew);
    ends.sort_by_key(|(key, _)| *key);
    let expected = [
        ("last", Ok("done".into())),
        ("queued", Err(Failure::Terminated)),
        ("running", Err(Failure::Terminated)),
    ];
    assert_eq!(ends, expected);
    assert!(!crew.cancel(running));
}

fn sigkill_takes_the_children_along() {
    let (reader, writer) = pipe().unwrap();
    let number = writer.as_raw_fd();
    let mut crew = Crew::new(Limits::default());
    let job = Job::new(move |report| {
        let mut inner = Crew::new(Limits::default());
        for _ in 0..3 {
            // They hold the pipe: it ends when the last of them is gone.
            let job = Job::new(|report| {
                report.line("up").unwrap();
                hang()
            });
            inner.start((), job.keep(number));
        }
        let mut up = 0;
        while up < 3 {
            up += inner.wait(&[], Some(LONG)).unwrap().events.len();
        }
        // SAFETY: this child's own copy; the grandchildren have theirs.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
        report.line("all up").unwrap();
        raise(Signal::SIGKILL).unwrap();
        hang()
    });
    crew.start((), job.keep(number));
    let ready = crew.wait(&[], Some(LONG)).unwrap();
    assert_eq!(ready.events[0].what, What::Line("all up".into()));
    drop(writer);
    if !crew.is_idle() && ready.events.len() == 1 {
        assert_eq!(finish(&mut crew).1, [((), Err(Failure::Signal(9)))]);
    }
    let mut text = Vec::new();
    File::from(reader).read_to_end(&mut text).unwrap();
    assert!(text.is_empty());
}
