//! `--report`: one page that needs nothing else. Text from nodes is escaped; nothing of it is ever
//! script, attribute or style.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::node::Node;
use crate::plan::Plan;
use crate::state::State;
use crate::view::time;

/// The parts of a time line, and which states they have.
const PARTS: [(&str, &str, &[State]); 6] = [
    ("look", "preflight", &[State::Preflight]),
    ("wait", "wait", &[State::Gate]),
    ("upload", "upload", &[State::Upload, State::Find]),
    (
        "activate",
        "activate",
        &[State::Activate, State::Flash, State::First],
    ),
    ("reset", "reset", &[State::Reset, State::Back]),
    (
        "host",
        "host",
        &[State::HostOff, State::OffWait, State::HostOn, State::OnWait],
    ),
];

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --bad: #c0392b; --good: #2e7d32 }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.1rem; margin-top: 2rem }
p.lead { margin-top: 0; opacity: .75 }
.sum { display: flex; gap: 2.5rem; margin: 1.2rem 0 } .sum b { display: block; font-size: 1.9rem; line-height: 1.1 }
.bad b { color: var(--bad) } .good b { color: var(--good) }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: middle }
th { font-weight: 600; font-size: .85rem; opacity: .75 } td.n { white-space: nowrap; font-weight: 600 } td.t { white-space: nowrap; text-align: right; font-variant-numeric: tabular-nums }
td.line, th.line { width: 45%; min-width: 14rem } th.line span { float: right; font-weight: 400 } tr.bad td.n { color: var(--bad) } td.w { overflow-wrap: anywhere }
svg { display: block; width: 100%; height: 14px } .look { fill: #888a } .wait { fill: #8883 } .upload { fill: #3b82c4 } .activate { fill: #d18f1f } .reset { fill: #8e5bb5 } .host { fill: #2a9d8f }
.key span { display: inline-flex; align-items: center; gap: .4rem; margin-right: 1.2rem; font-size: .85rem } .key svg { width: 14px }
";

/// The page of a run. Times are milliseconds since 1970.
pub fn page(
    plan: &Plan,
    nodes: &BTreeMap<String, Node>,
    id: &str,
    started: u64,
    ended: u64,
) -> String {
    let (good, bad): (Vec<&Node>, Vec<&Node>) =
        nodes.values().partition(|node| node.state == State::Good);
    let first = nodes
        .values()
        .filter_map(|node| node.times.first())
        .map(|(_, at)| *at)
        .min();
    let begin = first.unwrap_or(started);
    let end = nodes
        .values()
        .filter_map(|node| node.times.last())
        .map(|(_, at)| *at)
        .max()
        .unwrap_or(ended)
        .max(begin + 1);
    let mut page = String::new();
    let images: Vec<String> = plan
        .images
        .iter()
        .map(|image| match &image.id {
            Some(id) => format!("ID {}", text(id)),
            None => format!(
                "{} {}",
                text(&image.manifest.purpose.to_string()),
                text(&image.manifest.version)
            ),
        })
        .collect();
    // Writing to a String cannot fail.
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Firmware update {id}</title><style>{STYLE}</style></head><body>\n\
         <h1>Firmware update</h1><p class=\"lead\">{} &middot; run {} &middot; {}</p>\n\
         <div class=\"sum\"><div><b>{}</b>nodes</div><div class=\"good\"><b>{}</b>done</div><div class=\"bad\"><b>{}</b>not done</div></div>\n\
         <p class=\"key\">{}</p>\n",
        images.join(" and "),
        text(id),
        text(&time(end - begin)),
        nodes.len(),
        good.len(),
        bad.len(),
        PARTS.map(|(class, word, _)| format!("<span><svg><rect class=\"{class}\" width=\"14\" height=\"14\" rx=\"3\"/></svg>{word}</span>")).concat(),
        id = text(id),
    );
    reasons(&mut page, &bad);
    for (title, class, nodes) in [("Not done", "bad", bad), ("Done", "good", good)] {
        if nodes.is_empty() {
            continue;
        }
        let _ = write!(
            page,
            "<h2>{title}</h2>\n<table><tr><th>Node</th><th class=\"line\"><span>{}</span>Time line</th><th>Time</th><th>{}</th></tr>\n",
            text(&time(end - begin)),
            if class == "bad" { "Why" } else { "Runs" }
        );
        for node in nodes {
            row(&mut page, node, class, begin, end);
        }
        page.push_str("</table>\n");
    }
    page.push_str("</body></html>\n");
    page
}

/// Of many that failed: each reason once, with how many and which.
fn reasons(page: &mut String, bad: &[&Node]) {
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for node in bad {
        let alike = reasons.entry(without_address(&node.why)).or_default();
        alike.push(&node.node);
    }
    if reasons.len() == bad.len() {
        return;
    }
    let mut reasons: Vec<(String, Vec<&str>)> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, nodes)| std::cmp::Reverse(nodes.len()));
    page.push_str("<h2>Why not</h2>\n<table><tr><th>Nodes</th><th>Why</th><th>Which</th></tr>\n");
    for (why, nodes) in reasons {
        let _ = writeln!(
            page,
            "<tr class=\"bad\"><td class=\"n\">{}</td><td class=\"w\">{}</td><td class=\"w\">{}</td></tr>",
            nodes.len(),
            text(&why),
            text(&noderange::fold(nodes))
        );
    }
    page.push_str("</table>\n");
}

