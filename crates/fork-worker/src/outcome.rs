//! What a crew tells of its children.

use std::fmt;

use nix::sys::signal::Signal;

/// One started job, for as long as its crew lives. Not a pid: the kernel uses those again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildId(pub(crate) u64);

/// Something that a child said or that became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<K> {
    /// The key that the job was started under.
    pub key: K,
    /// The job itself, for [`Crew::reply`](crate::Crew::reply).
    pub child: ChildId,
    /// What it was.
    pub what: What,
}

/// The two kinds of events. `Ended` comes exactly once for each job, and last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A line from [`Report::line`](crate::Report::line) or [`Report::ask`](crate::Report::ask).
    /// Its bytes are the child's: not trusted, invalid UTF-8 replaced, never with a line end.
    Line(String),
    /// The end: a good verdict together with exit status 0, or why not.
    Ended(Result<String, Failure>),
}

/// Why a job has no good result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The job itself said so: a bad verdict with exit status 1.
    Said(String),
    /// A signal ended the child; a panic is signal 6.
    Signal(i32),
    /// The report ended without a verdict.
    NoVerdict {
        /// Exit status of the child.
        status: i32,
    },
    /// Verdict and exit status contradict each other.
    Disagree {
        /// What the verdict was.
        good: bool,
        /// Exit status of the child.
        status: i32,
    },
    /// The child had not ended at its deadline, and was made to.
    Deadline,
    /// The crew was told to end, or this job was cancelled; it may never have started.
    Terminated,
    /// The child could not be made; the system's words.
    Fork(String),
    /// A line or the whole report exceeded its limit.
    TooLong,
    /// Bytes that no [`Report`](crate::Report) writes.
    Garbled,
    /// The child did not take the answers that it had asked for.
    Deaf,
    /// Somebody else in this process took the exit status.
    StatusLost,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Said(why) => f.write_str(why),
            Failure::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "worker was killed by {signal}"),
                Err(_) => write!(f, "worker was killed by signal {number}"),
            },
            Failure::NoVerdict { status } => {
                write!(f, "worker ended without a result (exit status {status})")
            }
            Failure::Disagree { good, status } => write!(
                f,
                "worker reported {} but ended with exit status {status}",
                if *good { "success" } else { "a failure" }
            ),
            Failure::Deadline => f.write_str("no result within the time allowed"),
            Failure::Terminated => f.write_str("stopped before it was done"),
            Failure::Fork(why) => write!(f, "cannot start a worker: {why}"),
            Failure::TooLong => f.write_str("worker reported more than is allowed"),
            Failure::Garbled => f.write_str("worker's report makes no sense"),
            Failure::Deaf => f.write_str("worker does not take its answers"),
            Failure::StatusLost => f.write_str("worker's exit status was lost"),
        }
    }
}

impl std::error::Error for Failure {}
