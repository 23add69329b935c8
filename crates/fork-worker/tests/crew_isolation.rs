//! What a child has of its parent and of its siblings: nothing.
#![allow(unsafe_code)] // Descriptors by number, signal handlers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use fork_worker::{Crew, Failure, Job, Limits, What};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::pipe;
use support::{LONG, Outcome, children, descriptors, hanging, ignore, is_alive, outcome};

fn main() {
    support::run(&[
        ("two_crews_at_once", two_crews_at_once),
        ("a_copied_crew_harms_nobody", a_copied_crew_harms_nobody),
        (
            "children_hold_nothing_of_each_other",
            children_hold_nothing_of_each_other,
        ),
        ("kept_descriptors_stay", kept_descriptors_stay),
        (
            "signals_are_reset_in_the_child",
            signals_are_reset_in_the_child,
        ),
        ("closed_standard_streams", closed_standard_streams),
        ("no_fork_beside_a_thread", no_fork_beside_a_thread),
    ]);
}

fn two_crews_at_once() {
    let mut one = Crew::new(Limits::fanout(4));
    let mut two = Crew::new(Limits::fanout(4));
    for number in 0..20 {
        one.start(number, Job::new(move |_| Ok(format!("one {number}"))));
        two.start(number, Job::new(move |_| Ok(format!("two {number}"))));
    }
    let mut ends = Vec::new();
    while !(one.is_idle() && two.is_idle()) {
        for crew in [&mut one, &mut two] {
            let ready = crew.wait(&[], Some(Duration::from_millis(5))).unwrap();
            ends.extend(ready.events.into_iter().map(|event| event.what));
        }
    }
    assert_eq!(ends.len(), 40);
    for number in 0..20 {
        for name in ["one", "two"] {
            assert!(ends.contains(&What::Ended(Ok(format!("{name} {number}")))));
        }
    }
    // One crew's end is not the other's.
    hanging(&mut one, 1, false);
    let pids = hanging(&mut two, 1, false);
    one.terminate();
    assert!(is_alive(pids[0]));
}

fn a_copied_crew_harms_nobody() {
    let mut other = Crew::new(Limits::default());
    let pids = hanging(&mut other, 1, false);
    let other = Rc::new(RefCell::new(other));
    let copy = other.clone();
    let job = Job::new(move |_| {
        let mut crew = copy.replace(Crew::new(Limits::default()));
        assert!(crew.wait(&[], Some(Duration::ZERO)).is_err());
        assert!(crew.terminate().is_empty());
        drop(crew);
        // A child may have children of its own.
        let mut own = Crew::new(Limits::default());
        own.start((), Job::new(|_| Ok("grandchild".into())));
        end_of(&mut own).map_err(|failure| failure.to_string())
    });
    let mut crew = Crew::new(Limits::default());
    crew.start((), job);
    assert_eq!(end_of(&mut crew), Ok("grandchild".into()));
    assert_eq!(children(), pids);
    assert!(is_alive(pids[0]));
}

/// Waits for the first end.
fn end_of(crew: &mut Crew<()>) -> Outcome {
    loop {
        for event in crew.wait(&[], Some(LONG)).unwrap().events {
            if let What::Ended(end) = event.what {
                return end;
            }
        }
    }
}

fn children_hold_nothing_of_each_other() {
    let secret = File::open("/dev/null").unwrap();
    // Not close-on-exec either: what a careless caller left us.
    fcntl(&secret, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut crew = Crew::new(Limits::default());
    for number in 0..10 {
        let job = Job::new(|report| {
            let open = descriptors();
            // All of them are alive at the same time.
            report.ask("here").map_err(|error| error.to_string())?;
            Ok(open.len().to_string())
        });
        crew.start(number, job);
    }
    let (mut waiting, mut ends) = (Vec::new(), Vec::new());
    while !crew.is_idle() {
        for event in crew.wait(&[], Some(LONG)).unwrap().events {
            match event.what {
                What::Line(_) => waiting.push(event.child),
                What::Ended(end) => ends.push(end),
            }
        }
        if waiting.len() == 10 {
            for child in waiting.drain(..) {
                crew.reply(child, "").unwrap();
            }
        }
    }
    // 0, 1, 2 and two pipes.
    assert_eq!(ends, vec![Ok("5".to_string()); 10]);
    drop(secret);
}

fn kept_descriptors_stay() {
    let (reader, writer) = pipe().unwrap();
    let number = writer.as_raw_fd();
    let job = Job::new(move |_| {
        // SAFETY: this is the pipe's writer, which the job keeps.
        let mut writer = unsafe { File::from_raw_fd(number) };
        writer
            .write_all(b"hello")
            .map_err(|error| error.to_string())?;
        Ok(String::new())
    });
    assert_eq!(outcome(job.keep(number)), Ok(String::new()));
    drop(writer);
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

/// Blocked, ignored and caught signals of this process.
fn masks() -> (u64, u64, u64) {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    };
    // 32 and 33 belong to the C library, which lets nobody change them.
    let ignored = mask("SigIgn:") & !(3 << 31);
    (mask("SigBlk:"), ignored, mask("SigCgt:"))
}

fn signals_are_reset_in_the_child() {
    extern "C" fn handler(_: i32) {}
    ignore(Signal::SIGUSR1);
    ignore(Signal::SIGHUP);
    // SAFETY: the handler does nothing.
    unsafe {
        signal(Signal::SIGTERM, SigHandler::Handler(handler)).unwrap();
        signal(Signal::SIGINT, SigHandler::SigDfl).unwrap();
        signal(Signal::SIGQUIT, SigHandler::SigDfl).unwrap();
    }
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGUSR2);
    blocked.thread_block().unwrap();
    let before = masks();
    assert_ne!(before.0, 0);
    let end = outcome(Job::new(|_| Ok(format!("{:?}", masks()))));
    // HUP (1) as the caller left it, PIPE (13) for error codes instead of deaths.
    assert_eq!(end, Ok(format!("{:?}", (0, 1 | 1 << 12, 0))));
    assert_eq!(masks(), before, "the fork changed the parent's");
}

fn closed_standard_streams() {
    for fd in 0..2 {
        // SAFETY: nothing in this process uses them again.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    let end = outcome(Job::new(|report| {
        report.line("here").map_err(|error| error.to_string())?;
        println!("this must not become part of the report");
        let low = descriptors().into_iter().filter(|fd| *fd < 2).count();
        Ok(low.to_string())
    }));
    assert_eq!(end, Ok("0".into()));
}

fn no_fork_beside_a_thread() {
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    let Err(Failure::Fork(why)) = outcome(Job::new(|_| Ok(String::new()))) else {
        panic!("it forked");
    };
    assert!(why.contains("2 in this process"), "{why}");
    drop(stop);
    let _ = thread.join();
}
