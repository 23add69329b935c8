//! How a run looks: to a person at a terminal, and in `--status`.

use std::collections::BTreeMap;

use program::escape;

use crate::journal::{self, Journal};
use crate::node::Node;
use crate::plan::{Goal, Plan};
use crate::said::Live;
use crate::state::State;

/// Lines for a terminal: one per running node where they fit, else folded by state. The last line
/// has counts, rate and an estimate.
pub fn lines(
    plan: &Plan,
    nodes: &BTreeMap<String, Node>,
    live: &dyn Fn(&str) -> Option<Live>,
    height: usize,
    width: usize,
) -> Vec<String> {
    let running: Vec<&Node> = nodes
        .values()
        .filter(|node| !node.state.is_settled() && node.state != State::Gate)
        .collect();
    let mut lines = if running.len() + 2 < height {
        running
            .iter()
            .map(|node| one(plan, node, live(&node.node).unwrap_or_default()))
            .collect()
    } else {
        folded(nodes.values().filter(|node| !node.state.is_settled()))
    };
    lines.truncate(height.saturating_sub(2).max(1));
    lines.push(counts(plan, nodes, live));
    lines
        .into_iter()
        .map(|line| line.chars().take(width.saturating_sub(1).max(20)).collect())
        .collect()
}

/// One running node: name, a bar where there is a measure, state, how long.
fn one(plan: &Plan, node: &Node, live: Live) -> String {
    let size = plan.images.get(node.image).map_or(0, |image| image.size);
    let part = match node.state {
        State::Upload if size > 0 => Some(live.sent as f64 / size as f64),
        State::Flash => live.percent.map(|percent| f64::from(percent) / 100.0),
        _ => None,
    };
    let measure = part.map_or_else(
        || " ".repeat(27),
        |part| format!("[{}] {:>3.0}%", bar(part, 20), (part * 100.0).min(100.0)),
    );
    let since = node.since(node.state).unwrap_or_else(journal::now);
    let name: String = escape(&node.node).chars().take(16).collect();
    let why = if node.why.is_empty() {
        String::new()
    } else {
        format!("  {}", escape(&node.why))
    };
    format!(
        "{name:<16} {measure}  {:<20} {:>7}{why}",
        node.state.words(),
        time(journal::now().saturating_sub(since))
    )
}

fn bar(part: f64, cells: usize) -> String {
    let full = (part.clamp(0.0, 1.0) * cells as f64).round() as usize;
    format!(
        "{}{}",
        "#".repeat(full.min(cells)),
        "-".repeat(cells - full.min(cells))
    )
}

/// States in the order of the way, each with how many and which.
fn folded<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<String> {
    let mut states: BTreeMap<State, Vec<&str>> = BTreeMap::new();
    for node in nodes {
        states.entry(node.state).or_default().push(&node.node);
    }
    // What several states share in words is one line.
    let mut words: Vec<(&str, Vec<&str>)> = Vec::new();
    for (state, nodes) in states {
        match words.last_mut() {
            Some((word, all)) if *word == state.words() => all.extend(nodes),
            _ => words.push((state.words(), nodes)),
        }
    }
    words
        .into_iter()
        .map(|(word, nodes)| {
            format!(
                "{word:<20} {:>6}  {}",
                nodes.len(),
                noderange::fold(nodes.iter().copied())
            )
        })
        .collect()
}

fn counts(
    plan: &Plan,
    nodes: &BTreeMap<String, Node>,
    live: &dyn Fn(&str) -> Option<Live>,
) -> String {
    let of = |state: State| nodes.values().filter(|node| node.state == state).count();
    let (good, failed) = (of(State::Good), of(State::Failed));
    let began = nodes
        .values()
        .filter_map(|node| node.since(State::Upload))
        .min();
    let sent: u64 = nodes
        .values()
        .map(|node| sent(plan, node, live(&node.node)))
        .sum();
    let total: u64 =
        plan.images.iter().map(|image| image.size).sum::<u64>() * (nodes.len() - failed) as u64;
    let mut line = format!(
        "{good} done, {failed} failed, {} going on",
        nodes.len() - good - failed
    );
    // While none is sent to, a rate would only fall.
    if let (Some(began), true) = (began, of(State::Upload) > 0) {
        let elapsed = journal::now().saturating_sub(began).max(1);
        let rate = sent as f64 * 1000.0 / elapsed as f64;
        if sent < total && rate > 1.0 {
            let left = (total - sent) as f64 / rate * 1000.0;
            line.push_str(&format!(
                "; {:.1} MB/s, uploads for about {} more",
                rate / 1e6,
                time(left as u64)
            ));
        }
    }
    line
}

