//! What callbackd needs tables for: the address map, the chain, applying what nobody waits for. Each is
//! done by a child that ends, at most one of a kind at a time, so the parent never waits for a lock.

use std::time::Duration;

use fork_worker::{ChildId, Job};
use xcat_tables::{Location, Tables};

use crate::addresses::Addresses;
use crate::apply::Place;
use crate::destiny::{self, Question};
use crate::exchange::Reply;

/// Tables may be locked for ten seconds, a resolver may be slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// Kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Task {
    Addresses,
    Chain,
    Apply,
}

/// What a task leaves when it ends.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// Children whose question got no answer.
    pub(crate) unanswered: Vec<(ChildId, Reply)>,
    /// The map, if it was read whole.
    pub(crate) addresses: Option<Addresses>,
}

/// What is wanted and what runs.
#[derive(Debug)]
pub(crate) struct Desk {
    location: Location,
    addresses: Slot<Addresses>,
    apply: Slot<()>,
    chain: Slot<Vec<Option<(ChildId, Question)>>>,
    questions: Vec<(ChildId, Question)>,
}

#[derive(Debug, Default)]
struct Slot<T> {
    wanted: bool,
    running: Option<T>,
}

impl Desk {
    pub(crate) fn new(location: Location) -> Desk {
        Desk {
            location,
            addresses: Slot::default(),
            apply: Slot::default(),
            chain: Slot::default(),
            questions: Vec::new(),
        }
    }

    /// Asks for the address map.
    pub(crate) fn read_addresses(&mut self) {
        self.addresses.wanted = true;
    }

    /// Asks for the spool to be applied.
    pub(crate) fn apply(&mut self) {
        self.apply.wanted = true;
    }

    /// Takes a node's question; those that come while one child runs are answered together by the next.
    pub(crate) fn question(&mut self, child: ChildId, question: Question) {
        self.questions.push((child, question));
        self.chain.wanted = true;
    }

    /// The next piece of work that may start now.
    pub(crate) fn next(&mut self) -> Option<(Task, Job)> {
        let location = self.location.clone();
        if self.addresses.start(Addresses::default) {
            return Some((
                Task::Addresses,
                job(move |report| {
                    let tables = Tables::open(&location).map_err(|error| error.to_string())?;
                    let map = Addresses::read(&tables).map_err(|error| error.to_string())?;
                    map.lines()
                        .try_for_each(|line| report.line(&line))
                        .map_err(|error| error.to_string())
                }),
            ));
        }
        if self.apply.start(|| ()) {
            return Some((
                Task::Apply,
                job(move |_| {
                    let tables = Tables::open(&location).map_err(|error| error.to_string())?;
                    let outcome = Place::open(tables)
                        .and_then(|place| place.apply())
                        .map_err(|error| error.to_string())?;
                    for (file, why) in outcome.rejected {
                        program::syslog::log(
                            "callbackd",
                            program::syslog::Level::Warning,
                            &format!("{file}: put into rejected/: {why}"),
                        );
                    }
                    Ok(())
                }),
            ));
        }
        let questions = &mut self.questions;
        if self.chain.start(|| questions.drain(..).map(Some).collect()) {
            let asked: Vec<Question> = self
                .chain
                .running
                .iter()
                .flatten()
                .flatten()
                .map(|(_, question)| question.clone())
                .collect();
            return Some((
                Task::Chain,
                job(move |report| {
                    let tables = Tables::open(&location).map_err(|error| error.to_string())?;
                    let destinies =
                        destiny::answer(&tables, &asked).map_err(|error| error.to_string())?;
                    for (at, question) in asked.iter().enumerate() {
                        let destiny = destinies
                            .get(&question.node)
                            .map(String::as_str)
                            .unwrap_or_default();
                        report
                            .line(&format!("{at} {destiny}"))
                            .map_err(|error| error.to_string())?;
                    }
                    Ok(())
                }),
            ));
        }
        None
    }

    /// Takes a line of a running task; for a question, the answer and who asked.
    pub(crate) fn line(&mut self, task: Task, line: &str) -> Option<(ChildId, Reply)> {
        match task {
            Task::Addresses => {
                self.addresses.running.as_mut()?.take_line(line);
                None
            }
            Task::Apply => None,
            Task::Chain => {
                let (at, destiny) = line.split_once(' ')?;
                let (child, question) = self
                    .chain
                    .running
                    .as_mut()?
                    .get_mut(at.parse::<usize>().ok()?)?
                    .take()?;
                Some((
                    child,
                    Reply::Destiny {
                        node: question.node,
                        destiny: destiny.into(),
                    },
                ))
            }
        }
    }

    /// A task has ended, well or not.
    pub(crate) fn ended(&mut self, task: Task, well: bool) -> Ended {
        match task {
            Task::Addresses => Ended {
                addresses: self.addresses.running.take().filter(|_| well),
                ..Ended::default()
            },
            Task::Apply => {
                self.apply.running = None;
                Ended::default()
            }
            Task::Chain => {
                let left = self.chain.running.take().into_iter().flatten().flatten();
                let unanswered = left
                    .map(|(child, _)| (child, Reply::Busy("the tables".into())))
                    .collect();
                Ended {
                    unanswered,
                    ..Ended::default()
                }
            }
        }
    }
}

impl<T> Slot<T> {
    fn start(&mut self, with: impl FnOnce() -> T) -> bool {
        let start = self.wanted && self.running.is_none();
        if start {
            self.wanted = false;
            self.running = Some(with());
        }
        start
    }
}

fn job(work: impl FnOnce(&mut fork_worker::Report) -> Result<(), String> + 'static) -> Job {
    Job::new(move |report| work(report).map(|()| String::new())).deadline(DEADLINE)
}
