//! With xCAT's own commands: `nodeset` for the set, `rsetboot` for those whose BMC decides.
//!
//! The kernel line is then xCAT's; our words reach it by way of `bootparams.addkcmdline`, which its
//! plug-ins for every loader append (also on service nodes).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use xcat_tables::{Tables, Transaction};

use crate::arm::Results;
use crate::back;
use crate::error::Error;
use crate::own::put_chain;
use crate::present::{self, Present};
use crate::saved::{Before, Saved};
use crate::target::{Target, has_words, without_words};
use crate::xcat;

/// Kinds of management whose BMC must be told to boot from the network (xcat-core: `rinstall` does it
/// for the first two; the third came later). Others do it by their boot order.
const BMC: [&str; 3] = ["ipmi", "openbmc", "redfish"];

/// `nodeset` may make boot files and DHCP entries for thousands; it has been seen to hang, too.
const NODESET: Duration = Duration::from_secs(300);
/// One exchange with each BMC, many at once.
const RSETBOOT: Duration = Duration::from_secs(120);

/// Arms the nodes of `records`.
pub(crate) fn arm(
    tables: &Tables,
    nodeset: &Path,
    records: &BTreeMap<String, Saved>,
    target: &Target,
    present: &BTreeMap<String, Present>,
    hook: bool,
) -> Result<Results, Error> {
    add_words(tables, records, target, present)?;
    let mut sets: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (node, saved) in records {
        sets.entry(&saved.then).or_default().push(node.clone());
    }
    let mut results = Results::new();
    for (then, nodes) in sets {
        let chain = format!("{},{then}", target.action);
        results.extend(set(tables, nodeset, &nodes, &chain, &target.action)?);
    }
    if !hook {
        from_network(tables, &mut results)?;
    }
    Ok(results)
}

/// Puts the nodes of `records` back.
pub(crate) fn release(
    tables: &Tables,
    nodeset: &Path,
    records: &BTreeMap<String, Saved>,
    present: &BTreeMap<String, Present>,
) -> Result<Results, Error> {
    // First the words: the boot files that nodeset writes now must not hold them.
    take_words(tables, records)?;
    let mut results = Results::new();
    let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (node, saved) in records {
        let now = present
            .get(node)
            .and_then(|one| one.before.currstate.as_deref());
        if back::is_ours(saved, now) {
            let word = back::order(saved).word;
            sets.entry(word).or_default().push(node.clone());
        } else {
            results.insert(node.clone(), Ok(()));
        }
    }
    let mut put: BTreeMap<&String, &Saved> = BTreeMap::new();
    for (word, nodes) in sets {
        for (node, done) in set(tables, nodeset, &nodes, &word, &word)? {
            let record = records.get_key_value(&node);
            if let (Ok(()), Some((name, saved))) = (&done, record) {
                put.insert(name, saved);
            }
            results.insert(node, done);
        }
    }
    put_rows(tables, &put)?;
    for (node, saved) in put {
        if let Some(why) = back::order(saved).short_of {
            results.insert(node.clone(), Err(why));
        }
    }
    Ok(results)
}

/// `nodeset NODES WORD`. A node of which it says nothing is asked for in the table: its state must be
/// `state` then.
fn set(
    tables: &Tables,
    nodeset: &Path,
    nodes: &[String],
    word: &str,
    state: &str,
) -> Result<Results, Error> {
    let answers = xcat::run(nodeset, nodes, &[word], NODESET)?;
    let mut results = Results::new();
    let mut silent = Vec::new();
    for node in nodes {
        match answers.verdict(node) {
            Some(verdict) => {
                results.insert(node.clone(), verdict);
            }
            None => silent.push(node.clone()),
        }
    }
    if silent.is_empty() {
        return Ok(results);
    }
    let present = present::read(tables, &silent)?;
    for node in silent {
        let now = present
            .get(&node)
            .and_then(|one| one.before.currstate.as_deref());
        let verdict = match answers.good && now == Some(state) {
            true => Ok(()),
            false => Err(answers.silence("nodeset")),
        };
        results.insert(node, verdict);
    }
    Ok(results)
}

/// Tells the BMCs of nodes that are set to boot from the network next.
fn from_network(tables: &Tables, results: &mut Results) -> Result<(), Error> {
    let Some(rsetboot) = program::paths::xcat_command("rsetboot") else {
        return Ok(());
    };
    let good: Vec<String> = results
        .iter()
        .filter(|(_, done)| done.is_ok())
        .map(|(node, _)| node.clone())
        .collect();
    let kinds = tables.attribute("nodehm", "mgt", &good)?;
    let nodes: Vec<String> = good
        .into_iter()
        .filter(|node| {
            kinds
                .get(node)
                .is_some_and(|mgt| BMC.contains(&mgt.as_str()))
        })
        .collect();
    if nodes.is_empty() {
        return Ok(());
    }
    let answers = xcat::run(&rsetboot, &nodes, &["net"], RSETBOOT)?;
    for node in nodes {
        let verdict = answers.verdict(&node);
        results.insert(
            node,
            verdict.unwrap_or_else(|| Err(answers.silence("rsetboot"))),
        );
    }
    Ok(())
}

