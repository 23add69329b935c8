//! The XML inside a Perl poster's frame.

use std::collections::BTreeSet;

use xcat_request::{Limits, parse};

use crate::record::Report;

/// Reads a message of either root: `opt` with the node as attribute (what the router sent) or a
/// whole `xcatrequest`. Counts only for a node that is waited for: any host could write any node's row
/// in the original (spec getadapter 10.9, 10.10).
pub(crate) fn report(message: &[u8], waiting: &BTreeSet<String>) -> Result<Report, String> {
    let root = parse(message, &Limits::default()).map_err(|error| error.to_string())?;
    let node = match root.name.as_str() {
        "opt" => root.text_of("node"),
        "xcatrequest" => root.text_of("noderange"),
        other => return Err(format!("root element {}", program::escape(other))),
    };
    let node = node.ok_or("names no node")?.trim();
    if !waiting.contains(node) {
        return Err(format!("{}: is not waited for", program::escape(node)));
    }
    Ok(Report::now(
        node,
        None,
        None,
        adapter_facts::from_request(&root),
    ))
}
