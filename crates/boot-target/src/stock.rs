//! With xCAT's own `nodeset`, one call for a set.
//!
//! The kernel line is then xCAT's; our words reach it by way of `bootparams.addkcmdline`, which its
//! plug-ins for every loader append (also on service nodes).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use xcat_tables::{Tables, Transaction};

use crate::arm::Results;
use crate::back;
use crate::bootparams::{add_words, take_words};
use crate::chain::put_chain;
use crate::error::Error;
use crate::present::{self, Present};
use crate::saved::Saved;
use crate::target::Target;
use crate::xcat;

/// `nodeset` may make boot files and DHCP entries for thousands; it has been seen to hang, too.
const NODESET: Duration = Duration::from_secs(300);

/// Arms the nodes of `records`.
pub(crate) fn arm(
    tables: &Tables,
    nodeset: &Path,
    records: &BTreeMap<String, Saved>,
    target: &Target,
    present: &BTreeMap<String, Present>,
) -> Result<Results, Error> {
    match target.words().is_empty() {
        // What an earlier target said is not said any more.
        true => take_words(tables, records)?,
        false => add_words(tables, records, target, present)?,
    }
    let mut sets: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (node, saved) in records {
        sets.entry(&saved.then).or_default().push(node.clone());
    }
    let mut results = Results::new();
    for (then, nodes) in sets {
        let chain = format!("{},{then}", target.action);
        let armed = |_: &str, state: Option<&str>| state == Some(&target.action);
        results.extend(set(tables, nodeset, &nodes, &chain, armed)?);
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
        let is_back = |node: &str, state: Option<&str>| {
            let saved = records.get(node);
            state == Some(&word)
                || saved.is_some_and(|saved| state == saved.before.currstate.as_deref())
        };
        for (node, done) in set(tables, nodeset, &nodes, &word, is_back)? {
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

/// `nodeset NODES WORD`. A node of which it says nothing is looked up in the table: its state must have
/// been `reached` then.
fn set(
    tables: &Tables,
    nodeset: &Path,
    nodes: &[String],
    word: &str,
    reached: impl Fn(&str, Option<&str>) -> bool,
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
        let verdict = match answers.good && reached(&node, now) {
            true => Ok(()),
            false => Err(answers.silence("nodeset")),
        };
        results.insert(node, verdict);
    }
    Ok(results)
}

/// The rows exactly as they were, as far as nodeset could not know: state and chain (unless another
/// state had to do), and the image that `boot` blanks.
fn put_rows(tables: &Tables, put: &BTreeMap<&String, &Saved>) -> Result<(), Error> {
    let names: Vec<String> = put.keys().map(|node| (*node).clone()).collect();
    let now = present::read(tables, &names)?;
    let rows: BTreeMap<&String, (String, String)> = put
        .iter()
        .filter(|(_, saved)| back::order(saved).short_of.is_none())
        .map(|(node, saved)| (*node, back::row(saved)))
        .collect();
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
