//! A plan as a person reads it: what happens to whom, nodes that share a fate in one line.

use noderange::fold;
use service_node_move::verify::{Holds, Verdict};
use service_node_move::{Plan, Remarks, Verb};

/// The lines of a plan, `NODES: what` each: moves, rows, steps in their order, what stays as it is.
pub(crate) fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let mut moves = Remarks::default();
    for each in &plan.moves {
        let from = each.from.as_deref().unwrap_or("the management node");
        let old = each.old_master.as_deref().unwrap_or("none");
        let text = format!(
            "moves from {from} to {}; its master: {old} -> {}",
            each.to, each.new_master
        );
        moves.add(&each.node, text);
    }
    lines.extend(moves.lines());
    let mut rows = Remarks::default();
    for change in &plan.changes {
        let old = match (&change.old, &change.inherited) {
            (_, Some(inherited)) => format!("{inherited} (its group's)"),
            (Some(old), None) => old.clone(),
            (None, None) => "none".to_string(),
        };
        let text = format!(
            "row: {}.{}: {old} -> {}",
            change.table, change.column, change.new
        );
        rows.add(&change.node, text);
    }
    lines.extend(rows.lines());
    for (number, step) in plan.steps.iter().enumerate() {
        let nodes = fold(step.nodes.iter().map(String::as_str));
        lines.push(format!(
            "{nodes}: step {}: {}",
            number + 1,
            verb(&step.verb)
        ));
    }
    if !plan.settled.is_empty() {
        let settled = fold(plan.settled.iter().map(String::as_str));
        lines.push(format!("{settled}: already there"));
    }
    lines.extend(plan.stays.iter().map(|text| format!("{text}: not moved")));
    if !plan.moves.is_empty() {
        let nodes = fold(plan.moves.iter().map(|each| each.node.as_str()));
        lines.push(format!(
            "{nodes}: monitoring software, configuration of applications: not moved"
        ));
    }
    lines
}

/// One line for what it all comes to.
pub(crate) fn sum(plan: &Plan) -> String {
    if plan.moves.is_empty() {
        return "nothing is to be done".to_string();
    }
    format!(
        "nodes to move: {}; values to write, in one transaction: {}; steps after that: {}; nothing was changed",
        plan.moves.len(),
        plan.changes.len(),
        plan.steps.len()
    )
}

fn verb(verb: &Verb) -> String {
    match verb {
        Verb::Conserver => "console server: makeconservercf".to_string(),
        Verb::BootFiles(state) => {
            format!("boot files on the new service node: nodeset {state}")
        }
        Verb::Dhcp => "DHCP server of the new service node: makedhcp".to_string(),
        Verb::ForgetDhcp(old) => {
            format!("DHCP server of {old}, if it answers: makedhcp -d")
        }
        Verb::Route { new, old } => match old {
            Some(old) => format!("on the node: default route via {new}, not via {old}"),
            None => format!("on the node: default route via {new}"),
        },
        Verb::Rebind => "on the node: its DHCP client asks for its lease again".to_string(),
        Verb::Scripts(scripts) => {
            format!(
                "on the node: updatenode -s, then updatenode -P {}",
                scripts.join(",")
            )
        }
    }
}

/// A verdict in one line: `n1: sn2: dhcp=yes bootfile=yes nfs=- dns=no xcatd=yes`.
pub(crate) fn line(verdict: &Verdict) -> String {
    let words = verdict.checks.iter().map(|(what, holds)| {
        let word = match holds {
            Holds::Yes(_) => "yes",
            Holds::No(_) => "no",
            Holds::Unused => "-",
        };
        format!("{what}={word}")
    });
    let words: Vec<String> = words.collect();
    format!(
        "{}: {}: {}",
        verdict.node,
        verdict.service_node,
        words.join(" ")
    )
}

/// Why something does not hold, nodes together.
pub(crate) fn reasons(verdicts: &[Verdict]) -> impl Iterator<Item = String> {
    let mut reasons = Remarks::default();
    for verdict in verdicts {
        for (what, holds) in &verdict.checks {
            if let Holds::No(why) = holds {
                reasons.add(
                    &verdict.node,
                    format!("{}: {what}: {why}", verdict.service_node),
                );
            }
        }
    }
    reasons.lines()
}
