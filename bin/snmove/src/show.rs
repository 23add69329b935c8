//! A plan as a person reads it: what happens to whom, nodes that share a fate in one line.

use noderange::fold;
use service_node_move::verify::{Holds, Verdict};
use service_node_move::{Plan, Remarks, Verb};

/// The lines of a plan: moves, rows, steps, what stays.
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
            (_, Some(inherited)) => format!("{inherited} (inherited)"),
            (Some(old), None) => old.clone(),
            (None, None) => "none".to_string(),
        };
        let text = format!(
            "{}.{}: {old} -> {}",
            change.table, change.column, change.new
        );
        rows.add(&change.node, text);
    }
    lines.extend(
        rows.folded()
            .map(|(text, nodes)| format!("row {text}: {nodes}")),
    );
    for (number, step) in plan.steps.iter().enumerate() {
        let nodes = fold(step.nodes.iter().map(String::as_str));
        lines.push(format!(
            "step {}: {}: {nodes}",
            number + 1,
            verb(&step.verb)
        ));
    }
    if !plan.settled.is_empty() {
        let settled = fold(plan.settled.iter().map(String::as_str));
        lines.push(format!("already there: {settled}"));
    }
    lines.extend(plan.stays.iter().map(|text| format!("not moved: {text}")));
    if !plan.moves.is_empty() {
        lines.push("not moved: monitoring software, configuration of applications".to_string());
    }
    lines
}

fn verb(verb: &Verb) -> String {
    match verb {
        Verb::Conserver => "makeconservercf".to_string(),
        Verb::BootFiles(state) => format!("nodeset {state}"),
        Verb::Dhcp => "makedhcp".to_string(),
        Verb::ForgetDhcp(old) => {
            format!("{old} is told to forget them (makedhcp -d), if it answers")
        }
        Verb::Route { new, old } => match old {
            Some(old) => format!("default route on the nodes: {new} instead of {old}"),
            None => format!("default route on the nodes: {new}"),
        },
        Verb::Rebind => "DHCP clients on the nodes ask for their lease again".to_string(),
        Verb::Scripts(scripts) => {
            format!("updatenode -s, then updatenode -P {}", scripts.join(","))
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
