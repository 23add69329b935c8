//! Answers as lines and as JSON. Keys keep their order: the node first.

use noderange::Expansion;
use program::{Output, escape};
use serde_json::{Value, json};
use xcat_tables::{Kind, Row, RowChange};

/// `xtab nodes --json`: one object, also for an error.
pub(crate) fn nodes_object(found: &Expansion, error: Option<&str>) -> String {
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    json!({ "nodes": found.nodes, "missed": found.missed, "warnings": warnings, "error": error })
        .to_string()
}

/// A value, and the group that it comes from.
pub(crate) type Cell<'a> = (&'a str, Option<&'a str>);

/// One node's values as an object; of several rows the first value counts. With `blame` also where
/// those come from that are not the node's own.
pub(crate) fn object(
    node: &str,
    columns: &[String],
    values: &[Option<Cell<'_>>],
    blame: bool,
) -> String {
    let mut members = vec![member("node", &json!(node))];
    let cells = || columns.iter().zip(values);
    for (column, value) in cells() {
        members.push(member(column, &json!(value.map(|(value, _)| value))));
    }
    if blame {
        let groups =
            cells().filter_map(|(column, value)| Some((column.clone(), (*value)?.1?.into())));
        let groups: serde_json::Map<String, Value> = groups.collect();
        members.push(member("inherited", &groups.into()));
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

/// One node's value as nodels prints it, with its column and its group if they are given.
pub(crate) fn line(
    out: &mut Output,
    node: &str,
    column: Option<&str>,
    value: &str,
    group: Option<&str>,
) {
    let mut line = escape(node).into_owned();
    if let Some(column) = column {
        line.push_str(&format!(": {column}"));
    }
    line.push_str(&format!(": {}", escape(value)));
    if let Some(group) = group {
        line.push_str(&format!(" (inherited from group {})", escape(group)));
    }
    out.line(&line);
}

/// A change of a row: a line of its own if the row comes or goes, then one per column, `NULL` for no
/// value. Each names table and row, so that one can search for either.
pub(crate) fn change(out: &mut Output, change: &RowChange, as_json: bool) {
    let kind = match change.kind {
        Kind::Added => "added",
        Kind::Changed => "changed",
        Kind::Removed => "removed",
    };
    if as_json {
        let key: serde_json::Map<String, Value> = change
            .key
            .iter()
            .map(|(column, value)| (column.clone(), value.as_str().into()))
            .collect();
        let columns: serde_json::Map<String, Value> = change
            .columns
            .iter()
            .map(|one| {
                (
                    one.column.clone(),
                    json!({ "old": one.old, "new": one.new }),
                )
            })
            .collect();
        let table = &change.table;
        out.line(
            &json!({ "table": table, "row": key, "change": kind, "columns": columns }).to_string(),
        );
        return;
    }
    let key: Vec<String> = change
        .key
        .iter()
        .map(|(column, value)| format!("{column}={value}"))
        .collect();
    let row = escape(&format!("{}: {}", change.table, key.join(","))).into_owned();
    if change.kind != Kind::Changed {
        out.line(&format!("{row}: row {kind}"));
    }
    let value = |value: &Option<String>| match value {
        None => "NULL".to_string(),
        Some(text) => escape(&format!("\"{text}\"")).into_owned(),
    };
    for one in &change.columns {
        let (old, new) = (value(&one.old), value(&one.new));
        out.line(&format!("{row}: {}: {old} -> {new}", escape(&one.column)));
    }
}

fn member(key: &str, value: &Value) -> String {
    format!("{}:{value}", Value::from(key))
}