/// `BMC ADDRESS: what` as `BMC: what`: the address is each node's own.
fn without_address(why: &str) -> String {
    let mut parts = why.split("BMC ");
    let mut alike = parts.next().unwrap_or_default().to_string();
    for part in parts {
        alike.push_str("BMC");
        match part.split_once(": ") {
            Some((address, rest)) if !address.contains(' ') => {
                alike.push_str(": ");
                alike.push_str(rest);
            }
            _ => {
                alike.push(' ');
                alike.push_str(part);
            }
        }
    }
    alike
}

fn row(page: &mut String, node: &Node, class: &str, begin: u64, end: u64) {
    let first = node.times.first().map_or(begin, |(_, at)| *at);
    let last = node.times.last().map_or(begin, |(_, at)| *at);
    let versions = |name: &str, version: &Option<String>| {
        version.as_ref().map(|version| format!("{name} {version}"))
    };
    let mut said: Vec<String> = Vec::new();
    if class == "good" {
        said.extend(versions("BMC", &node.runs.bmc));
        said.extend(versions("Host", &node.runs.host));
    }
    said.extend((!node.why.is_empty()).then(|| node.why.clone()));
    let _ = write!(
        page,
        "<tr class=\"{class}\"><td class=\"n\">{}</td><td class=\"line\"><svg viewBox=\"0 0 1000 14\" preserveAspectRatio=\"none\">",
        text(&node.node)
    );
    for (part, from, to) in parts(node) {
        let scale = |at: u64| at.saturating_sub(begin) as f64 * 1000.0 / (end - begin) as f64;
        let _ = write!(
            page,
            "<rect class=\"{part}\" x=\"{:.1}\" width=\"{:.1}\" height=\"14\"/>",
            scale(from),
            (scale(to) - scale(from)).max(1.0)
        );
    }
    let _ = writeln!(
        page,
        "</svg></td><td class=\"t\">{}</td><td class=\"w\">{}</td></tr>",
        text(&time(last.saturating_sub(first))),
        text(&said.join(", "))
    );
}

/// The parts of a node's way, from when until when; states of one part that follow each other are one.
fn parts(node: &Node) -> Vec<(&'static str, u64, u64)> {
    let mut parts: Vec<(&'static str, u64, u64)> = Vec::new();
    for pair in node.times.windows(2) {
        let [(state, from), (_, to)] = pair else {
            continue;
        };
        let Some((part, _, _)) = PARTS.iter().find(|(_, _, states)| states.contains(state)) else {
            continue;
        };
        match parts.last_mut() {
            Some((last, _, until)) if last == part => *until = *to,
            _ => parts.push((part, *from, *to)),
        }
    }
    parts
}

/// Text for an element, and for nothing else.
fn text(outside: &str) -> String {
    let safe = program::escape(outside);
    let mut html = String::with_capacity(safe.len());
    for c in safe.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::page;
    use crate::node::Node;
    use crate::plan::{Goal, Options, Plan};
    use crate::state::State;

    #[test]
    fn many_that_failed_are_told_by_their_reasons() {
        let node = |name: &str, why: &str| {
            let mut node = Node::new(name, 1);
            node.state = State::Failed;
            node.why = why.into();
            (name.to_string(), node)
        };
        let plan = Plan {
            goal: Goal::Upload,
            images: Vec::new(),
            nodes: Vec::new(),
            options: Options::default(),
        };
        let mut nodes = BTreeMap::from([
            node("n1", "BMC 10.0.0.1: cannot be reached: no route"),
            node("n2", "BMC 10.0.0.2: cannot be reached: no route"),
            node("n3", "the BMC came back with the old version 1.0"),
        ]);
        let page_of = |nodes: &BTreeMap<String, Node>| page(&plan, nodes, "1", 0, 1);
        let shown = page_of(&nodes);
        let row = "<td class=\"n\">2</td><td class=\"w\">BMC: cannot be reached: no route</td><td class=\"w\">n[1-2]</td>";
        assert!(shown.contains(row), "{shown}");
        assert!(shown.contains(
            "<td class=\"w\">the BMC came back with the old version 1.0</td><td class=\"w\">n3</td>"
        ));
        // Where each has a reason of its own, the list says it all.
        nodes.remove("n2");
        assert!(!page_of(&nodes).contains("Why not"));
    }

    #[test]
    fn what_bmcs_say_stays_text_and_failures_come_first() {
        let evil = "</td><script>alert(1)</script>\" onload='x' \u{202e}";
        let mut bad = Node::new(evil, 1);
        bad.state = State::Failed;
        bad.why = evil.into();
        bad.times = vec![
            (State::Preflight, 1000),
            (State::Upload, 2000),
            (State::Failed, 4000),
        ];
        let mut good = Node::new("n1", 1);
        good.state = State::Good;
        good.runs.bmc = Some(evil.into());
        let plan = Plan {
            goal: Goal::Upload,
            images: Vec::new(),
            nodes: Vec::new(),
            options: Options::default(),
        };
        let nodes = BTreeMap::from([("n1".to_string(), good), (evil.to_string(), bad)]);
        let page = page(&plan, &nodes, evil, 0, 1);
        assert!(
            !page.contains("<script") && !page.contains("onload='") && !page.contains('\u{202e}')
        );
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("url("));
        assert!(
            page.find("Not done")
                .is_some_and(|at| page.find("<h2>Done").is_some_and(|done| at < done))
        );
        assert!(
            page.contains("<rect class=\"upload\" x=\"333.3\""),
            "{page}"
        );
    }
}
