//! Power by xCAT's `rpower`, for a set of nodes in one call.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use boot_target::run;
use xcat_tables::Tables;

/// One exchange with each BMC, many at once; some take a minute to power on.
const CALL: Duration = Duration::from_secs(120);
/// `rnetboot` drives a partition's firmware by hand.
const NETBOOT: Duration = Duration::from_secs(600);
/// Kinds of management whose partitions are powered on and booted from the network by `rnetboot`
/// (xcat-core: `rinstall` calls it for these).
const PARTITIONS: [&str; 3] = ["hmc", "ivm", "fsp"];
/// What a node says of itself when it is off; the second is a partition's word.
const OFF: [&str; 2] = ["off", "not activated"];

/// How long to wait for nodes to go off.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// In all.
    pub limit: Duration,
    /// Between two looks.
    pub pause: Duration,
}

impl Default for Patience {
    /// Two minutes, a look every two seconds.
    fn default() -> Patience {
        Patience {
            limit: Duration::from_secs(120),
            pause: Duration::from_secs(2),
        }
    }
}

/// xCAT's power command. Each call is one for all nodes that are given; what fails fails for its node.
#[derive(Debug, Clone)]
pub struct Rpower {
    rpower: PathBuf,
    tables: Tables,
    patience: Patience,
}

/// The nodes that failed, with the reason.
pub type Failed = BTreeMap<String, String>;

impl Rpower {
    /// With `rpower` at this path.
    pub fn new(rpower: PathBuf, tables: &Tables) -> Rpower {
        Rpower {
            rpower,
            tables: tables.clone(),
            patience: Patience::default(),
        }
    }

    /// The same with another patience.
    pub fn with_patience(self, patience: Patience) -> Rpower {
        Rpower { patience, ..self }
    }

    /// Powers nodes off and waits until each has said twice in a row that it is off: BMCs answer with the
    /// state before a command took effect. A node that cannot be asked is asked again until patience
    /// ends. Returns the nodes that are not known to be off; no node that cannot be powered holds up
    /// the others longer than that.
    pub fn off_and_wait(&self, nodes: &[String]) -> Failed {
        let mut failed = call(&self.rpower, nodes, &["off"], CALL);
        let left: Vec<String> = nodes
            .iter()
            .filter(|node| !failed.contains_key(*node))
            .cloned()
            .collect();
        failed.extend(self.wait_off(&left));
        failed
    }

    /// Powers nodes off and does not wait. Returns the nodes that did not take it.
    pub fn off(&self, nodes: &[String]) -> Failed {
        call(&self.rpower, nodes, &["off"], CALL)
    }

    /// Powers nodes on, so that they boot what they are armed for: `rnetboot` for partitions, `rpower on`
    /// for all others. Returns the nodes that were not started.
    pub fn on(&self, nodes: &[String]) -> Failed {
        let kinds = match self.tables.attribute("nodehm", "mgt", nodes) {
            Ok(kinds) => kinds,
            Err(error) => return all(nodes, &error.to_string()),
        };
        let is_partition = |node: &&String| {
            let kind = kinds.get(*node);
            kind.is_some_and(|kind| PARTITIONS.contains(&kind.as_str()))
        };
        let (partitions, others): (Vec<&String>, Vec<&String>) =
            nodes.iter().partition(is_partition);
        let partitions: Vec<String> = partitions.into_iter().cloned().collect();
        let others: Vec<String> = others.into_iter().cloned().collect();
        let mut failed = call(&self.rpower, &others, &["on"], CALL);
        failed.extend(match program::paths::xcat_command("rnetboot") {
            Some(rnetboot) => call(&rnetboot, &partitions, &[], NETBOOT),
            None => all(&partitions, "needs xCAT's rnetboot, which is not installed"),
        });
        failed
    }

    /// What each node says of its power, in lower case; if it cannot be asked, why. `limit` is for one
    /// call.
    pub fn states(
        &self,
        nodes: &[String],
        limit: Duration,
    ) -> BTreeMap<String, Result<String, String>> {
        let answers = match run(&self.rpower, nodes, &["stat"], limit) {
            Ok(answers) => answers,
            Err(error) => {
                let failed = all(nodes, &error.to_string());
                return failed
                    .into_iter()
                    .map(|(node, why)| (node, Err(why)))
                    .collect();
            }
        };
        let state = |node: &String| match answers.verdict(node) {
            Some(Ok(())) => {
                let last = answers.said.get(node).and_then(|lines| lines.last());
                Ok(last.map(|line| line.to_lowercase()).unwrap_or_default())
            }
            Some(Err(why)) => Err(why),
            None => Err(answers.silence("rpower")),
        };
        nodes
            .iter()
            .map(|node| (node.clone(), state(node)))
            .collect()
    }

    fn wait_off(&self, nodes: &[String]) -> Failed {
        let until = Instant::now() + self.patience.limit;
        let mut waiting: BTreeSet<String> = nodes.iter().cloned().collect();
        let mut off_once: BTreeSet<String> = BTreeSet::new();
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        while !waiting.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let asked: Vec<String> = waiting.iter().cloned().collect();
            for (node, state) in self.states(&asked, left.min(CALL)) {
                let is_off = matches!(&state, Ok(state) if is_off(state));
                match state {
                    Ok(state) => {
                        last.insert(node.clone(), state);
                    }
                    // The last call may only have been cut short: what was known says more.
                    Err(why) => {
                        last.entry(node.clone()).or_insert(why);
                    }
                }
                if !is_off {
                    off_once.remove(&node);
                } else if !off_once.insert(node.clone()) {
                    waiting.remove(&node);
                }
            }
            if !waiting.is_empty() {
                std::thread::sleep(self.patience.pause.min(left));
            }
        }
        waiting
            .into_iter()
            .map(|node| {
                let said = last.remove(&node).unwrap_or("nothing".to_string());
                (
                    node,
                    format!(
                        "is not off after {} s: {said}",
                        self.patience.limit.as_secs()
                    ),
                )
            })
            .collect()
    }
}

/// True if what a node says of its power ([`Rpower::states`]) means off.
pub(crate) fn is_off(state: &str) -> bool {
    OFF.contains(&state)
}

/// Runs `PROGRAM NODES ARGS...` for its effect.
pub(crate) fn call(program: &Path, nodes: &[String], args: &[&str], limit: Duration) -> Failed {
    let name = program
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("rpower");
    let answers = match run(program, nodes, args, limit) {
        Ok(answers) => answers,
        Err(error) => return all(nodes, &error.to_string()),
    };
    nodes
        .iter()
        .filter_map(|node| match answers.verdict(node) {
            Some(Ok(())) => None,
            Some(Err(why)) => Some((node.clone(), why)),
            None => Some((node.clone(), answers.silence(name))),
        })
        .collect()
}

/// The same failure of each.
pub(crate) fn all(nodes: &[String], why: &str) -> Failed {
    nodes
        .iter()
        .map(|node| (node.clone(), why.to_string()))
        .collect()
}
