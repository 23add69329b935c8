//! Our words on the kernel lines that xCAT writes: `bootparams.addkcmdline`.

use std::collections::{BTreeMap, BTreeSet};

use xcat_tables::{Row, Tables, Transaction};

use crate::present::Present;
use crate::saved::{Before, Saved};
use crate::target::{Target, has_words, without_words};

/// Adds our words to what the node has on its kernel line, groups' values included: the node's own
/// value takes their place.
pub(crate) fn add_words(
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
pub(crate) fn take_words(
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
fn empty_but_for_line(rows: &[Row]) -> BTreeSet<&str> {
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
