//! A plan as a person reads it: what happens to whom, nodes that share a fate in one line.

use std::collections::BTreeMap;

use noderange::fold;
use service_node_move::{Plan, Verb};

/// The lines of a plan: moves, rows, steps, what stays.
pub(crate) fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    let moves = plan.moves.iter().map(|each| {
        let from = each.from.as_deref().unwrap_or("the management node");
        let old = each.old_master.as_deref().unwrap_or("none");
        let text = format!(
            "moves from {from} to {}; its master: {old} -> {}",
            each.to, each.new_master
        );
        (text, each.node.as_str())
    });
    let moves = together(moves).into_iter();
    lines.extend(moves.map(|(text, nodes)| format!("{nodes}: {text}")));
    let rows = plan.changes.iter().map(|change| {
        let old = match (&change.old, &change.inherited) {
            (_, Some(inherited)) => format!("{inherited} (inherited)"),
            (Some(old), None) => old.clone(),
            (None, None) => "none".to_string(),
        };
        let text = format!(
            "{}.{}: {old} -> {}",
            change.table, change.column, change.new
        );
        (text, change.node.as_str())
    });
    let rows = together(rows).into_iter();
    lines.extend(rows.map(|(text, nodes)| format!("row {text}: {nodes}")));
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

/// Texts with the nodes that each is true of, in the order of their first.
fn together<'a>(items: impl Iterator<Item = (String, &'a str)>) -> Vec<(String, String)> {
    let mut order: Vec<(String, Vec<&str>)> = Vec::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    for (text, node) in items {
        let index = *at.entry(text.clone()).or_insert(order.len());
        match order.get_mut(index) {
            Some((_, nodes)) => nodes.push(node),
            None => order.push((text, vec![node])),
        }
    }
    let folded = order.into_iter();
    folded.map(|(text, nodes)| (text, fold(nodes))).collect()
}