/// Bytes of a node's archives that are with its BMC.
fn sent(plan: &Plan, node: &Node, live: Option<Live>) -> u64 {
    let whole = node
        .slots
        .iter()
        .zip(&plan.images)
        .filter(|(slot, _)| slot.sent)
        .map(|(_, image)| image.size)
        .sum::<u64>();
    let part = match (node.state, live) {
        (State::Upload, Some(live))
            if !node.slots.get(node.image).is_some_and(|slot| slot.sent) =>
        {
            live.sent
        }
        _ => 0,
    };
    whole + part
}

/// A run in one line: `ID  GOAL  STATE  counts`.
pub fn run_line(run: &Journal, works: bool, json: bool) -> String {
    let of = |state: State| {
        run.nodes
            .values()
            .filter(|node| node.state == state)
            .count()
    };
    let (good, failed, all) = (of(State::Good), of(State::Failed), run.nodes.len());
    let state = state_of(run, works);
    if json {
        return serde_json::json!({
            "format": 1, "run": run.id, "state": state, "started": run.started, "nodes": all, "done": good, "failed": failed,
        })
        .to_string();
    }
    format!(
        "{}  {:<9} {state:<11} {all} nodes: {good} done, {failed} failed, {} open",
        run.id,
        goal(&run.plan.goal),
        all - good - failed
    )
}

/// A run with its nodes, folded by state; failures with their reasons. As JSON: an object per node.
pub fn overview(run: &Journal, works: bool, json: bool) -> Vec<String> {
    if json {
        return run
            .nodes
            .values()
            .map(|node| {
                serde_json::json!({
                    "format": 1, "run": run.id, "node": node.node, "state": node.state, "why": node.why,
                    "bmc": node.runs.bmc, "host": node.runs.host,
                })
                .to_string()
            })
            .collect();
    }
    let mut lines = vec![run_line(run, works, false)];
    lines.extend(folded(run.nodes.values()));
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in run
        .nodes
        .values()
        .filter(|node| node.state == State::Failed)
    {
        reasons.entry(&node.why).or_default().push(&node.node);
    }
    lines.extend(
        reasons
            .into_iter()
            .map(|(why, nodes)| format!("{}: {}", noderange::fold(nodes), escape(why))),
    );
    lines
}

fn state_of(run: &Journal, works: bool) -> &'static str {
    match (run.ended.is_some(), works) {
        (true, _) => "over",
        (false, true) => "running",
        (false, false) => "interrupted",
    }
}

fn goal(goal: &Goal) -> &'static str {
    match goal {
        Goal::Preflight => "preflight",
        Goal::Upload => "upload",
        Goal::Activate => "activate",
        Goal::Run { .. } => "run",
    }
}

/// `12 s`, `3:05`, `1:02:03`.
pub(crate) fn time(millis: u64) -> String {
    let seconds = millis / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{lines, time};
    use crate::node::Node;
    use crate::plan::{Goal, Options, Plan};
    use crate::state::State;

    #[test]
    fn it_fits_the_screen_whatever_there_is() {
        let names: Vec<String> = (1..=500).map(|number| format!("n{number}")).collect();
        let plan = Plan {
            goal: Goal::Activate,
            images: Vec::new(),
            nodes: names.clone(),
            options: Options::default(),
        };
        let mut nodes: BTreeMap<String, Node> = names
            .iter()
            .map(|name| (name.clone(), Node::new(name, 1)))
            .collect();
        for (number, node) in nodes.values_mut().enumerate() {
            node.state = [State::Upload, State::Flash, State::Good, State::Failed][number % 4];
            node.why = "\x1b[2J".into();
        }
        for (height, width) in [(24, 80), (5, 20), (2000, 200)] {
            let shown = lines(&plan, &nodes, &|_| None, height, width);
            assert!(shown.len() < height, "{height}");
            assert!(
                shown
                    .iter()
                    .all(|line| line.chars().count() < width.max(21) && !line.contains('\x1b'))
            );
        }
        let shown = lines(&plan, &nodes, &|_| None, 24, 80);
        assert!(
            shown[0].starts_with("uploading               125  n["),
            "{shown:?}"
        );
        assert_eq!(
            shown.last().map(String::as_str),
            Some("125 done, 125 failed, 250 going on")
        );
    }

    #[test]
    fn times_read_well() {
        assert_eq!(
            [time(999), time(12_000), time(185_000), time(3_723_000)],
            ["0 s", "12 s", "3:05", "1:02:03"]
        );
    }
}
