//! The scan itself: listen, claim, boot, wait, put back.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use boot_target::Target;
use fork_worker::{Crew, Event, Limits, What};
use node_reboot::genesis::{self, Step};
use node_report::{Addresses, News, Place, Report, Waiter};
use xcat_tables::{Location, Tables};

use crate::plan::{Options, Plan};
use crate::said::{Progress, Said, Summary};
use crate::{Error, live};

/// What genesis is told to run; stock images know the name.
const ACTION: &str = "runcmd=getadapter";

/// How often to look without being rung.
const TICK: Duration = Duration::from_secs(1);

/// Asks the nodes of the plan. Returns when all have answered or failed, when the time is over, or
/// when `interrupt` becomes readable; in every case claims and FIFO are gone afterwards, what came in
/// is stored, and boot targets are back.
pub fn scan(
    location: &Location,
    plan: &Plan,
    options: &Options,
    interrupt: BorrowedFd<'_>,
    say: &mut dyn FnMut(Said<'_>),
) -> Result<Summary, Error> {
    let mut summary = Summary {
        failed: plan.refused.clone(),
        ..Summary::default()
    };
    plan.refused
        .iter()
        .for_each(|(node, why)| say(Said::Failed(node, why)));
    if plan.boot.is_empty() && plan.live.is_empty() {
        return Ok(summary);
    }
    let deadline = Instant::now() + options.timeout;
    let tables = Tables::open(location)?;
    let watch_chain = program::paths::xcat_command("xcatd").is_some();
    let (mut waiter, news) = Waiter::open(Place::open(tables)?, "getadapter", watch_chain)?;
    news.remarks.iter().for_each(|text| say(Said::Remark(text)));
    news.troubles
        .iter()
        .for_each(|text| say(Said::Trouble(text)));
    let nodes: Vec<String> = plan.boot.iter().chain(&plan.live).cloned().collect();
    let taken = waiter.claim(&nodes, options.timeout.as_secs())?;
    for (node, holder) in &taken.held {
        fail(
            &mut summary,
            node,
            &format!("is waited for by {holder}"),
            say,
        );
    }
    let mut run = Run {
        location,
        crew: Crew::new(Limits::fanout(options.fanout.max(1))),
        waiter,
        summary,
        state: BTreeMap::new(),
        armed: BTreeSet::new(),
        to_release: Vec::new(),
        releasing: Vec::new(),
        troubles: news.troubles.into_iter().collect(),
        listener: None,
        interrupted: false,
    };
    let claimed: BTreeSet<&String> = taken.claimed.iter().collect();
    let boot: Vec<String> = plan
        .boot
        .iter()
        .filter(|node| claimed.contains(node))
        .cloned()
        .collect();
    let live: Vec<String> = plan
        .live
        .iter()
        .filter(|node| claimed.contains(node))
        .cloned()
        .collect();
    let started = run.start(&boot, &live, options);
    if started.is_ok() {
        run.wait(deadline, interrupt, say);
    }
    let summary = run.end(say);
    started.map(|()| summary)
}

struct Run<'a> {
    location: &'a Location,
    crew: Crew<Task>,
    waiter: Waiter,
    summary: Summary,
    state: BTreeMap<String, (State, Instant)>,
    armed: BTreeSet<String>,
    to_release: Vec<String>,
    releasing: Vec<String>,
    troubles: BTreeSet<String>,
    /// callbackd's program, and where it listened when nodes were told.
    listener: Option<(PathBuf, String)>,
    interrupted: bool,
}

#[derive(Debug, Clone)]
enum Task {
    Boot(Vec<String>),
    Live(String),
    Release,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    Off,
    Booting,
}

