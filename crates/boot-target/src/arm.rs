//! Arming a set of nodes, and putting them back.

use std::collections::{BTreeMap, BTreeSet};

use xcat_tables::Tables;

use crate::back;
use crate::controllers;
use crate::error::Error;
use crate::name::is_plain;
use crate::own;
use crate::place::{self, Place};
use crate::present::{self, Present};
use crate::saved::{Saved, Store};
use crate::stock;
use crate::target::Target;

/// Each node's result; the text says why it failed.
pub type Results = BTreeMap<String, Result<(), String>>;

/// Makes `nodes` boot `target` next, once. Where xCAT's `nodeset` is installed it does the work, one
/// call for the set; else the chain row and the node's iPXE files are written. Then the nodes' BMCs are
/// told to boot from the network next: by `rsetboot NODES net`, or by ourselves without it. What was there is safe on disk first, for [`release`]. `hook`: a command of the site's boots
/// these nodes. Then no BMC is told anything, and where our iPXE files cannot be made they are not missed.
///
/// Nothing is powered: nodes should be off. A node that fails stays as far as it got; releasing it
/// puts it back.
///
/// # Errors
/// [`Error`] if the target is unfit (nothing was done), or if tables or the state directory fail.
pub fn arm(
    tables: &Tables,
    nodes: &[String],
    target: &Target,
    hook: bool,
) -> Result<Results, Error> {
    target.check()?;
    let (mut results, mut nodes) = admit(nodes);
    if nodes.is_empty() {
        return Ok(results);
    }
    let present = present::read(tables, &nodes)?;
    let nodeset = program::paths::xcat_command("nodeset");
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    if nodeset.is_none() {
        let found = place::find(tables, &nodes, target, &present, hook)?;
        places.extend(sift(&mut results, found));
        nodes.retain(|node| places.contains_key(node));
    }

    let store = Store::open()?;
    let found = nodes.iter().map(|node| {
        let record = record(&store, node, target, &present, places.get(node));
        (node.clone(), record)
    });
    let mut records: BTreeMap<String, Saved> = sift(&mut results, found).collect();
    for (node, why) in store.save(&records) {
        records.remove(&node);
        let why = format!("what it boots now could not be saved: {why}");
        results.insert(node, Err(why));
    }

    results.extend(match nodeset {
        Some(nodeset) => stock::arm(tables, &nodeset, &records, target, &present)?,
        None => own::arm(tables, &records, target, &places)?,
    });
    if !hook {
        controllers::from_network(tables, &mut results)?;
    }
    Ok(results)
}

/// Puts `nodes` back to what they booted before [`arm`] (their own disk, if that is not known). What
/// somebody else has changed since then stays as it is. A node that was not armed, or is back already,
/// is a success; a node that fails can be released again.
///
/// # Errors
/// [`Error`] if tables or the state directory fail.
pub fn release(tables: &Tables, nodes: &[String]) -> Result<Results, Error> {
    put_back(tables, nodes, |saved| saved)
}

/// As [`release`], but the nodes boot from their own disk from now on, whatever they booted before: what
/// was to be written there is there. A node that was not armed stays as it is.
///
/// # Errors
/// [`Error`] if tables or the state directory fail.
pub fn release_to_disk(tables: &Tables, nodes: &[String]) -> Result<Results, Error> {
    put_back(tables, nodes, back::to_disk)
}

fn put_back(
    tables: &Tables,
    nodes: &[String],
    aim: impl Fn(Saved) -> Saved,
) -> Result<Results, Error> {
    let (mut results, nodes) = admit(nodes);
    if nodes.is_empty() {
        return Ok(results);
    }
    let store = Store::open()?;
    let mut records = BTreeMap::new();
    for node in nodes {
        match store.load(&node) {
            Ok(Some(saved)) => {
                records.insert(node, aim(saved));
            }
            Ok(None) => {
                results.insert(node, Ok(()));
            }
            Err(why) => {
                results.insert(node, Err(why));
            }
        }
    }
    if records.is_empty() {
        return Ok(results);
    }
    let names: Vec<String> = records.keys().cloned().collect();
    let present = present::read(tables, &names)?;
    let back = match program::paths::xcat_command("nodeset") {
        Some(nodeset) => stock::release(tables, &nodeset, &records, &present)?,
        None => own::release(tables, &records, &present)?,
    };
    store.forget(
        back.iter()
            .filter(|(_, done)| done.is_ok())
            .map(|(node, _)| node),
    );
    results.extend(back);
    Ok(results)
}

/// Each node once; names that no path and no noderange may hold fail at once.
fn admit(nodes: &[String]) -> (Results, Vec<String>) {
    let distinct: BTreeSet<&String> = nodes.iter().collect();
    let (good, bad): (Vec<&String>, Vec<&String>) =
        distinct.into_iter().partition(|node| is_plain(node));
    let refused = bad
        .into_iter()
        .map(|node| (node.clone(), Err("is no name of a node".to_string())))
        .collect();
    (refused, good.into_iter().cloned().collect())
}

/// Passes on what is good; what is not goes to the results.
fn sift<T>(
    results: &mut Results,
    found: impl IntoIterator<Item = (String, Result<T, String>)>,
) -> impl Iterator<Item = (String, T)> {
    let mut good = Vec::new();
    for (node, value) in found {
        match value {
            Ok(value) => good.push((node, value)),
            Err(why) => {
                results.insert(node, Err(why));
            }
        }
    }
    good.into_iter()
}

/// What to save of a node: what it is now, or, if an earlier run left it armed, what that run saved.
fn record(
    store: &Store,
    node: &str,
    target: &Target,
    present: &BTreeMap<String, Present>,
    place: Option<&Place>,
) -> Result<Saved, String> {
    let now = present.get(node).cloned().unwrap_or_default();
    let files = match place {
        Some(place) => place.scripts_now()?,
        None => BTreeMap::new(),
    };
    let (mut ours, mut before) = match store.load(node)? {
        Some(old) if back::is_ours(&old, now.before.currstate.as_deref()) => (old.ours, old.before),
        _ => (Vec::new(), now.before),
    };
    for state in [Some(&target.action), target.then.as_ref()]
        .into_iter()
        .flatten()
    {
        if !ours.contains(state) {
            ours.push(state.clone());
        }
    }
    for (path, text) in files {
        before.files.entry(path).or_insert(text);
    }
    let then = match place {
        _ if target.then.is_some() => target.then.clone().unwrap_or_default(),
        // Without xCAT nobody makes an image's boot files again; release puts the saved ones back.
        Some(_) => back::BOOT.to_string(),
        None => back::then(&before),
    };
    Ok(Saved::new(ours, &then, before))
}
