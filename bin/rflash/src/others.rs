//! Nodes whose BMC speaks neither OpenBMC nor Redfish: xCAT's own rflash knows them.

use std::collections::BTreeMap;
use std::process::Command;

use program::{complain, exit};
use xcat_tables::Tables;

use crate::NAME;
use crate::speaker::Speaker;

/// Ours, and the others by their `nodehm.mgt`.
pub(crate) fn split(
    tables: &Tables,
    nodes: &[String],
) -> anyhow::Result<(Vec<String>, BTreeMap<String, String>)> {
    let kinds = tables.attribute("nodehm", "mgt", nodes)?;
    let mut theirs = BTreeMap::new();
    let mut ours = Vec::new();
    for node in nodes {
        match kinds.get(node).map(String::as_str) {
            Some("openbmc" | "redfish") => ours.push(node.clone()),
            other => drop(theirs.insert(node.clone(), other.unwrap_or_default().to_string())),
        }
    }
    Ok((ours, theirs))
}

/// Calls xCAT's rflash with the same words for its nodes; its exit code.
pub(crate) fn hand_over(
    speaker: &mut Speaker<'_>,
    nodes: &BTreeMap<String, String>,
) -> anyhow::Result<u8> {
    if nodes.is_empty() {
        return Ok(exit::DONE);
    }
    let theirs = program::paths::xcat_command(NAME);
    let own = std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .ok();
    // Where ours was put into that very place there is no other one.
    let theirs = theirs.filter(|path| path.canonicalize().ok() != own);
    let Some(path) = theirs else {
        for (node, mgt) in nodes {
            let mgt = if mgt.is_empty() { "nothing" } else { mgt };
            let why = format!("nodehm.mgt says {mgt}, and xCAT's own rflash is not installed");
            speaker.error(Some(node), &why);
            speaker.settled(node, Some(&why));
        }
        return Ok(exit::SOME_FAILED);
    };
    let folded = noderange::fold(nodes.keys().map(String::as_str));
    complain(NAME, &format!("{folded}: goes to {}", path.display()));
    if speaker.args.dry_run {
        return Ok(exit::DONE);
    }
    let mut command = Command::new(path);
    command.arg(nodes.keys().cloned().collect::<Vec<_>>().join(","));
    command.args(speaker.args.typed()).args(&speaker.args.words);
    if speaker.args.verbose {
        command.arg("-V");
    }
    let status = command.status()?;
    for node in nodes.keys() {
        speaker.settled(node, (!status.success()).then_some("xCAT's rflash failed"));
    }
    Ok(if status.success() {
        exit::DONE
    } else {
        exit::SOME_FAILED
    })
}
