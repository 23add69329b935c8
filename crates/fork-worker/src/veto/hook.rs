//! One hook: may it be run, and what does it say.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use nix::unistd::{getegid, geteuid};

use crate::command::{Finished, Spec, run};

/// Longest reason that is passed on, in characters.
const REASON_LIMIT: usize = 200;
/// A line for each of a hundred thousand nodes.
const OUTPUT_LIMIT: usize = 16 << 20;

/// Runs a hook. Its answer, or why it cannot be believed.
pub(crate) fn ask(
    path: &Path,
    args: [&str; 2],
    nodes: &[String],
    deadline: Duration,
) -> Result<BTreeMap<String, String>, String> {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("not a regular file".into());
    }
    if meta.mode() & 0o111 == 0 {
        return Err("not executable".into());
    }
    only_ours_to_write(&meta)?;
    let mut input = nodes.join("\n");
    input.push('\n');
    let mut spec = Spec::new(path).args(args).stdin(input).deadline(deadline);
    spec.output_limit = OUTPUT_LIMIT;
    let done = run(&spec).map_err(|error| error.to_string())?;
    judge(&done)?;
    read(&String::from_utf8_lossy(&done.stdout), nodes)
}

/// Refuses what somebody else than root, or we, may change.
pub(crate) fn only_ours_to_write(meta: &Metadata) -> Result<(), String> {
    if meta.uid() != 0 && meta.uid() != geteuid().as_raw() {
        return Err(format!("belongs to uid {}, not to root", meta.uid()));
    }
    let by_group = meta.mode() & 0o020 != 0;
    let strange_group = meta.gid() != 0 && meta.gid() != getegid().as_raw();
    if meta.mode() & 0o002 != 0 || (by_group && strange_group) {
        return Err("others may write to it".into());
    }
    Ok(())
}

fn judge(done: &Finished) -> Result<(), String> {
    let how = if done.timed_out {
        "did not end in time".to_string()
    } else if let Some(signal) = done.status.signal() {
        format!("was killed by signal {signal}")
    } else if !done.status.success() {
        format!(
            "failed with exit status {}",
            done.status.code().unwrap_or(-1)
        )
    } else if done.truncated {
        "said more than is allowed".to_string()
    } else {
        return Ok(());
    };
    let complaint = String::from_utf8_lossy(&done.stderr);
    match complaint.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => Err(format!("{how}: {}", shortened(line))),
        None => Err(how),
    }
}

/// Reads `node: reason` lines. A node that was not asked about is nobody's matter here: a hook may
/// well print all that it protects. A line without a colon is believed only if it is such a node's
/// name; else it is nonsense (an error message, say).
fn read(text: &str, nodes: &[String]) -> Result<BTreeMap<String, String>, String> {
    let asked: BTreeSet<&str> = nodes.iter().map(String::as_str).collect();
    let mut vetoed = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (node, reason) = match line.split_once(':') {
            Some((node, reason)) => (node.trim(), reason.trim()),
            None => (line.trim(), ""),
        };
        if asked.contains(node) {
            let reason = match reason {
                "" => "no reason given".to_string(),
                reason => shortened(reason),
            };
            vetoed.entry(node.to_string()).or_insert(reason);
        } else if !line.contains(':') || node.is_empty() || node.contains(char::is_whitespace) {
            return Err(format!(
                "printed what is not `node: reason`: {}",
                shortened(line)
            ));
        }
    }
    Ok(vetoed)
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(REASON_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::read;

    fn nodes() -> Vec<String> {
        ["n1", "n2", "n3"].map(String::from).into()
    }

    #[test]
    fn lines_are_read() {
        let text = "n1: job 17: user's\n\n  n2 :\nn3\nelsewhere: busy\nn1: again\n";
        let answer = read(text, &nodes()).unwrap();
        let answer: Vec<_> = answer
            .iter()
            .map(|(n, r)| (n.as_str(), r.as_str()))
            .collect();
        let none = "no reason given";
        assert_eq!(
            answer,
            [("n1", "job 17: user's"), ("n2", none), ("n3", none)]
        );
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["n9", "cannot connect: no route", ": why", "n1 n2: busy"] {
            assert!(read(text, &nodes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_node_is_lost_or_made_up(text: String) {
            let text = format!("n2: kept\n{text}");
            if let Ok(answer) = read(&text, &nodes()) {
                prop_assert_eq!(answer["n2"].as_str(), "kept");
                prop_assert!(answer.keys().all(|node| nodes().contains(node)));
                prop_assert!(answer.values().all(|reason| !reason.contains('\n')));
            }
        }
    }
}
