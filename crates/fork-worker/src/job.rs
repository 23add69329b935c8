//! What a child is to do, and how many may do so at once.

use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::report::Report;

/// Work of one child; the text is the verdict.
pub(crate) type Body = Box<dyn FnOnce(&mut Report) -> Result<String, String>>;

/// One child's work.
pub struct Job {
    /// Counted from the fork, not from [`Crew::start`](crate::Crew::start). None: no deadline.
    pub deadline: Option<Duration>,
    /// Descriptors that the child keeps, beside 0 to 2 and its own pipes. All others are closed
    /// before the body runs, so a file that the body owns must be named here.
    pub keep: Vec<RawFd>,
    /// Longest line of the report, in bytes.
    pub line_limit: usize,
    /// Longest report, in bytes.
    pub total_limit: usize,
    /// The work itself.
    pub body: Body,
}

/// How many children run at once and how their starts are paced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Children at a time; 0 counts as 1.
    pub fanout: usize,
    /// After so many starts comes a pause. None or 0: starts are not paced.
    pub batch: Option<usize>,
    /// The pause after a batch, from its last start.
    pub pause: Duration,
    /// What a child has between TERM and KILL.
    pub grace: Duration,
}

impl Job {
    /// A job with no deadline, no kept descriptors, lines of up to 64 KiB and 16 MiB in all.
    pub fn new(body: impl FnOnce(&mut Report) -> Result<String, String> + 'static) -> Job {
        Job {
            deadline: None,
            keep: Vec::new(),
            line_limit: 64 << 10,
            total_limit: 16 << 20,
            body: Box::new(body),
        }
    }

    /// Sets the deadline.
    pub fn deadline(mut self, deadline: Duration) -> Job {
        self.deadline = Some(deadline);
        self
    }

    /// Lets the child keep a descriptor.
    pub fn keep(mut self, descriptor: RawFd) -> Job {
        self.keep.push(descriptor);
        self
    }

    /// Sets the longest line, in bytes.
    pub fn line_limit(mut self, bytes: usize) -> Job {
        self.line_limit = bytes;
        self
    }

    /// Sets the longest report, in bytes.
    pub fn total_limit(mut self, bytes: usize) -> Job {
        self.total_limit = bytes;
        self
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("deadline", &self.deadline)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

impl Limits {
    /// `fanout` children at a time, starts not paced, 5 seconds between TERM and KILL.
    pub fn fanout(fanout: usize) -> Limits {
        Limits {
            fanout,
            ..Limits::default()
        }
    }
}

impl Default for Limits {
    /// 64 children: the project's default for ssh and commands.
    fn default() -> Limits {
        Limits {
            fanout: 64,
            batch: None,
            pause: Duration::ZERO,
            grace: Duration::from_secs(5),
        }
    }
}
