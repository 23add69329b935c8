//! All nodes of a run: what is due, what came of it, what is written down before it counts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use fork_worker::{ChildId, Crew, Failure, Report, What};

use crate::journal::{self, Folder};
use crate::judge::{Streak, judge};
use crate::node::Node;
use crate::node_files::{self, NodeLock};
use crate::plan::{Goal, Plan};
use crate::rate::Bucket;
use crate::said::{Live, Said};
use crate::state::{Event, State};
use crate::step::{Order, Outcome, Step, Trouble};
use crate::survey;
use crate::texts;
use crate::waves::{Counts, Gate, Start};

/// Does a step; runs in the child.
pub type Worker = Rc<dyn Fn(&Order, &mut Report) -> Result<Outcome, Trouble>>;

/// What ends a run early.
pub trait Stop {
    /// To poll.
    fn as_fd(&self) -> BorrowedFd<'_>;
    /// True if somebody asked since the last call.
    fn take(&self) -> bool;
}

impl Stop for program::Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        AsFd::as_fd(self)
    }
    fn take(&self) -> bool {
        program::Interrupt::take(self)
    }
}

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal: nothing is done that is not written down.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The system refused to wait.
    #[error("waiting: {0}")]
    Wait(std::io::Error),
}

/// How a run ended.
#[derive(Debug)]
pub struct Summary {
    /// Every node, settled or (after a second signal) not.
    pub nodes: BTreeMap<String, Node>,
}

struct Run<'a> {
    plan: &'a Plan,
    nodes: BTreeMap<String, Node>,
    going: BTreeMap<String, Going>,
    folder: &'a mut Folder,
    worker: Worker,
    crew: Crew<String>,
    gate: Gate,
    bucket: Option<Bucket>,
    /// Children that wait until what they asked for is on disk.
    answers: Vec<(ChildId, &'static str)>,
    /// Children that wait for their share of the rate.
    grants: VecDeque<(ChildId, u64)>,
    stopping: bool,
    say: &'a mut dyn FnMut(Said<'_>),
}

/// What a node has only while this process works on it.
struct Going {
    streak: Streak,
    /// When the next step is due; none while a child runs, or at the gate.
    due: Option<Instant>,
    /// The end of its state, or of its last progress.
    late: Instant,
    child: Option<ChildId>,
    live: Live,
    lock: Option<NodeLock>,
    /// Our predecessor died around the last byte of an upload: the image may never come.
    unsure: bool,
}

