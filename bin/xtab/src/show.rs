//! Answers as lines and as JSON. Keys keep their order: the node first.

use noderange::Expansion;
use program::{Output, escape};
use serde_json::{Value, json};
use xcat_tables::{ColumnName, Row};

/// `xtab nodes --json`: one object, also for an error.
pub(crate) fn nodes_object(found: &Expansion, error: Option<&str>) -> String {
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    json!({ "nodes": found.nodes, "missed": found.missed, "warnings": warnings, "error": error })
        .to_string()
}

/// One node's values as an object; of several rows the first value counts.
pub(crate) fn object(node: &str, columns: &[ColumnName], values: &[Option<String>]) -> String {
    let mut members = vec![member("node", &json!(node))];
    for (column, value) in columns.iter().zip(values) {
        members.push(member(&column.to_string(), &json!(value)));
    }
    format!("{{{}}}", members.join(","))
}

/// A row of a table as an object, as it is stored.
pub(crate) fn row_object(row: &Row) -> String {
    let members: Vec<String> = row
        .iter()
        .map(|(column, value)| member(column, &json!(value)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// One node's value as nodels prints it: the column is named if several are asked for.
pub(crate) fn line(out: &mut Output, node: &str, column: Option<&ColumnName>, value: &str) {
    let (node, value) = (escape(node), escape(value));
    match column {
        Some(column) => out.line(&format!("{node}: {column}: {value}")),
        None => out.line(&format!("{node}: {value}")),
    }
}

fn member(key: &str, value: &Value) -> String {
    format!("{}:{value}", Value::from(key))
}