/// Adds our words to what the node has on its kernel line, groups' values included: the node's own
/// value takes their place.
fn add_words(
    tables: &Tables,
    records: &BTreeMap<String, Saved>,
    target: &Target,
    present: &BTreeMap<String, Present>,
) -> Result<(), xcat_tables::Error> {
    let words = target.words();
    if words.is_empty() || records.is_empty() {
        return Ok(());
    }
    tables.transaction(&["bootparams"], |change: &Transaction| {
        for node in records.keys() {
            let line = match present
                .get(node)
                .and_then(|one| one.before.applied.as_deref())
            {
                Some(line) => format!("{line} {words}"),
                None => words.clone(),
            };
            let values = [("addkcmdline", Some(line.as_str()))];
            change.put("bootparams", &[("node", node)], &values)?;
        }
        Ok(())
    })
}

/// Takes our words away: the value as it was, or, if somebody changed it since, theirs without ours.
fn take_words(
    tables: &Tables,
    records: &BTreeMap<String, Saved>,
) -> Result<(), xcat_tables::Error> {
    let rows = tables.rows("bootparams")?;
    let ours: BTreeMap<&str, &str> = rows
        .iter()
        .filter_map(|row| Some((row.get("node")?, row.get("addkcmdline")?)))
        .filter(|(node, line)| records.contains_key(*node) && has_words(line))
        .collect();
    if ours.is_empty() {
        return Ok(());
    }
    let emptied = empty_but_for_line(&rows);
    tables.transaction(&["bootparams"], |change: &Transaction| {
        for (node, line) in &ours {
            let Some(saved) = records.get(*node) else {
                continue;
            };
            put_line(change, node, line, &saved.before, emptied.contains(node))?;
        }
        Ok(())
    })
}

fn put_line(
    change: &Transaction,
    node: &str,
    line: &str,
    before: &Before,
    emptied: bool,
) -> Result<(), xcat_tables::Error> {
    let rest = without_words(line);
    // Our words stand behind what applied to the node. If that is still there, nobody has touched the
    // value, and it goes back to the node's own, which may be none where a group's applied.
    let untouched = rest == before.applied.as_deref().unwrap_or_default();
    let value = match untouched {
        true => before.addkcmdline.as_deref(),
        false => Some(rest.as_str()),
    };
    if value.is_none() && emptied && !before.has_bootparams {
        change.delete("bootparams", &[("node", node)])?;
        return Ok(());
    }
    change.put("bootparams", &[("node", node)], &[("addkcmdline", value)])
}

/// The nodes whose row holds nothing but its key and the line.
fn empty_but_for_line(rows: &[xcat_tables::Row]) -> BTreeSet<&str> {
    const OTHERS: [&str; 7] = [
        "kernel",
        "initrd",
        "kcmdline",
        "dhcpstatements",
        "adddhcpstatements",
        "comments",
        "disable",
    ];
    rows.iter()
        .filter(|row| OTHERS.iter().all(|column| row.get(column).is_none()))
        .filter_map(|row| row.get("node"))
        .collect()
}

/// The rows exactly as they were, as far as nodeset could not know: state and chain, and the image
/// that `boot` blanks.
fn put_rows(tables: &Tables, put: &BTreeMap<&String, &Saved>) -> Result<(), Error> {
    let rows: BTreeMap<&String, (String, String)> = put
        .iter()
        .map(|(node, saved)| (*node, back::row(saved)))
        .collect();
    let names: Vec<String> = rows.keys().map(|node| (*node).clone()).collect();
    let now = present::read(tables, &names)?;
    let rows = rows
        .iter()
        .map(|(node, (state, chain))| (*node, (state.as_str(), chain.as_str())))
        .collect();
    put_chain(tables, &rows)?;
    let blanked: Vec<(&String, &str)> = put
        .iter()
        .filter(|(node, _)| {
            now.get(**node)
                .is_some_and(|one| one.before.own_provmethod.is_none())
        })
        .filter_map(|(node, saved)| Some((*node, saved.before.own_provmethod.as_deref()?)))
        .collect();
    if blanked.is_empty() {
        return Ok(());
    }
    tables.transaction(&["nodetype"], |change: &Transaction| {
        for (node, image) in &blanked {
            change.put(
                "nodetype",
                &[("node", node)],
                &[("provmethod", Some(image))],
            )?;
        }
        Ok::<(), xcat_tables::Error>(())
    })?;
    Ok(())
}
