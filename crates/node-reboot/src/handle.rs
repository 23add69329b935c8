//! A reboot that is under way: started, asked for news, waited for. Any number at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use fork_worker::{ChildId, Crew, Event, Failure, Job, Limits, What};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use xcat_tables::Tables;

use crate::Refused;
use crate::line::{Line, Reader};
use crate::outlet::Outlet;
use crate::plan::Plan;
use crate::privileged::{self, Answers, Reading};
use crate::request::Request;
use crate::supervisor;
use crate::verdict::{NodeResult, Status};

/// What the supervisor has to end its own children before it is killed.
const GRACE: Duration = Duration::from_secs(30);

/// What became of every node of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    /// Each node with its end.
    pub nodes: BTreeMap<String, NodeResult>,
}

/// A reboot that is under way. Dropped, it is ended: nodes that are not settled stay as they are.
#[derive(Debug)]
pub struct Handle {
    crew: Crew<()>,
    child: ChildId,
    pipe: File,
    /// Nothing more will come out of it.
    dry: bool,
    ended: Option<Result<(), Failure>>,
    reader: Reader,
    /// Asked for and not heard of.
    missing: BTreeSet<String>,
    words: bool,
    results: Results,
    fresh: Vec<NodeResult>,
    notes: Vec<String>,
}

