//! What callbackd needs tables for: the address map, the chain, applying what nobody waits for. Each is
//! done by a child that ends, at most one of a kind at a time, so the parent never waits for a lock.

use std::time::Duration;

use fork_worker::{ChildId, Job};
use xcat_tables::{Location, Tables};

use crate::addresses::{Addresses, resolve};
use crate::apply::Place;
use crate::destiny::{self, Question};
use crate::exchange::Reply;

/// Tables may be locked for ten seconds, a resolver may be slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// After this line the map has all that the tables know; what follows is the resolver's.
const LISTED: &str = "listed";

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
    /// The map so far, and whether all that the tables know is in it.
    addresses: Slot<(Addresses, bool)>,
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
        if self.addresses.start(Default::default) {
            return Some((
                Task::Addresses,
                job(move |report| {
                    let tables = Tables::open(&location).map_err(|error| error.to_string())?;
                    let (map, others) =
                        Addresses::listed(&tables).map_err(|error| error.to_string())?;
                    let mut say = |line: &str| report.line(line).map_err(|error| error.to_string());
                    map.lines().try_for_each(|line| say(&line))?;
                    // A resolver that does not answer takes nothing from what the tables know.
                    say(LISTED)?;
                    others.iter().try_for_each(|node| {
                        resolve(node).try_for_each(|address| say(&format!("{address} {node}")))
                    })
                }),
            ));
        }
        if self.apply.start(|| ()) {
            return Some((
                Task::Apply,
                job(move |_| {
                    let tables = Tables::open(&location).map_err(|error| error.to_string())?;
                    let outcome = Place::open(tables)
                        .map_err(|error| error.to_string())?
                        .apply();
                    for (node, why) in outcome.rejected {
                        let text = format!("{node}: a report was put into rejected/: {why}");
                        program::syslog::log("callbackd", program::syslog::Level::Warning, &text);
                    }
                    outcome
                        .failed
                        .map_or(Ok(()), |error| Err(error.to_string()))
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
                let (map, listed) = self.addresses.running.as_mut()?;
                map.take_line(line);
                *listed |= line == LISTED;
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
            Task::Addresses => {
                let map = self.addresses.running.take();
                Ended {
                    addresses: map
                        .filter(|(_, listed)| well || *listed)
                        .map(|(map, _)| map),
                    ..Ended::default()
                }
            }
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
