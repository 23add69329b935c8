//! From a request to a plan.

use std::collections::BTreeMap;

use crate::changes::{self, Old};
use crate::checks;
use crate::destination::{Destination, Finder};
use crate::facts::{Facts, Node};
use crate::memo::Memo;
use crate::plan::{FORMAT, Move, Plan};
use crate::steps::{self, Moving};
use crate::{Error, Request, World};

/// What a request asks for, given what the tables say. Reads the world's names and, without `-D`, asks the new
/// service nodes for their addresses; changes nothing.
///
/// `moved` has the nodes that our own journal knows to have been moved without `-d`, with their new service node:
/// asking the same again does not move them back.
///
/// # Errors
/// [`Error::Refused`] with every reason: nodes that do not resolve, have no other service node, whose new master
/// cannot be told; then AIX and Linux nodes together; then what is wrong with the destination.
pub fn plan(
    facts: &Facts,
    request: &Request,
    moved: &BTreeMap<String, String>,
    world: &dyn World,
) -> Result<Plan, Error> {
    let world = &Memo::new(world);
    if facts.nodes.is_empty() {
        return Err(Error::Refused(vec![
            "Could not get xCAT object definitions.".to_string(),
        ]));
    }
    kinds(facts, request)?;
    let mut warnings = Vec::new();
    let mut settled = Vec::new();
    let by_pool = request.source.is_none() && request.destination.is_none();
    let mut candidates: Vec<(&str, &Node)> = Vec::new();
    for (name, node) in &facts.nodes {
        let was_moved = by_pool
            && node
                .pool
                .first()
                .is_some_and(|first| moved.get(name) == Some(first));
        if was_moved {
            settled.push(name.clone());
            continue;
        }
        candidates.push((name, node));
    }
    refuse(
        candidates
            .iter()
            .filter(|(name, _)| world.addresses(name).is_empty())
            .map(|(name, _)| format!("Could not resolve node '{name}'.")),
    )?;
    let mut finder = Finder::new(facts, request, world);
    let mut chosen = Vec::new();
    let mut failures = Vec::new();
    for (name, node) in candidates {
        match finder.service_node(name, node) {
            // A service node serves itself from the management node, never from itself.
            Ok(to) if to == name => warnings.push(format!(
                "{name}: is the new service node itself: it stays where it is"
            )),
            Ok(to) => chosen.push((name, node, to)),
            Err(why) => failures.push(why),
        }
    }
    refuse(failures)?;
    let mut placed: Vec<(&str, &Node, Destination)> = Vec::new();
    let mut failures = Vec::new();
    for (name, node, to) in chosen {
        match finder.master(name, &to, &mut warnings) {
            Ok(destination) => placed.push((name, node, destination)),
            Err(why) => failures.push(why),
        }
    }
    let silent: Vec<String> = finder
        .silent()
        .map(|(host, why)| format!("Could not get IP addresses from service node {host}. ({why})"))
        .collect();
    refuse(silent.into_iter().chain(failures))?;
    let mut moving: Vec<Moving<'_>> = placed
        .into_iter()
        .map(|(name, node, to)| moving(name, node, to, facts, request, world))
        .collect();
    let mut plan = Plan {
        format: FORMAT,
        asked: asked(request),
        by_pool: request.destination.is_none(),
        moves: Vec::new(),
        settled,
        changes: Vec::new(),
        steps: Vec::new(),
        warnings,
        failures: Vec::new(),
        stays: Vec::new(),
    };
    moving.retain(|each| {
        let changed = changes::changes(each.name, each.node, &each.to, &each.old, world);
        if changed.changes.is_empty() && changed.failures.is_empty() {
            plan.settled.push(each.name.to_string());
            return false;
        }
        plan.changes.extend(changed.changes);
        plan.warnings.extend(changed.warnings);
        plan.failures.extend(changed.failures);
        plan.stays.extend(changed.stays);
        true
    });
    plan.settled.sort_unstable();
    let breaches = moving
        .iter()
        .flat_map(|each| checks::pool(each, request.source.as_deref(), world));
    let breaches: Vec<String> = breaches.collect();
    let mut refused = Vec::new();
    match request.strict_pool {
        true => refused.extend(breaches),
        false => plan.warnings.extend(breaches),
    }
    if request.check_destination {
        refused.extend(checks::destinations(&moving, facts, request, world));
    }
    refuse(refused)?;
    plan.moves = moving.iter().map(record).collect();
    plan.steps = steps::steps(
        &moving,
        &plan.changes,
        facts,
        request,
        world,
        &mut plan.warnings,
    );
    missing(&mut plan, world);
    Ok(plan)
}

/// A text that is the same for the same request.
pub fn asked(request: &Request) -> String {
    let nodes = request
        .nodes
        .as_ref()
        .map(|nodes| noderange::fold(nodes.iter().map(String::as_str)));
    let word = |letter: &str, value: &Option<String>| {
        value
            .as_ref()
            .map(|value| format!(" {letter} {value}"))
            .unwrap_or_default()
    };
    format!(
        "{}{}{}{}{}",
        nodes.unwrap_or_default(),
        word("-s", &request.source),
        word("-S", &request.old_master),
        word("-d", &request.destination),
        word("-D", &request.new_master)
    )
}

fn moving<'a>(
    name: &'a str,
    node: &'a Node,
    to: Destination,
    facts: &Facts,
    request: &Request,
    world: &dyn World,
) -> Moving<'a> {
    let from = request
        .source
        .clone()
        .or_else(|| node.pool.first().cloned());
    let host = from.clone().or_else(|| facts.master.clone());
    let master = request
        .old_master
        .as_deref()
        .or(node.value("noderes", "xcatmaster"));
    let names = host.as_deref().into_iter().chain(master);
    Moving {
        name,
        node,
        to,
        old: Old::new(names, world),
        from,
    }
}

fn record(each: &Moving<'_>) -> Move {
    Move {
        node: each.name.to_string(),
        from: each.node.pool.first().cloned(),
        to: each.to.service_node.clone(),
        old_master: each.node.value("noderes", "xcatmaster").map(str::to_string),
        new_master: each.to.master.clone(),
    }
}

/// AIX and Linux are moved by other steps; `-l` means statelite files of AIX.
fn kinds(facts: &Facts, request: &Request) -> Result<(), Error> {
    let aix = facts.nodes.values().filter(|node| node.is_aix()).count();
    let reason = if aix > 0 && aix < facts.nodes.len() {
        "This command does not support a mix of AIX and Linux nodes."
    } else if aix == 0 && request.lite_only {
        "The '-l' option is not supported for Linux nodes."
    } else if request.lite_only {
        "-l: statelite files of AIX nodes are copied by xCAT's own snmove only"
    } else if aix > 0 && !request.leave_nodes {
        "AIX: only the tables are changed here: use -i, and run the steps on the nodes by hand"
    } else {
        return Ok(());
    };
    Err(Error::Refused(vec![reason.to_string()]))
}

/// Steps whose command is not installed are named in the plan.
fn missing(plan: &mut Plan, world: &dyn World) {
    let mut named = std::collections::BTreeSet::new();
    for step in &plan.steps {
        for command in step.verb.commands() {
            if world.command(command).is_none() && named.insert(*command) {
                let instead = if *command == "xdsh" {
                    "ssh is used instead"
                } else {
                    "that step is not done"
                };
                plan.warnings
                    .push(format!("{command}: is not installed: {instead}"));
            }
        }
    }
}

fn refuse(reasons: impl IntoIterator<Item = String>) -> Result<(), Error> {
    let reasons: Vec<String> = reasons.into_iter().collect();
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Error::Refused(reasons))
}
