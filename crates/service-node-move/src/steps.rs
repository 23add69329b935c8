//! What is done after the rows have changed (spec snmove section 3, steps 6 to 9).

use std::collections::BTreeMap;

use xcat_tables::{Gateway, Network};

use crate::changes::Old;
use crate::destination::{Destination, first_v4};
use crate::facts::{Facts, Node, pool};
use crate::plan::{Change, Step, Verb};
use crate::remarks::Remarks;
use crate::{Request, Scripts, World};

/// Scripts that name the master on a node, in the order in which they run.
const USUAL: [&str; 3] = ["syslog", "setupntp", "mkresolvconf"];
/// States that `nodeset` takes by themselves; any other provmethod is an image's name.
const STATES: [&str; 3] = ["netboot", "install", "statelite"];

/// A node that moves, with all that its steps depend on.
pub(crate) struct Moving<'a> {
    pub(crate) name: &'a str,
    pub(crate) node: &'a Node,
    pub(crate) to: Destination,
    pub(crate) old: Old,
    pub(crate) from: Option<String>,
}

/// The steps, in the original's order. AIX nodes have none: theirs are other ones.
pub(crate) fn steps<'a>(
    moving: &[Moving<'a>],
    changes: &[Change],
    facts: &Facts,
    request: &Request,
    world: &dyn World,
    warnings: &mut Remarks<'a>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let with_console: Vec<String> = changes
        .iter()
        .filter(|change| change.column == "conserver")
        .map(|change| change.node.clone())
        .collect();
    add(&mut steps, Verb::Conserver, with_console);
    let linux: Vec<&Moving<'a>> = moving.iter().filter(|each| !each.node.is_aix()).collect();
    for (state, nodes) in grouped(&linux, |each| {
        Some(boot_state(each.node.value("nodetype", "provmethod")?))
    }) {
        add(&mut steps, Verb::BootFiles(state), nodes);
    }
    if facts.disjoint_dhcps {
        add(&mut steps, Verb::Dhcp, names(&linux));
        for (old, nodes) in grouped(&linux, |each| each.from.clone()) {
            add(&mut steps, Verb::ForgetDhcp(old), nodes);
        }
    }
    if request.leave_nodes {
        return steps;
    }
    for ((new, old), nodes) in grouped(&linux, |each| route(each, &facts.networks, world)) {
        add(&mut steps, Verb::Route { new, old }, nodes);
    }
    add(&mut steps, Verb::Rebind, names(&linux));
    for (scripts, nodes) in grouped(&linux, |each| scripts(each, facts, request, warnings)) {
        add(&mut steps, Verb::Scripts(scripts), nodes);
    }
    steps
}

/// What `nodeset` is told.
fn boot_state(provmethod: &str) -> String {
    let provmethod = provmethod.trim();
    if STATES.contains(&provmethod) {
        return provmethod.to_string();
    }
    format!("osimage={provmethod}")
}

/// The new default gateway, if the node's network has its master as gateway; with the old one.
fn route(
    each: &Moving<'_>,
    networks: &[Network],
    world: &dyn World,
) -> Option<(String, Option<String>)> {
    let mine = first_v4(&world.addresses(each.name))?;
    let is_gateway = |network: &Network| network.gateway == Gateway::Master && network.holds(mine);
    networks.iter().find(|network| is_gateway(network))?;
    let new = first_v4(&world.addresses(&each.to.master))?;
    let old = each
        .node
        .value("noderes", "xcatmaster")
        .map(|master| world.addresses(master));
    let old = old.as_deref().and_then(first_v4).map(|old| old.to_string());
    let old = old.or_else(|| each.old.address().map(|old| old.to_string()));
    Some((new.to_string(), old.filter(|old| *old != new.to_string())))
}

/// The scripts that run again on a node. Of the usual ones, those in its list; an entry with arguments counts.
fn scripts<'a>(
    each: &Moving<'a>,
    facts: &Facts,
    request: &Request,
    warnings: &mut Remarks<'a>,
) -> Option<Vec<String>> {
    let own = |column| each.node.value("postscripts", column).unwrap_or_default();
    let lists = [
        &facts.defaults[0],
        own("postscripts"),
        &facts.defaults[1],
        own("postbootscripts"),
    ];
    let all: Vec<String> = lists.iter().flat_map(|list| pool(list)).collect();
    let mut chosen = Vec::new();
    if request.scripts == Scripts::All {
        chosen = all;
    } else {
        for usual in USUAL {
            let entry = all
                .iter()
                .find(|entry| entry.split_ascii_whitespace().next() == Some(usual));
            match entry {
                Some(entry) => chosen.push(entry.clone()),
                None if forced(request, usual) => {}
                None => {
                    let text = format!(
                        "{usual} is not among the scripts: what it sets up on the node stays as it is (-P {usual} runs it)"
                    );
                    warnings.add(each.name, text);
                }
            }
        }
        if let Scripts::Also(more) = &request.scripts {
            chosen.extend(more.iter().cloned());
        }
    }
    (!chosen.is_empty()).then_some(chosen)
}

/// True if `-P` names the script.
fn forced(request: &Request, script: &str) -> bool {
    let Scripts::Also(more) = &request.scripts else {
        return false;
    };
    more.iter()
        .any(|entry| entry.split_ascii_whitespace().next() == Some(script))
}

/// Nodes by what is to be done with them, in the order of the first node of each.
fn grouped<'a, K: Ord + Clone>(
    moving: &[&Moving<'a>],
    mut key: impl FnMut(&Moving<'a>) -> Option<K>,
) -> Vec<(K, Vec<String>)> {
    let mut at: BTreeMap<K, usize> = BTreeMap::new();
    let mut groups: Vec<(K, Vec<String>)> = Vec::new();
    for each in moving {
        let Some(key) = key(each) else { continue };
        let index = *at.entry(key.clone()).or_insert(groups.len());
        match groups.get_mut(index) {
            Some((_, nodes)) => nodes.push(each.name.to_string()),
            None => groups.push((key, vec![each.name.to_string()])),
        }
    }
    groups
}

fn names(moving: &[&Moving<'_>]) -> Vec<String> {
    moving.iter().map(|each| each.name.to_string()).collect()
}

fn add(steps: &mut Vec<Step>, verb: Verb, nodes: Vec<String>) {
    if !nodes.is_empty() {
        steps.push(Step { verb, nodes });
    }
}
