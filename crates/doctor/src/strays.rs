//! Rows of nodes that are no nodes any more.

use noderange::Options;
use xcat_tables::{Tables, schema, table_names};

use crate::cluster::{Cluster, fold};
use crate::shell::word;
use crate::{Check, Finding, Host, said};

/// Tables in which `node` is history, or which have a check of their own.
const OTHERS: [&str; 3] = ["nodelist", "eventlog", "taskstate"];
/// Neither nodes nor, at first, groups: what every node and every service node runs. xCAT makes these
/// rows of `postscripts` itself.
const DEFAULTS: [&str; 2] = ["xcatdefaults", "service"];

pub(crate) fn look(
    tables: &Tables,
    _: &Host,
    cluster: &Cluster,
    check: &mut Check,
) -> Result<(), String> {
    for table in table_names().filter(|table| !OTHERS.contains(table)) {
        let by_node =
            schema(table).is_some_and(|schema| schema.keys.iter().any(|key| key == "node"));
        if !by_node {
            continue;
        }
        let rows = tables.rows(table).map_err(said)?;
        let strays: Vec<String> = rows
            .iter()
            .filter_map(|row| row.get("node"))
            .filter(|name| {
                !DEFAULTS.contains(name) && !cluster.knows(name) && !is_range(cluster, name)
            })
            .map(String::from)
            .collect();
        if let Some(first) = strays.first() {
            let fix = format!(
                "add them to nodelist, or remove each row: xtab set -d -k {} {table}",
                word(&format!("node={first}"))
            );
            let what = "rows of what is neither a node nor a group";
            check.findings.push(Finding::new(
                format!("{table}: {}", fold(&strays)),
                what,
                fix,
            ));
        }
    }
    Ok(())
}

/// True if the name is a range of nodes, as xCAT takes it in some tables.
fn is_range(cluster: &Cluster, name: &str) -> bool {
    let options = Options {
        files: None,
        ..Options::default()
    };
    // A plain name has been looked for already.
    name.contains([',', '[', '@', '-', ':', '+', '/', '=', '~'])
        && noderange::expand(name, &cluster.names, &options)
            .is_ok_and(|found| found.missed.is_empty() && !found.nodes.is_empty())
}
