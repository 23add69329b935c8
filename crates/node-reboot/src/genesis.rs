//! Booting a set of nodes into genesis: off, then arm, then on; and where they go from there. Each runs
//! in a child that tells its parent a line per node.

use std::collections::BTreeMap;
use std::time::Duration;

use boot_target::{Results, Target};
use fork_worker::{Job, Report};
use xcat_tables::{Location, Tables};

use crate::power::Power;

/// A set of nodes may take this long to go off, be armed and go on.
const DEADLINE: Duration = Duration::from_secs(900);

/// Putting boot targets back touches no node; one call of nodeset may take 300 s.
const RELEASE: Duration = Duration::from_secs(400);

/// What a line of the child says of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is off.
    Off(String),
    /// Its boot was asked for.
    Booting(String),
    /// It will not come.
    Failed(String, String),
}

/// The job that boots `nodes`.
pub fn job(location: Location, nodes: Vec<String>, target: Target) -> Job {
    Job::new(move |report| boot(&location, &nodes, &target, report)).deadline(DEADLINE)
}

/// The job that only arms `nodes`: somebody else boots them. Each is on its way when it is armed.
pub fn arm(location: Location, nodes: Vec<String>, target: Target) -> Job {
    Job::new(move |report| {
        let tables = Tables::open(&location).map_err(|error| error.to_string())?;
        let armed = boot_target::arm(&tables, &nodes, &target, true);
        let mut left = nodes;
        drop_failed(
            &mut left,
            failures(armed.map_err(|error| error.to_string())?),
            report,
        )?;
        left.into_iter()
            .try_for_each(|node| say(report, &Step::Booting(node)))?;
        Ok(String::new())
    })
    .deadline(DEADLINE)
}

/// The job that puts nodes' boot targets back to what they were.
pub fn release(location: Location, nodes: Vec<String>) -> Job {
    settle(location, nodes, boot_target::release)
}

/// The job that has nodes boot from their own disks from now on.
pub fn release_to_disk(location: Location, nodes: Vec<String>) -> Job {
    settle(location, nodes, boot_target::release_to_disk)
}

/// The job that has nodes end up in a shell of genesis: there may be half of something on their disks.
pub fn keep_in_shell(location: Location, nodes: Vec<String>) -> Job {
    settle(location, nodes, |tables, nodes| {
        let hook = Power::find(tables).is_ok_and(|power| !power.has_steps());
        let shell = Target {
            action: SHELL.into(),
            then: Some(SHELL.into()),
            ..Target::default()
        };
        boot_target::arm(tables, nodes, &shell, hook)
    })
}

/// The state in which genesis waits for a person.
pub const SHELL: &str = "shell";

fn settle(
    location: Location,
    nodes: Vec<String>,
    act: impl Fn(&Tables, &[String]) -> Result<Results, boot_target::Error> + 'static,
) -> Job {
    Job::new(move |report| {
        let tables = Tables::open(&location).map_err(|error| error.to_string())?;
        let results = act(&tables, &nodes).map_err(|error| error.to_string())?;
        for (node, result) in results {
            if let Err(why) = result {
                let why = format!("its boot target stays: {why}");
                say(report, &Step::Failed(node, why))?;
            }
        }
        Ok(String::new())
    })
    .deadline(RELEASE)
}

impl Step {
    /// Reads a line.
    pub fn parse(line: &str) -> Option<Step> {
        let mut words = line.splitn(3, ' ');
        let (kind, node, rest) = (
            words.next()?,
            words.next()?.to_string(),
            words.next().unwrap_or_default(),
        );
        match kind {
            "off" => Some(Step::Off(node)),
            "booting" => Some(Step::Booting(node)),
            "failed" => Some(Step::Failed(node, rest.into())),
            _ => None,
        }
    }

    fn line(&self) -> String {
        match self {
            Step::Off(node) => format!("off {node}"),
            Step::Booting(node) => format!("booting {node}"),
            Step::Failed(node, why) => format!("failed {node} {}", program::escape(why)),
        }
    }
}

fn boot(
    location: &Location,
    nodes: &[String],
    target: &Target,
    report: &mut Report,
) -> Result<String, String> {
    let tables = Tables::open(location).map_err(|error| error.to_string())?;
    let power = Power::find(&tables).map_err(|error| error.to_string())?;
    let mut left = nodes.to_vec();
    if power.has_steps() {
        let failed = power.off_and_wait(&left);
        drop_failed(&mut left, failed, report)?;
        left.iter()
            .try_for_each(|node| say(report, &Step::Off(node.clone())))?;
    }
    let armed = boot_target::arm(&tables, &left, target, !power.has_steps())
        .map_err(|error| error.to_string())?;
    drop_failed(&mut left, failures(armed), report)?;
    let failed = power.start(&left, target);
    drop_failed(&mut left, failed, report)?;
    left.iter()
        .try_for_each(|node| say(report, &Step::Booting(node.clone())))?;
    Ok(String::new())
}

fn failures(results: BTreeMap<String, Result<(), String>>) -> BTreeMap<String, String> {
    results
        .into_iter()
        .filter_map(|(node, result)| result.err().map(|why| (node, why)))
        .collect()
}

fn drop_failed(
    left: &mut Vec<String>,
    failed: BTreeMap<String, String>,
    report: &mut Report,
) -> Result<(), String> {
    left.retain(|node| !failed.contains_key(node));
    failed
        .into_iter()
        .try_for_each(|(node, why)| say(report, &Step::Failed(node, why)))
}

fn say(report: &mut Report, step: &Step) -> Result<(), String> {
    report.line(&step.line()).map_err(|error| error.to_string())
}
