//! What callbackd needs tables for: the address map, the chain, applying what nobody waits for. Each is
//! done by a child that ends, at most one of a kind at a time, so the parent never waits for a lock.

use std::time::Duration;

use fork_worker::{ChildId, Job};
use xcat_tables::{Location, Tables};

use crate::addresses::{Addresses, resolve};
use crate::apply::Place;
use crate::claim::{self, Me};
use crate::destiny::{self, Question};
use crate::exchange::Reply;
use crate::inbox;
use crate::record::{Content, Report};
use single_server::PrivateDir;

/// Tables may be locked for ten seconds, a resolver may be slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// After this line the map has all that the tables know; what follows is the resolver's.
const LISTED: &str = "listed";

/// Kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Task {
    Addresses,
    Chain,
    Claims,
    Apply,
}

/// What a task has found out for a child.
#[derive(Debug)]
pub(crate) enum Found {
    /// The answer.
    Reply(Reply),
    /// What it brought may be stored.
    Admitted(Report),
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
    claims: Slot<Vec<Option<(ChildId, Report)>>>,
    loads: Vec<(ChildId, Report)>,
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
            claims: Slot::default(),
            loads: Vec::new(),
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

    /// Takes what a node says of its disk: whether its claim is there is in the tables.
    pub(crate) fn load(&mut self, child: ChildId, report: Report) {
        self.loads.push((child, report));
        self.claims.wanted = true;
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
        let loads = &mut self.loads;
        if self.claims.start(|| loads.drain(..).map(Some).collect()) {
            let asked = self.claims.running.iter().flatten().flatten();
            let asked: Vec<Report> = asked.map(|(_, report)| report.clone()).collect();
            return Some((
                Task::Claims,
                job(move |report| {
                    for (at, verdict) in admitted(&location, &asked)?.into_iter().enumerate() {
                        let line = match verdict {
                            Ok(()) => at.to_string(),
                            Err(why) => format!("{at} {}", program::escape(&why)),
                        };
                        report.line(&line).map_err(|error| error.to_string())?;
                    }
                    Ok(())
                }),
            ));
        }
        None
    }

    /// Takes a line of a running task; for a question, the answer and who asked.
    pub(crate) fn line(&mut self, task: Task, line: &str) -> Option<(ChildId, Found)> {
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
                let reply = Reply::Destiny {
                    node: question.node,
                    destiny: destiny.into(),
                };
                Some((child, Found::Reply(reply)))
            }
            Task::Claims => {
                let (at, refused) = match line.split_once(' ') {
                    Some((at, why)) => (at, Some(why)),
                    None => (line, None),
                };
                let (child, report) = self
                    .claims
                    .running
                    .as_mut()?
                    .get_mut(at.parse::<usize>().ok()?)?
                    .take()?;
                Some((
                    child,
                    match refused {
                        Some(why) => Found::Reply(Reply::Refused(why.into())),
                        None => Found::Admitted(report),
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
                unanswered(left.map(|(child, _)| child))
            }
            Task::Claims => {
                let left = self.claims.running.take().into_iter().flatten().flatten();
                unanswered(left.map(|(child, _)| child))
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

/// Nothing could be found out for these: they ask again.
fn unanswered(children: impl Iterator<Item = ChildId>) -> Ended {
    let busy = |child| (child, Reply::Busy("the tables".into()));
    Ended {
        unanswered: children.map(busy).collect(),
        ..Ended::default()
    }
}

/// Whether each of these is of a claim of osload.
fn admitted(location: &Location, reports: &[Report]) -> Result<Vec<Result<(), String>>, String> {
    let tables = Tables::open(location).map_err(|error| error.to_string())?;
    let claims = claim::list(&tables).map_err(|error| error.to_string())?;
    let run = PrivateDir::open(&program::paths::run_dir()).map_err(|error| error.to_string())?;
    let me = Me::here().map_err(|error| error.to_string())?;
    let admit = |report: &Report| {
        let nonce = report.nonce.as_deref().unwrap_or_default();
        let Content::Load(told) = &report.content else {
            return Ok(());
        };
        let alive = |pid| inbox::alive(&run, pid);
        claim::admit(claims.get(&report.node), &me, alive, nonce, told)
    };
    Ok(reports.iter().map(admit).collect())
}

fn job(work: impl FnOnce(&mut fork_worker::Report) -> Result<(), String> + 'static) -> Job {
    Job::new(move |report| work(report).map(|()| String::new())).deadline(DEADLINE)
}
