//! Which nodes are asked, and how: read-only, so that `--dry-run` can show it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use node_reboot::Power;
use node_report::Addresses;
use xcat_tables::Tables;

use crate::Error;

/// How long a node's ssh port may take to say that an operating system runs.
const SSH: Duration = Duration::from_secs(2);

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ask nodes whose adapters are known, too.
    pub force: bool,
    /// Ask running nodes over ssh.
    pub live: bool,
    /// Reboot running nodes.
    pub reboot_running: bool,
    /// For all answers, from the start.
    pub timeout: Duration,
    /// So many nodes are booted, or asked by ssh, at a time.
    pub fanout: usize,
    /// callbackd's program.
    pub callbackd: PathBuf,
}

/// What will be done with each node.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Booted into genesis.
    pub boot: Vec<String>,
    /// Asked over ssh.
    pub live: Vec<String>,
    /// Left alone: their adapters are known.
    pub known: Vec<String>,
    /// Not touched, with the reason: they run an operating system, or a site's hook vetoes.
    pub refused: BTreeMap<String, String>,
}

/// Sorts `nodes` out. A node that runs an operating system, by its status or because its ssh port
/// answers, is never rebooted without being told so (the original rebooted it: issue 3382 of xCAT).
pub fn plan(tables: &Tables, nodes: &[String], options: &Options) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    let columns = node_report::columns(tables, nodes)?;
    let wanted: Vec<String> = nodes
        .iter()
        .filter(|node| options.force || !columns.contains_key(*node))
        .cloned()
        .collect();
    plan.known = nodes
        .iter()
        .filter(|node| !wanted.contains(node))
        .cloned()
        .collect();
    let running = if options.reboot_running {
        BTreeMap::new()
    } else {
        running(tables, &wanted)?
    };
    for node in wanted {
        match running.get(&node) {
            None => plan.boot.push(node),
            Some(_) if options.live => plan.live.push(node),
            Some(why) => drop(plan.refused.insert(node, format!("runs an operating system ({why}); --live asks it as it is, --reboot-running reboots it"))),
        }
    }
    // Without a way to boot them nothing can be done: that is said before anything is touched.
    if !plan.boot.is_empty() {
        Power::find(tables)?;
    }
    let vetoes = fork_worker::veto::consult(
        &program::paths::config_dir().join("veto.d"),
        "getadapter",
        "reboot",
        &plan.boot,
    )?;
    plan.boot.retain(|node| !vetoes.contains_key(node));
    plan.refused.extend(
        vetoes
            .into_iter()
            .map(|(node, why)| (node, format!("vetoed: {why}"))),
    );
    Ok(plan)
}

/// Running nodes and how we know.
fn running(tables: &Tables, nodes: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut running = node_reboot::running(tables, nodes)?;
    let others: BTreeSet<&String> = nodes
        .iter()
        .filter(|node| !running.contains_key(*node))
        .collect();
    if others.is_empty() {
        return Ok(running);
    }
    let addresses: Vec<(String, SocketAddr)> = Addresses::read(tables)?
        .iter()
        .filter(|(_, node)| others.contains(&(*node).to_string()))
        .map(|(address, node)| (node.to_string(), SocketAddr::new(address, 22)))
        .collect();
    let answering = node_reboot::answers_ssh(&addresses, SSH)
        .map_err(|error| Error::System("asking ssh ports", error))?;
    running.extend(
        answering
            .into_iter()
            .map(|node| (node, "its ssh port answers".to_string())),
    );
    Ok(running)
}
