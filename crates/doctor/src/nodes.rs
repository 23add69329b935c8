//! Nodes without what every command on them needs.

use std::collections::BTreeMap;

use xcat_tables::{Row, Tables};

use crate::cluster::{Cluster, fold};
use crate::shell::word;
use crate::{Check, Finding, Host, said};

/// Whose power is a BMC's, and the table that names it.
const BMC: [(&str, &str); 3] = [
    ("ipmi", "ipmi"),
    ("openbmc", "openbmc"),
    ("redfish", "openbmc"),
];
/// What has no operating system to boot, as `nodetype.nodetype` or `nodehm.mgt` say it.
const DEVICES: [&str; 10] = [
    "switch", "pdu", "rack", "hmc", "fsp", "bpa", "frame", "cec", "cmm", "mp",
];

pub(crate) fn look(
    tables: &Tables,
    _: &Host,
    cluster: &Cluster,
    check: &mut Check,
) -> Result<(), String> {
    let nodes: Vec<String> = cluster
        .nodes
        .iter()
        .filter(|node| !cluster.masters.contains(node.as_str()))
        .cloned()
        .collect();
    let managed = tables
        .attributes("nodehm", &["mgt", "power"], &nodes)
        .map_err(said)?;
    // A value that cannot be evaluated is not missing: the check of values names it.
    let has = |rows: &BTreeMap<String, Vec<Row>>, node: &String, column: &str| {
        rows.get(node).is_some_and(|rows| {
            rows.iter()
                .any(|row| row.get(column).is_some() || row.failure(column).is_some())
        })
    };
    let without: Vec<&String> = nodes
        .iter()
        .filter(|node| !has(&managed, node, "mgt"))
        .collect();
    if !without.is_empty() {
        let range = fold(without);
        let fix = format!("xtab set {} nodehm.mgt=KIND", word(&range));
        check.findings.push(Finding::new(
            range,
            "no nodehm.mgt: nothing can power them",
            fix,
        ));
    }
    let value = |node: &String, column: &str| {
        let rows = managed.get(node)?;
        rows.iter().find_map(|row| row.get(column))
    };
    for table in ["ipmi", "openbmc"] {
        let kind = |node: &&String| {
            let power = value(node, "power").or_else(|| value(node, "mgt"));
            BMC.iter()
                .any(|(kind, of)| Some(*kind) == power && *of == table)
        };
        let wanted: Vec<String> = nodes.iter().filter(kind).cloned().collect();
        let found = tables.attributes(table, &["bmc"], &wanted).map_err(said)?;
        let without: Vec<&String> = wanted
            .iter()
            .filter(|node| !has(&found, node, "bmc"))
            .collect();
        if !without.is_empty() {
            let range = fold(without);
            let fix = format!("xtab set {} {table}.bmc=ADDRESS", word(&range));
            check
                .findings
                .push(Finding::new(range, format!("no {table}.bmc"), fix));
        }
    }
    let kinds = tables
        .attribute("nodetype", "nodetype", &nodes)
        .map_err(said)?;
    let device = |node: &String| {
        let kinds = kinds.get(node).map(String::as_str).unwrap_or_default();
        kinds.split(',').any(|kind| DEVICES.contains(&kind))
            || value(node, "mgt").is_some_and(|mgt| ["switch", "pdu"].contains(&mgt))
    };
    let found = tables.attributes("mac", &["mac"], &nodes).map_err(said)?;
    let without = nodes
        .iter()
        .filter(|node| !has(&found, node, "mac") && !device(node));
    let without: Vec<&String> = without.collect();
    if !without.is_empty() {
        let range = fold(without);
        let fix = "getmacs, or xtab set NODE mac.mac=ADDRESS for each".to_string();
        check.findings.push(Finding::new(
            range,
            "no mac.mac: they cannot boot over the network",
            fix,
        ));
    }
    Ok(())
}
