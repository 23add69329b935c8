//! What a node in genesis shall do next: `getdestiny` and `nextdestiny` over the `chain` table, so
//! that a stock genesis works without xCAT's daemon.

use std::collections::BTreeMap;

use xcat_tables::{Row, Tables};

use crate::Error;

/// The table.
const CHAIN: &str = "chain";

/// Where a node goes when its chain says nothing: it waits and asks again.
const NOTHING: &str = "standby";

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    /// The node.
    pub(crate) node: String,
    /// True if its chain moves on first.
    pub(crate) next: bool,
}

/// Answers questions of any number of nodes, in one transaction if a chain moves on.
pub(crate) fn answer(
    tables: &Tables,
    questions: &[Question],
) -> Result<BTreeMap<String, String>, Error> {
    let nodes: Vec<String> = questions
        .iter()
        .map(|question| question.node.clone())
        .collect();
    let mut states: BTreeMap<String, String> = tables.attribute(CHAIN, "currstate", &nodes)?;
    let moving: Vec<String> = questions
        .iter()
        .filter(|question| question.next)
        .map(|question| question.node.clone())
        .collect();
    if !moving.is_empty() {
        // Groups' chains count; what moves is the node's own row.
        let chains = tables.attributes(CHAIN, &["currstate", "currchain", "chain"], &moving)?;
        let moved: BTreeMap<String, (String, String)> = moving
            .into_iter()
            .map(|node| (step(chains.get(&node).and_then(|rows| rows.first())), node))
            .map(|(moved, node)| (node, moved))
            .collect();
        tables.transaction(&[CHAIN], |change| {
            for (node, (state, rest)) in &moved {
                change.put(
                    CHAIN,
                    &[("node", node.as_str())],
                    &[
                        ("currstate", Some(state.as_str())),
                        ("currchain", Some(rest.as_str())),
                    ],
                )?;
            }
            Ok::<_, Error>(())
        })?;
        states.extend(moved.into_iter().map(|(node, (state, _))| (node, state)));
    }
    for node in nodes {
        states.entry(node).or_insert_with(|| NOTHING.into());
    }
    Ok(states)
}

/// Moves a chain on, as xCAT does: words are parted by `,` or `;`; an empty `currchain` begins anew with
/// `chain`; the last word stays. Where there is no chain at all, a node that ran a command goes back to
/// its own disk or image, any other waits.
fn step(row: Option<&Row>) -> (String, String) {
    let value = |column: &str| row.and_then(|row| row.get(column));
    let chain = value("currchain")
        .or_else(|| value("chain"))
        .unwrap_or_default();
    let mut words = chain
        .split([',', ';'])
        .map(str::trim)
        .filter(|word| !word.is_empty());
    let Some(state) = words.next() else {
        let ran = value("currstate").is_some_and(|state| state.starts_with("runcmd="));
        return (if ran { "boot" } else { NOTHING }.into(), String::new());
    };
    let rest: Vec<&str> = words.collect();
    let rest = if rest.is_empty() {
        state.into()
    } else {
        rest.join(",")
    };
    (state.into(), rest)
}
