//! Helpers for crews and their children.

use std::fs::File;
use std::os::fd::FromRawFd;
use std::time::Duration;

use fork_worker::{Crew, Event, Failure, Job, Limits, What};
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};

use super::{LONG, children, descriptors};

/// How a job ended.
pub(crate) type Outcome = Result<String, Failure>;
/// Keys and what was said under them.
pub(crate) type Said<K> = Vec<(K, String)>;
/// Keys and how they ended.
pub(crate) type Ends<K> = Vec<(K, Outcome)>;

/// Waits until all is done; what was said and how each ended, in order.
pub(crate) fn finish<K: Clone>(crew: &mut Crew<K>) -> (Said<K>, Ends<K>) {
    let (mut lines, mut ends) = (Vec::new(), Vec::new());
    while !crew.is_idle() {
        for Event { key, what, .. } in crew.wait(&[], Some(LONG)).unwrap().events {
            match what {
                What::Line(text) => lines.push((key, text)),
                What::Ended(outcome) => ends.push((key, outcome)),
            }
        }
    }
    assert_eq!(children(), [0; 0], "children are left");
    (lines, ends)
}

/// The end of a single job.
pub(crate) fn outcome(job: Job) -> Outcome {
    outcome_within(job, Limits::default())
}

/// The end of a single job under these limits.
pub(crate) fn outcome_within(job: Job, limits: Limits) -> Outcome {
    let before = descriptors();
    let mut crew = Crew::new(limits);
    crew.start((), job);
    let (_, mut ends) = finish(&mut crew);
    let after = descriptors();
    // What the body owned is gone with it.
    assert!(
        after.iter().all(|fd| before.contains(fd)),
        "{after:?} are left"
    );
    assert_eq!(ends.len(), 1);
    ends.remove(0).1
}

/// Limits with a short grace.
pub(crate) fn hasty() -> Limits {
    Limits {
        grace: Duration::from_millis(50),
        ..Limits::default()
    }
}

/// Blocks until it is killed.
pub(crate) fn hang() -> ! {
    loop {
        nix::unistd::pause();
    }
}

/// Ends this child at once.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: takes a number; the process is gone afterwards, which the tests want to see.
    unsafe { libc::_exit(status) }
}

/// Lets TERM pass by.
pub(crate) fn ignore(which: Signal) {
    // SAFETY: ignoring a signal runs no code.
    unsafe { signal(which, SigHandler::SigIgn) }.unwrap();
}

/// The report pipe of the child that calls this: beside 0 to 2 it holds two pipes, and this is the
/// one for writing.
pub(crate) fn report_pipe() -> File {
    for fd in descriptors().into_iter().filter(|fd| *fd > 2) {
        // SAFETY: in a child that ends soon; what is not wanted is forgotten, not closed.
        let file = unsafe { File::from_raw_fd(fd) };
        let flags = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_GETFL).unwrap();
        if flags & libc::O_ACCMODE == libc::O_WRONLY {
            return file;
        }
        std::mem::forget(file);
    }
    panic!("no report pipe");
}

/// Starts children that hang, each after it has said its pid; those pids.
pub(crate) fn hanging(crew: &mut Crew<usize>, count: usize, stubborn: bool) -> Vec<i32> {
    for number in 0..count {
        let job = Job::new(move |report| {
            if stubborn {
                ignore(Signal::SIGTERM);
            }
            report.line(&std::process::id().to_string()).unwrap();
            hang()
        });
        crew.start(number, job);
    }
    let mut pids = Vec::new();
    while pids.len() < count {
        for event in crew.wait(&[], Some(LONG)).unwrap().events {
            match event.what {
                What::Line(pid) => pids.push(pid.parse().unwrap()),
                What::Ended(end) => panic!("{end:?}"),
            }
        }
    }
    pids
}