/// Works until every node is settled. `nodes` stand where a journal left them, or at the beginning.
/// A first signal starts nothing more and ends uploads that are not complete; a second one ends the
/// run, and its journal can be resumed.
///
/// # Errors
/// [`Error`]: then too the journal can be resumed.
pub fn run(
    plan: &Plan,
    nodes: BTreeMap<String, Node>,
    folder: &mut Folder,
    worker: Worker,
    stop: &dyn Stop,
    say: &mut dyn FnMut(Said<'_>),
) -> Result<Summary, Error> {
    room_for_locks(nodes.len() + plan.options.fanout * 4);
    let mut run = Run {
        plan,
        nodes,
        going: BTreeMap::new(),
        folder,
        worker,
        crew: Crew::new(fork_worker::Limits::fanout(plan.options.fanout)),
        gate: Gate::new(plan.options.waves.clone()),
        bucket: plan.options.rate.map(Bucket::new),
        answers: Vec::new(),
        grants: VecDeque::new(),
        stopping: false,
        say,
    };
    run.begin();
    run.work(stop)?;
    Ok(Summary { nodes: run.nodes })
}

impl Run<'_> {
    fn begin(&mut self) {
        let names: Vec<String> = self.nodes.keys().cloned().collect();
        for name in names {
            let Some(node) = self.nodes.get_mut(&name) else {
                continue;
            };
            if node.state.is_settled() {
                continue;
            }
            // What a dead process was doing when it died.
            let sent = node.slot().sent;
            let unsure = node.state == State::Upload && sent;
            match node.state {
                // Complete, perhaps: the BMC's list knows.
                State::Upload if sent => node.state = State::Find,
                // Not complete: looked at anew, since its BMC may have changed.
                State::Upload | State::Gate | State::Preflight if node.image == 0 => {
                    node.state = State::Preflight
                }
                _ => {}
            }
            if node.times.is_empty() {
                node.times.push((node.state, journal::now()));
            }
            let now = Instant::now();
            let state = node.state;
            let going = Going {
                streak: Streak::default(),
                due: Some(now),
                late: now + self.limit(state),
                child: None,
                live: Live::default(),
                lock: None,
                unsure,
            };
            self.going.insert(name.clone(), going);
            if self.plan.goal != Goal::Preflight {
                self.take_lock(&name);
            }
        }
    }

    fn take_lock(&mut self, name: &str) {
        match node_files::lock(name) {
            Ok(Some(lock)) => {
                if let Some(going) = self.going.get_mut(name) {
                    going.lock = Some(lock);
                }
                (self.say)(Said::Detail(
                    name,
                    "Acquired the lock for upload and activate process",
                ));
            }
            Ok(None) => self.fail(name, &texts::locked(name)),
            Err(error) => self.fail(name, &format!("its lock cannot be taken: {error}")),
        }
    }

    fn work(&mut self, stop: &dyn Stop) -> Result<(), Error> {
        loop {
            self.folder.flush()?;
            self.answer();
            if self.going.is_empty() {
                return Ok(());
            }
            let now = Instant::now();
            self.grant(now);
            self.open_gate(now);
            self.start_due(now);
            // What the gate or a limit settled is written down before we sleep.
            self.folder.flush()?;
            let timeout = self.sleep(Instant::now());
            (self.say)(Said::Tick(&self.nodes, &|name| {
                self.going.get(name).map(|going| going.live)
            }));
            let ready = self
                .crew
                .wait(&[stop.as_fd()], timeout)
                .map_err(Error::Wait)?;
            for event in ready.events {
                match event.what {
                    What::Line(line) => self.line(&event.key, event.child, &line),
                    What::Ended(result) => self.ended(&event.key, result),
                }
            }
            if !ready.readable.is_empty() && stop.take() {
                if self.stopping {
                    self.folder.flush()?;
                    return Ok(());
                }
                self.stop();
            }
        }
    }

    /// When something is due by the clock.
    fn sleep(&self, now: Instant) -> Option<Duration> {
        let mut next = self
            .bucket
            .as_ref()
            .filter(|_| !self.grants.is_empty())
            .map(|bucket| bucket.next(now));
        let gate = match self.gate.look(&self.counts(), now) {
            Start::At(at) => Some(at),
            _ => None,
        };
        for going in self.going.values() {
            let due = match (going.child, going.due) {
                (None, Some(due)) => Some(due),
                _ => None,
            };
            next = [next, due, gate].into_iter().flatten().min();
        }
        // A redrawn view shows time passing.
        let due = next.map(|next| next.saturating_duration_since(now));
        Some(
            due.unwrap_or(Duration::from_secs(1))
                .min(Duration::from_secs(1)),
        )
    }

    fn start_due(&mut self, now: Instant) {
        let due: Vec<String> = self
            .going
            .iter()
            .filter(|(_, going)| going.child.is_none() && going.due.is_some_and(|due| due <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            let Some(node) = self.nodes.get(&name) else {
                continue;
            };
            if node.state == State::Gate {
                continue;
            }
            let step = self.step(node);
            self.start(&name, step);
        }
    }

    /// What a state does. The gate does nothing, and settled nodes are gone.
    fn step(&self, node: &Node) -> Step {
        let slot = node.slots.get(node.image).cloned().unwrap_or_default();
        let image = self.plan.images.get(node.image);
        let id = slot
            .id
            .or_else(|| image.and_then(|image| image.id.clone()))
            .unwrap_or_default();
        match node.state {
            State::Preflight | State::Gate | State::Good | State::Failed => Step::Preflight,
            State::Upload => Step::Upload {
                archive: self.folder.image(node.image),
                size: image.map_or(0, |image| image.size),
                name: image.and_then(|image| image.path.file_name()).map_or_else(
                    || "image.tar".into(),
                    |name| name.to_string_lossy().into_owned(),
                ),
                rated: self.bucket.is_some(),
                pull: image.and_then(|image| self.plan.options.pull(image)),
            },
            State::Find | State::Flash => Step::Look {
                images: true,
                unless_running: node.state == State::Flash,
                runs: false,
                task: slot.task,
                after_reset: false,
            },
            State::Activate => Step::Activate(id),
            State::First => Step::First(id),
            State::Reset => Step::Reset,
            State::Back | State::OffWait | State::OnWait => Step::Look {
                images: false,
                unless_running: false,
                runs: true,
                task: None,
                after_reset: node.state == State::Back,
            },
            State::HostOff => Step::HostOff,
            State::HostOn => Step::HostOn,
        }
    }

    fn start(&mut self, name: &str, step: Step) {
        let is_upload = matches!(step, Step::Upload { .. });
        let order = Order {
            node: name.to_string(),
            step,
        };
        let job = survey::job(order, Rc::clone(&self.worker), &self.plan.options);
        let child = self.crew.start(name.to_string(), job);
        if let Some(going) = self.going.get_mut(name) {
            going.child = Some(child);
            going.due = None;
            going.live = Live {
                sent: 0,
                ..going.live
            };
        }
        if is_upload {
            self.tell_upload(name);
        }
    }

    fn tell_upload(&mut self, name: &str) {
        let Some(node) = self.nodes.get(name) else {
            return;
        };
        if let Some(image) = self.plan.images.get(node.image) {
            let text = texts::uploading(&image.path);
            node_files::log(name, &text);
            (self.say)(Said::Detail(name, &text));
        }
    }

    fn line(&mut self, name: &str, child: ChildId, line: &str) {
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        let Some(going) = self
            .going
            .get_mut(name)
            .filter(|going| going.child == Some(child))
        else {
            return;
        };
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "sent" => going.live.sent = rest.parse().unwrap_or(going.live.sent),
            // The list before, and the word that the last byte goes out, are on disk before the child
            // goes on: afterwards nobody could tell an image that was there from ours.
            "before" => {
                node.before = serde_json::from_str(rest).unwrap_or_default();
                self.folder.note(node);
                self.answers.push((child, "go"));
            }
            "last" => {
                node.slot().sent = true;
                self.folder.note(node);
                self.answers.push((child, "go"));
            }
            "grant" => self.grants.push_back((child, rest.parse().unwrap_or(1))),
            _ => {}
        }
    }

    fn answer(&mut self) {
        for (child, text) in std::mem::take(&mut self.answers) {
            // A child that has ended tells its own story.
            let _ = self.crew.reply(child, text);
        }
    }

    fn grant(&mut self, now: Instant) {
        let Some(bucket) = &mut self.bucket else {
            return;
        };
        while let Some((child, bytes)) = self.grants.front().copied() {
            if !bucket.take(bytes, now) {
                return;
            }
            self.grants.pop_front();
            let _ = self.crew.reply(child, "go");
        }
    }

    fn ended(&mut self, name: &str, result: Result<String, Failure>) {
        let Some(going) = self.going.get_mut(name) else {
            return;
        };
        going.child = None;
        let answer = survey::answer(result);
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        let before = node.clone();
        let mut event = judge(self.plan, node, &mut going.streak, answer);
        let now = Instant::now();
        if going.streak.moved {
            going.live.percent = going.streak.percent;
        }
        if event == Event::Again {
            if going.streak.moved {
                going.late = now + limit(self.plan, node.state);
            } else if going.streak.good > 0 {
                // In the middle of its good answers: looks that had to wait for their turn are not
                // held against it. The next one that is not good ends this.
            } else if now >= going.late && going.unsure && node.state == State::Find {
                going.unsure = false;
                *node.slot() = crate::node::Slot::default();
                event = Event::NextUpload;
            } else if now >= going.late {
                event = Event::Late;
                node.why = texts::late(self.plan, node, limit(self.plan, node.state));
            }
        }
        let (state, streak) = (node.state, going.streak);
        match event {
            Event::Again => {
                if before.silent != node.silent {
                    self.folder.note(node);
                }
                if streak.moved
                    && state == State::Flash
                    && let Some(text) = texts::percent(self.plan, node, streak.percent)
                {
                    node_files::log(name, &text);
                    (self.say)(Said::Detail(name, &text));
                }
                if state == State::Find {
                    let text = texts::not_found_yet(self.plan, node, self.plan.options.limits.poll);
                    node_files::log(name, &text);
                    (self.say)(Said::Detail(name, &text));
                }
                self.wait(name, now);
            }
            event => self.transit(name, &before, event),
        }
    }

    fn wait(&mut self, name: &str, now: Instant) {
        let poll = self.plan.options.limits.poll;
        if let Some(going) = self.going.get_mut(name) {
            going.due = Some(now + poll);
        }
    }

    /// From one state to the next: noted, told, and due at once.
    fn transit(&mut self, name: &str, before: &Node, event: Event) {
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        let next = before.state.next(event).unwrap_or_else(|| {
            node.why = format!("internal error: {event:?} in {:?}", before.state);
            State::Failed
        });
        node.state = next;
        node.times.push((next, journal::now()));
        if next == State::Reset {
            node.silent = false;
        }
        self.folder.note(node);
        for text in texts::transition(self.plan, before, node, event) {
            if text.log {
                node_files::log(name, &text.text);
            }
            (self.say)(if text.verbose {
                Said::Detail(name, &text.text)
            } else {
                Said::Text(name, &text.text)
            });
        }
        if let Some(status) = texts::node_status(next) {
            (self.say)(Said::Power(name, status));
        }
        if next.is_settled() {
            return self.settle(name);
        }
        let now = Instant::now();
        let late = now + self.limit(next);
        if let Some(going) = self.going.get_mut(name) {
            going.streak = Streak::default();
            going.live.percent = None;
            going.late = late;
            // A reset that was accepted has not happened yet.
            going.due = match next {
                State::Back => Some(now + self.plan.options.limits.poll),
                State::Gate => None,
                _ => Some(now),
            };
        }
    }

    fn settle(&mut self, name: &str) {
        self.going.remove(name);
        let Some(node) = self.nodes.get(name) else {
            return;
        };
        if node.state == State::Failed {
            node_files::log(name, &node.why);
        }
        (self.say)(Said::Settled(node));
    }

    /// Settles a node that no step is to be taken for any more.
    fn fail(&mut self, name: &str, why: &str) {
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        let before = node.clone();
        node.why = why.to_string();
        // Every unsettled state fails on Fail.
        self.transit(name, &before, Event::Fail);
    }

    fn open_gate(&mut self, now: Instant) {
        let waiting: Vec<String> = self
            .going
            .keys()
            .filter(|name| {
                self.nodes
                    .get(*name)
                    .is_some_and(|node| node.state == State::Gate)
            })
            .cloned()
            .collect();
        // The whole fleet is looked at before the first byte is sent.
        let looking = self
            .nodes
            .values()
            .any(|node| node.state == State::Preflight);
        if looking {
            return;
        }
        for name in waiting {
            match self.gate.look(&self.counts(), now) {
                Start::Now => {
                    self.gate.started(now);
                    let Some(node) = self.nodes.get(&name).cloned() else {
                        continue;
                    };
                    let known = self
                        .plan
                        .images
                        .first()
                        .is_some_and(|image| image.id.is_some());
                    self.transit(&name, &node, if known { Event::Known } else { Event::Good });
                }
                Start::Later | Start::At(_) => return,
                Start::Never(why) => self.fail(&name, &why),
            }
        }
    }

    fn counts(&self) -> Counts {
        let began = |node: &Node| {
            node.since(State::Upload)
                .or_else(|| node.since(State::Activate))
                .is_some()
        };
        let mut counts = Counts {
            all: self.nodes.len(),
            ..Counts::default()
        };
        for node in self.nodes.values().filter(|node| began(node)) {
            counts.started += 1;
            match node.state {
                State::Good => counts.good += 1,
                State::Failed => counts.failed += 1,
                _ => {}
            }
        }
        counts
    }

    /// The first signal.
    fn stop(&mut self) {
        self.stopping = true;
        let going: BTreeSet<String> = self.going.keys().cloned().collect();
        for name in going {
            let Some(node) = self.nodes.get_mut(&name) else {
                continue;
            };
            let unsent = node.state == State::Upload && !node.slot().sent;
            let child = self.going.get(&name).and_then(|going| going.child);
            match node.state {
                State::Preflight | State::Gate => {
                    child.map(|child| self.crew.cancel(child));
                    self.fail(&name, "not touched: the run was stopped");
                }
                State::Upload if unsent => {
                    child.map(|child| self.crew.cancel(child));
                    self.fail(
                        &name,
                        "stopped during the upload: the BMC has no whole image",
                    );
                }
                _ => {}
            }
        }
        (self.say)(Said::Stopping(self.going.len()));
    }

    fn limit(&self, state: State) -> Duration {
        limit(self.plan, state)
    }
}

/// How long a state may last: from its beginning, or (activation) from its last progress.
fn limit(plan: &Plan, state: State) -> Duration {
    let limits = &plan.options.limits;
    match state {
        State::Find => limits.find,
        State::Flash => limits.activate,
        State::Back => limits.reset,
        State::OffWait => limits.host_off,
        State::OnWait => limits.host_on,
        _ => limits.busy,
    }
}

/// A lock per node and pipes per child are more files than a login shell allows.
fn room_for_locks(files: usize) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let wanted = files as u64 + 64;
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < wanted
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard);
    }
}