impl Run<'_> {
    /// Listens already; now the nodes are started.
    fn start(&mut self, boot: &[String], live: &[String], options: &Options) -> Result<(), Error> {
        let now = Instant::now();
        if !boot.is_empty() {
            let published = node_report::listener(&options.callbackd)?;
            self.listener = Some((options.callbackd.clone(), published.clone()));
            let target = Target {
                action: ACTION.into(),
                report: node_report::reachable(&self.waiter.place().tables, &published)?,
                pin: node_report::pin()?,
                nonce: self.waiter.nonce().into(),
                ..Target::default()
            };
            for set in boot.chunks(options.fanout.max(1)) {
                self.crew.start(
                    Task::Boot(set.to_vec()),
                    genesis::job(self.location.clone(), set.to_vec(), target.clone()),
                );
            }
            self.armed.extend(boot.iter().cloned());
            self.state
                .extend(boot.iter().map(|node| (node.clone(), (State::Queued, now))));
        }
        let known = if live.is_empty() {
            Addresses::default()
        } else {
            Addresses::read(&self.waiter.place().tables)?
        };
        for node in live {
            let address = known.iter().find(|(_, owner)| owner == node);
            let job = live::job(node.clone(), address.map(|(address, _)| address));
            self.crew.start(Task::Live(node.clone()), job);
            self.state.insert(node.clone(), (State::Booting, now));
        }
        Ok(())
    }

    fn wait(
        &mut self,
        deadline: Instant,
        interrupt: BorrowedFd<'_>,
        say: &mut dyn FnMut(Said<'_>),
    ) {
        let mut next_tick = Instant::now() + TICK;
        while !self.waiter.waiting().is_empty() {
            let now = Instant::now();
            if now >= deadline {
                return;
            }
            let until = next_tick.min(deadline).saturating_duration_since(now);
            let ready = match self
                .crew
                .wait(&[interrupt, self.waiter.as_fd()], Some(until))
            {
                Ok(ready) => ready,
                Err(error) => return say(Said::Remark(&format!("poll: {error}"))),
            };
            for event in ready.events {
                self.take(event, say);
            }
            if ready.readable.contains(&1) {
                let news = self.waiter.rung();
                self.take_news(news, say);
            }
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                self.keep_listening(say);
                let news = self.waiter.tick();
                self.take_news(news, say);
                say(Said::Progress(self.progress()));
            }
            if ready.readable.contains(&0) {
                self.interrupted = true;
                return;
            }
            self.start_release();
        }
    }

    /// A callbackd that was killed is started again: nodes are still on their way.
    fn keep_listening(&mut self, say: &mut dyn FnMut(Said<'_>)) {
        let Some((callbackd, address)) = &self.listener else {
            return;
        };
        let trouble = match node_report::listener(callbackd) {
            Ok(now) if now == *address => return,
            Ok(now) => format!("callbackd listens at {now}, nodes were told {address}"),
            Err(error) => error.to_string(),
        };
        if self.troubles.insert(trouble.clone()) {
            say(Said::Trouble(&trouble));
        }
    }

    /// The end in the order that loses nothing, then the boot targets.
    fn end(mut self, say: &mut dyn FnMut(Said<'_>)) -> Summary {
        let (news, missing) = self.waiter.end();
        self.take_news(news, say);
        let transactions = self.waiter.transactions();
        say(Said::Remark(&format!(
            "reports were stored in {transactions} transactions"
        )));
        let ended = match self.interrupted {
            true => "interrupted before it answered",
            false => "Timeout to get the adapter information",
        };
        for node in &missing {
            let last = match self.state.get(node) {
                Some((State::Booting, since)) => {
                    format!("last known: booting since {} s", since.elapsed().as_secs())
                }
                Some((State::Off, _)) => "last known: switched off".into(),
                _ => "last known: not yet started".into(),
            };
            fail(&mut self.summary, node, &format!("{ended} ({last})"), say);
        }
        self.crew.terminate();
        // Those that have answered, those that have not, and those of a release that was just ended:
        // releasing twice changes nothing.
        self.to_release.append(&mut self.releasing);
        self.to_release.extend(std::mem::take(&mut self.armed));
        self.crew = Crew::new(Limits::fanout(1));
        self.start_release();
        while !self.crew.is_idle() {
            match self.crew.wait(&[], Some(TICK)) {
                Ok(ready) => ready
                    .events
                    .into_iter()
                    .for_each(|event| self.take(event, say)),
                Err(_) => break,
            }
        }
        self.summary
    }

    fn take(&mut self, event: Event<Task>, say: &mut dyn FnMut(Said<'_>)) {
        match (event.key, event.what) {
            (Task::Boot(_), What::Line(line)) => self.step(&line, say),
            (Task::Boot(nodes), What::Ended(Err(why))) => {
                let lost: Vec<String> = nodes
                    .into_iter()
                    .filter(|node| {
                        self.state
                            .get(node)
                            .is_some_and(|(state, _)| *state != State::Booting)
                    })
                    .collect();
                for node in &lost {
                    self.fail(node, &format!("failed to boot: {why}"), say);
                }
            }
            (Task::Live(node), What::Ended(result)) => {
                self.take_live(&node, result.map_err(|why| why.to_string()), say)
            }
            (Task::Release, What::Line(line)) => {
                if let Some(Step::Failed(node, why)) = Step::parse(&line) {
                    say(Said::Trouble(&format!("{node}: {why}")));
                }
            }
            (Task::Release, What::Ended(result)) => {
                self.releasing.clear();
                if let Err(why) = result {
                    say(Said::Trouble(&format!("boot targets: {why}")));
                }
            }
            (Task::Boot(_), What::Ended(Ok(_))) | (Task::Live(_), What::Line(_)) => {}
        }
    }

    fn step(&mut self, line: &str, say: &mut dyn FnMut(Said<'_>)) {
        match Step::parse(line) {
            Some(Step::Off(node)) => drop(self.state.insert(node, (State::Off, Instant::now()))),
            Some(Step::Booting(node)) => {
                say(Said::Booting(&node));
                self.state.insert(node, (State::Booting, Instant::now()));
            }
            Some(Step::Failed(node, why)) => self.fail(&node, &why, say),
            None => {}
        }
    }

    fn take_live(
        &mut self,
        node: &str,
        result: Result<String, String>,
        say: &mut dyn FnMut(Said<'_>),
    ) {
        let stored = result
            .and_then(|verdict| live::facts(&verdict))
            .and_then(|facts| {
                let report = Report::now(node, Some("ssh".into()), None, facts);
                self.waiter
                    .take_report(&report)
                    .map_err(|error| error.to_string())
            });
        match stored {
            Ok(news) => self.take_news(news, say),
            Err(why) => self.fail(node, &why, say),
        }
    }

    fn take_news(&mut self, news: News, say: &mut dyn FnMut(Said<'_>)) {
        news.remarks.iter().for_each(|text| say(Said::Remark(text)));
        for trouble in news.troubles {
            if !self.troubles.contains(&trouble) {
                say(Said::Trouble(&trouble));
                self.troubles.insert(trouble);
            }
        }
        for answer in news.answers {
            say(Said::Answered(&answer));
            self.state.remove(&answer.node);
            if self.armed.remove(&answer.node) {
                self.to_release.push(answer.node.clone());
            }
            self.summary.answered.push(answer.node);
        }
    }

    /// Nodes that have answered go back to their own boot target at once, one child at a time.
    fn start_release(&mut self) {
        if self.releasing.is_empty() && !self.to_release.is_empty() {
            self.releasing = std::mem::take(&mut self.to_release);
            let job = genesis::release(self.location.clone(), self.releasing.clone());
            self.crew.start(Task::Release, job);
        }
    }

    fn fail(&mut self, node: &str, why: &str, say: &mut dyn FnMut(Said<'_>)) {
        if let Err(error) = self.waiter.give_up(&[node.to_string()]) {
            say(Said::Remark(&error.to_string()));
        }
        self.state.remove(node);
        if self.armed.remove(node) {
            self.to_release.push(node.into());
        }
        fail(&mut self.summary, node, why, say);
    }

    fn progress(&self) -> Progress<'_> {
        let count = |wanted: State| {
            self.state
                .values()
                .filter(|(state, _)| *state == wanted)
                .count()
        };
        let slowest = self
            .state
            .iter()
            .filter(|(_, (state, _))| *state == State::Booting)
            .min_by_key(|(_, (_, since))| *since);
        Progress {
            answered: self.summary.answered.len(),
            booting: count(State::Booting),
            queued: count(State::Queued) + count(State::Off),
            slowest: slowest.map(|(node, (_, since))| (node.as_str(), since.elapsed())),
        }
    }
}

fn fail(summary: &mut Summary, node: &str, why: &str, say: &mut dyn FnMut(Said<'_>)) {
    say(Said::Failed(node, why));
    summary.failed.insert(node.into(), why.into());
}
