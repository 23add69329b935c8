//! From a request to a plan.

use std::collections::{BTreeMap, BTreeSet};

use crate::changes::{self, Old};
use crate::checks;
use crate::destination::{Destination, Finder};
use crate::facts::{Facts, Node};
use crate::memo::Memo;
use crate::plan::{FORMAT, Move, Plan, Step};
use crate::remarks::Remarks;
use crate::steps::{self, Moving};
use crate::{Error, Request, Scripts, World};

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
        let text = "Could not get xCAT object definitions.";
        return Err(Error::Refused(vec![text.to_string()]));
    }
    kinds(facts, request)?;
    let mut plan = Plan {
        format: FORMAT,
        asked: asked(request),
        by_pool: request.destination.is_none(),
        moves: Vec::new(),
        settled: Vec::new(),
        changes: Vec::new(),
        steps: Vec::new(),
        warnings: Vec::new(),
        failures: Vec::new(),
        stays: Vec::new(),
    };
    let is_back = |name: &str, node: &Node| {
        let (first, source) = (node.pool.first(), request.source.as_ref());
        let was_moved = first.is_some() && first != source && first == moved.get(name);
        // The second of its list is where it came from.
        let came_from = source.is_some() && source == node.pool.get(1);
        request.nodes.is_some() && request.destination.is_none() && (was_moved || came_from)
    };
    let (back, candidates): (Vec<_>, Vec<_>) = facts
        .nodes
        .iter()
        .partition(|(name, node)| is_back(name, node));
    let mut warnings = Remarks::default();
    plan.settled = back.into_iter().map(|(name, _)| name.clone()).collect();
    let (mut moving, general) = place(&candidates, facts, request, world, &mut warnings)?;
    let (mut failures, mut stays) = (Remarks::default(), Remarks::default());
    moving.retain(|each| {
        let changed = changes::changes(each.name, each.node, &each.to, &each.old, world);
        if changed.changes.is_empty() && changed.failures.is_empty() {
            plan.settled.push(each.name.to_string());
            return false;
        }
        plan.changes.extend(changed.changes);
        for (texts, remarks) in [
            (changed.warnings, &mut warnings),
            (changed.failures, &mut failures),
            (changed.stays, &mut stays),
        ] {
            texts
                .into_iter()
                .for_each(|text| remarks.add(each.name, text));
        }
        true
    });
    plan.settled.sort_unstable();
    let mut breaches = Remarks::default();
    for each in &moving {
        let texts = checks::pool(each, request.source.as_deref(), world);
        texts
            .into_iter()
            .for_each(|text| breaches.add(each.name, text));
    }
    let mut refused = Vec::new();
    let mut tolerated = Vec::new();
    if request.strict_pool {
        refused.extend(breaches.lines());
    } else {
        tolerated.extend(breaches.lines());
    }
    if request.check_destination {
        refused.extend(checks::destinations(&moving, facts, request, world));
    }
    refuse(refused)?;
    plan.moves = moving.iter().map(record).collect();
    plan.steps = steps::steps(&moving, &plan.changes, facts, request, world, &mut warnings);
    plan.warnings.extend(general);
    plan.warnings.extend(warnings.lines());
    plan.warnings.extend(tolerated);
    plan.warnings.extend(not_installed(&plan.steps, world));
    plan.failures.extend(failures.lines());
    plan.stays.extend(stays.lines());
    plan.check().map_err(|why| Error::Refused(vec![why]))?;
    Ok(plan)
}

/// A text that is the same for the same request.
pub fn asked(request: &Request) -> String {
    let nodes = request
        .nodes
        .as_ref()
        .map(|nodes| noderange::fold(nodes.iter().map(String::as_str)));
    let scripts = match &request.scripts {
        Scripts::Usual => None,
        Scripts::Also(list) => Some(list.join(",")),
        Scripts::All => Some("all".to_string()),
    };
    let mut text = nodes.unwrap_or_default();
    for (letter, value) in [
        ("-s", &request.source),
        ("-S", &request.old_master),
        ("-d", &request.destination),
        ("-D", &request.new_master),
        ("-P", &scripts),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(" {letter} {value}"));
        }
    }
    if request.leave_nodes {
        text.push_str(" -i");
    }
    text
}

/// Where each node goes. What to warn of comes beside: of nodes in `warnings`, of service nodes as the second value.
fn place<'a>(
    candidates: &[(&'a String, &'a Node)],
    facts: &'a Facts,
    request: &Request,
    world: &Memo<'_>,
    warnings: &mut Remarks<'a>,
) -> Result<(Vec<Moving<'a>>, Vec<String>), Error> {
    let unknown = candidates
        .iter()
        .filter(|(name, _)| world.addresses(name).is_empty());
    refuse(unknown.map(|(name, _)| format!("Could not resolve node '{name}'.")))?;
    let mut finder = Finder::new(facts, request, world);
    let mut chosen = Vec::new();
    let mut failures = Vec::new();
    for (name, node) in candidates {
        match finder.service_node(name, node) {
            // A service node serves itself from the management node, never from itself.
            Ok(to) if to == **name => {
                warnings.add(name, "is the new service node itself: it stays where it is");
            }
            Ok(to) => chosen.push((*name, *node, to)),
            Err(why) => failures.push(why),
        }
    }
    refuse(failures)?;
    let mut general = Vec::new();
    let mut moving = Vec::new();
    let mut failures = Vec::new();
    for (name, node, to) in chosen {
        match finder.master(name, &to, &mut general) {
            Ok(to) => moving.push(of(name, node, to, facts, request, world)),
            Err(why) => failures.push(why),
        }
    }
    let silent: Vec<String> = finder
        .silent()
        .map(|(host, why)| format!("Could not get IP addresses from service node {host}. ({why})"))
        .collect();
    refuse(silent.into_iter().chain(failures))?;
    Ok((moving, general))
}

fn of<'a>(
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
fn not_installed(steps: &[Step], world: &dyn World) -> Vec<String> {
    let commands: BTreeSet<&str> = steps
        .iter()
        .flat_map(|step| step.verb.commands())
        .copied()
        .collect();
    let missing = commands
        .into_iter()
        .filter(|command| world.command(command).is_none());
    let text = |command| {
        let instead = match command {
            "xdsh" => "ssh does what it would do",
            _ => "its step will fail for all its nodes",
        };
        format!("{command}: is not installed: {instead}")
    };
    missing.map(text).collect()
}

fn refuse(reasons: impl IntoIterator<Item = String>) -> Result<(), Error> {
    let reasons: Vec<String> = reasons.into_iter().collect();
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Error::Refused(reasons))
}