/// Something that [`Handle::follow`] tells.
#[derive(Debug)]
pub enum Heard<'a> {
    /// What is being done.
    Note(&'a str),
    /// A node is settled; if it comes again, the last word counts.
    Settled(&'a NodeResult),
}

impl Results {
    /// The nodes that failed: what the originals returned as a number.
    pub fn failed(&self) -> impl Iterator<Item = &NodeResult> {
        self.nodes
            .values()
            .filter(|result| result.status.is_failure())
    }
}

/// Starts a reboot of a set of nodes and returns at once. The permission is looked at first. Without
/// root's rights the privileged entry does it: see [`privileged::start`].
///
/// # Errors
/// [`Refused`]: nothing was tried for any node. What concerns one node is that node's result.
pub fn start(tables: &Tables, request: &Request) -> Result<Handle, Refused> {
    if request.caller.effective != 0 {
        // The caller has said how many it means.
        let all = Reading {
            most: Some(usize::MAX),
            strict: false,
        };
        return privileged::start(request, all);
    }
    carry_out(Plan::read(tables, request)?)
}

/// As [`start`], for a plan that the caller has seen.
///
/// # Errors
/// [`Refused::System`] if no child can be made.
pub fn carry_out(plan: Plan) -> Result<Handle, Refused> {
    let mut nodes: BTreeSet<String> = plan.begun().map(|(node, _)| node.to_string()).collect();
    nodes.extend(plan.settled().iter().map(|result| result.node.clone()));
    conduct(nodes, GRACE, |outlet| supervisor::carry_out(plan, outlet.0))
}

/// Runs `work` in a child that tells of each of `nodes` over a pipe, and returns at once: how other
/// libraries work on nodes under the same kind of handle. A node of which it says nothing has failed.
/// After TERM it has `grace` to end.
///
/// # Errors
/// [`Refused::System`] if no child can be made.
pub fn conduct(
    nodes: BTreeSet<String>,
    grace: Duration,
    work: impl FnOnce(Answers) -> Result<String, String> + 'static,
) -> Result<Handle, Refused> {
    let (reader, writer) = pipe().map_err(|error| Refused::System("pipe", error))?;
    let fd = writer.as_raw_fd();
    let job = Job::new(move |_| {
        let outlet = Outlet::new(writer, true).map_err(|error| error.to_string())?;
        work(Answers(outlet))
    });
    Handle::over(reader, nodes, false, job.keep(fd), grace)
}

/// Waits until every node is settled.
pub fn wait(mut handle: Handle) -> Results {
    while !handle.is_ended() {
        if handle.wait_for(&[], None).is_err() {
            break;
        }
        handle.poll_results();
    }
    handle.poll_results();
    handle.finish()
}

impl Handle {
    /// Over the reading end of a pipe whose other end `job` holds. `words`: the other side makes nodes
    /// of the names, so others may be heard of, and if any was, and the job ended well, a name that was
    /// not is no node.
    pub(crate) fn over(
        reader: OwnedFd,
        nodes: BTreeSet<String>,
        words: bool,
        job: Job,
        grace: Duration,
    ) -> Result<Handle, Refused> {
        let system = |error: io::Error| Refused::System("starting", error);
        let flags = fcntl(reader.as_fd(), FcntlArg::F_GETFL).map_err(|e| system(e.into()))?;
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
        fcntl(reader.as_fd(), FcntlArg::F_SETFL(flags)).map_err(|e| system(e.into()))?;
        let mut limits = Limits::fanout(1);
        limits.grace = grace;
        let mut crew = Crew::new(limits);
        let child = crew.start((), job);
        let mut handle = Handle {
            crew,
            child,
            pipe: reader.into(),
            dry: false,
            ended: None,
            reader: Reader::default(),
            missing: nodes,
            words,
            results: Results::default(),
            fresh: Vec::new(),
            notes: Vec::new(),
        };
        let events = handle.crew.pump().map_err(system)?.events;
        handle.hear(events);
        match handle.ended.take() {
            Some(Err(Failure::Fork(why))) => Err(system(io::Error::other(why))),
            ended => {
                handle.ended = ended;
                Ok(handle)
            }
        }
    }

    /// True once every node has its result.
    pub fn is_ended(&self) -> bool {
        self.ended.is_some() && self.dry
    }

    /// Sleeps until there is news, one of `others` can be read, or the time is over; which of `others`
    /// can be read.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait_for(
        &mut self,
        others: &[BorrowedFd<'_>],
        timeout: Option<Duration>,
    ) -> io::Result<Vec<usize>> {
        if self.is_ended() {
            return Ok(Vec::new());
        }
        let mut polled = others.to_vec();
        if !self.dry {
            polled.push(self.pipe.as_fd());
        }
        let ready = self.crew.wait(&polled, timeout)?;
        self.hear(ready.events);
        Ok(ready
            .readable
            .into_iter()
            .filter(|index| *index < others.len())
            .collect())
    }

    /// The results that have come since the last call. Never blocks. A node that is settled again
    /// comes again: the last word counts.
    pub fn poll_results(&mut self) -> Vec<NodeResult> {
        if self.ended.is_none()
            && let Ok(ready) = self.crew.pump()
        {
            self.hear(ready.events);
        }
        // Whatever a child wrote before its end is in the pipe when its end is known.
        self.read();
        if self.is_ended() {
            self.bury();
        }
        std::mem::take(&mut self.fresh)
    }

    /// Follows the work to its end and tells of everything on the way. When `interrupt` can be read and
    /// `stops` says that it is meant, the work is ended in good order.
    ///
    /// # Errors
    /// What the system says.
    pub fn follow(
        mut self,
        interrupt: BorrowedFd<'_>,
        stops: impl Fn() -> bool,
        say: &mut dyn FnMut(Heard<'_>),
    ) -> io::Result<Results> {
        while !self.is_ended() {
            let ready = self.wait_for(&[interrupt], None)?;
            if !ready.is_empty() && stops() {
                self.cancel();
            }
            let settled = self.poll_results();
            let notes = self.poll_notes();
            notes.iter().for_each(|note| say(Heard::Note(note)));
            settled
                .iter()
                .for_each(|result| say(Heard::Settled(result)));
        }
        Ok(self.finish())
    }

    /// What was said of the work since the last call, if the request asked for it.
    pub fn poll_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Ends the work; nodes that are not settled are cancelled. Their results still come.
    pub fn cancel(&mut self) {
        self.crew.cancel(self.child);
    }

    /// The results. Nodes without one have failed.
    pub fn finish(mut self) -> Results {
        self.bury();
        std::mem::take(&mut self.results)
    }

    fn hear(&mut self, events: Vec<Event<()>>) {
        for event in events {
            if let What::Ended(end) = event.what {
                self.ended = Some(end.map(drop));
            }
        }
    }

    fn read(&mut self) {
        let mut chunk = [0; 16 << 10];
        while !self.dry {
            match self.pipe.read(&mut chunk) {
                Ok(0) => self.dry = true,
                Ok(count) => self.take(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Somebody else may hold the other end; whoever was to write is gone.
                    self.dry = self.ended.is_some();
                    return;
                }
                Err(_) => self.dry = true,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for line in self.reader.feed(bytes) {
            match line {
                Line::Note(text) => self.notes.push(text),
                Line::Settled(result) => {
                    let known = self.missing.remove(&result.node)
                        || self.words
                        || self.results.nodes.contains_key(&result.node);
                    // Nobody asked for it.
                    if known {
                        self.fresh.push(result.clone());
                        self.results.nodes.insert(result.node.clone(), result);
                    }
                }
            }
        }
    }

    /// Whoever was not heard of has failed.
    fn bury(&mut self) {
        if self.words && matches!(self.ended, Some(Ok(()))) && !self.results.nodes.is_empty() {
            return self.missing.clear();
        }
        let why = match &self.ended {
            Some(Err(failure)) => failure.to_string(),
            _ => "nothing was reported of it".into(),
        };
        for node in std::mem::take(&mut self.missing) {
            let result = NodeResult::new(&node, Status::NOT_STARTED, format!("unknown: {why}"));
            self.fresh.push(result.clone());
            self.results.nodes.insert(node, result);
        }
    }
}

impl AsFd for Handle {
    /// Readable when [`Handle::poll_results`] may have something to say.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

/// A pipe, close-on-exec; never in the place of a standard stream, which the standard library has
/// opened if it was closed.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    Ok((reader.into(), writer.into()))
}
