//! Without xCAT's commands: the chain row and the node's iPXE files, written by us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use xcat_tables::Tables;

use crate::arm::Results;
use crate::back;
use crate::chain::put_chain;
use crate::durable::Batch;
use crate::error::Error;
use crate::ipxe;
use crate::place::{Place, UEFI};
use crate::present::Present;
use crate::saved::{Saved, script};
use crate::target::Target;

/// Writes the scripts, then the chain rows of the nodes whose scripts are in place.
pub(crate) fn arm(
    tables: &Tables,
    records: &BTreeMap<String, Saved>,
    target: &Target,
    places: &BTreeMap<String, Place>,
) -> Result<Results, Error> {
    let mut writing = Writing::default();
    for (node, place) in places
        .iter()
        .filter(|(node, _)| records.contains_key(*node))
    {
        for (path, text) in &place.scripts {
            writing.add(node, path, text);
        }
    }
    let mut results = writing.finish();
    let rows: BTreeMap<&String, (&str, &str)> = records
        .iter()
        .filter(|(node, _)| !results.contains_key(*node))
        .map(|(node, saved)| (node, (target.action.as_str(), saved.then.as_str())))
        .collect();
    put_chain(tables, &rows)?;
    results.extend(rows.keys().map(|node| ((*node).clone(), Ok(()))));
    Ok(results)
}

/// Puts scripts of ours back to what they were, then the chain rows that are still ours.
pub(crate) fn release(
    tables: &Tables,
    records: &BTreeMap<String, Saved>,
    present: &BTreeMap<String, Present>,
) -> Result<Results, Error> {
    let mut writing = Writing::default();
    for (node, saved) in records {
        for (path, was) in &saved.before.files {
            match script(path) {
                Ok(Some(now)) if ipxe::is_ours(&now) => {
                    let text = was.as_deref().unwrap_or(ipxe::local_boot());
                    writing.add(node, path, text);
                }
                Ok(_) => {}
                Err(why) => writing.fail(node, why),
            }
        }
    }
    let mut results = writing.finish();
    let rows: BTreeMap<&String, (String, String)> = records
        .iter()
        .filter(|(node, saved)| {
            let now = present
                .get(*node)
                .and_then(|one| one.before.currstate.as_deref());
            !results.contains_key(*node) && back::is_ours(saved, now)
        })
        .map(|(node, saved)| (node, back::row(saved)))
        .collect();
    let rows = rows
        .iter()
        .map(|(node, (state, chain))| (*node, (state.as_str(), chain.as_str())))
        .collect();
    put_chain(tables, &rows)?;
    for node in records.keys() {
        results.entry(node.clone()).or_insert(Ok(()));
    }
    Ok(results)
}

/// Scripts on their way, by directory.
#[derive(Default)]
struct Writing {
    batches: BTreeMap<PathBuf, Batch>,
    failed: Results,
}

impl Writing {
    fn add(&mut self, node: &str, path: &Path, text: &str) {
        let (Some(directory), Some(name)) =
            (path.parent(), path.file_name().and_then(|n| n.to_str()))
        else {
            return self.fail(node, format!("{}: is no file", path.display()));
        };
        if let Err(error) = std::fs::create_dir_all(directory) {
            return self.fail(node, format!("{}: {error}", directory.display()));
        }
        let batch = self
            .batches
            .entry(directory.to_path_buf())
            .or_insert_with(|| Batch::new(directory, 0o644));
        if let Err(error) = batch.write(name, text.as_bytes()) {
            self.fail(node, format!("{}: {error}", path.display()));
        }
    }

    fn fail(&mut self, node: &str, why: String) {
        self.failed.insert(node.to_string(), Err(why));
    }

    /// The nodes that have a script that is not in place.
    fn finish(mut self) -> Results {
        for (directory, batch) in std::mem::take(&mut self.batches) {
            for (name, why) in batch.commit() {
                let node = name.strip_suffix(UEFI).unwrap_or(&name).to_string();
                let why = format!("{}: {why}", directory.join(&name).display());
                self.failed.insert(node, Err(why));
            }
        }
        self.failed
    }
}
