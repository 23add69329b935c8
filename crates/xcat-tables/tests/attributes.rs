//! What nodes get from the tables, against what xCAT answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use support::{Scratch, cases, change, engines, judge};
use xcat_tables::{Row, schema};

fn words(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .map(|item| item.as_str().unwrap().to_string())
        .collect()
}

/// A row as the vectors have it: undefined columns are left out.
fn shown(row: &Row, columns: &[String], attribution: bool, node_column: &str) -> Value {
    let mut cells = Map::new();
    let mut groups = Map::new();
    for column in columns {
        if let Some(value) = row.get(column) {
            cells.insert(column.clone(), value.into());
            if let Some(group) = row.group(column).filter(|_| column != node_column) {
                groups.insert(column.clone(), group.into());
            }
        }
    }
    if attribution && !groups.is_empty() {
        cells.insert("!attribution".into(), groups.into());
    }
    cells.into()
}

struct Case {
    table: String,
    columns: Vec<String>,
    attribution: bool,
    node_column: String,
}

impl Case {
    fn rows(&self, rows: &[Row]) -> Value {
        let shown = rows
            .iter()
            .map(|row| shown(row, &self.columns, self.attribution, &self.node_column));
        shown.collect::<Vec<_>>().into()
    }

    fn resolved(
        &self,
        tables: &Scratch,
        nodes: &[String],
    ) -> Result<BTreeMap<String, Vec<Row>>, String> {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let found = tables.tables.attributes(&self.table, &columns, nodes);
        let found = found.map_err(|error| error.to_string())?;
        let failed = found
            .values()
            .flatten()
            .flat_map(|row| self.columns.iter().filter_map(|column| row.failure(column)));
        match failed.into_iter().next() {
            Some(why) => Err(why.to_string()),
            None => Ok(found),
        }
    }
}

/// As `getAttribs`: rows by equality on some columns, without groups. Those without any of the
/// wanted columns are not returned.
fn looked_up(case: &Case, tables: &Scratch, key: &Value) -> Value {
    let keys: Vec<(&str, &str)> = key
        .as_object()
        .unwrap()
        .iter()
        .map(|(c, v)| (c.as_str(), v.as_str().unwrap()))
        .collect();
    let mut rows = tables.tables.rows_where(&case.table, &keys).unwrap();
    rows.retain(|row| case.columns.iter().any(|column| row.get(column).is_some()));
    case.rows(&rows)
}

fn check(vector: &Value, tables: &Scratch) -> Result<(), String> {
    let Some(text) = vector["options"]["hierarchicalattrs"].as_str() else {
        return judged(vector, tables);
    };
    let key = [("key", "hierarchicalattrs")];
    change(&tables.tables, &["site"], |t| {
        t.put("site", &key, &[("value", Some(text))])
    })
    .unwrap();
    let result = judged(vector, tables);
    change(&tables.tables, &["site"], |t| t.delete("site", &key)).unwrap();
    result
}

fn judged(vector: &Value, tables: &Scratch) -> Result<(), String> {
    let table = vector["table"].as_str().unwrap().to_string();
    let options = &vector["options"];
    let case = Case {
        columns: words(&vector["columns"]),
        attribution: options["withattribution"] == true,
        node_column: schema(&table).unwrap().node_column().to_string(),
        table,
    };
    let (found, wanted) = match vector["call"].as_str().unwrap() {
        "getAttribs" => (
            Ok(looked_up(&case, tables, &vector["key"])),
            &vector["rows"],
        ),
        "getNodeAttribs" if options["keep_raw"] == true => {
            let node = vector["node"].as_str().unwrap();
            let key = json!({ case.node_column.clone(): node });
            (Ok(looked_up(&case, tables, &key)), &vector["rows"])
        }
        "getNodeAttribs" => {
            let node = words(&json!([vector["node"]]));
            let found = case.resolved(tables, &node);
            (
                found.map(|found| case.rows(found.get(&node[0]).map_or(&[], Vec::as_slice))),
                &vector["rows"],
            )
        }
        "getNodesAttribs" => {
            let nodes = words(&vector["nodes"]);
            let found = case.resolved(tables, &nodes).map(|found| {
                let rows = nodes.iter().map(|node| {
                    (
                        node.clone(),
                        case.rows(found.get(node).map_or(&[], Vec::as_slice)),
                    )
                });
                Value::Object(rows.collect())
            });
            (found, &vector["rows_by_node"])
        }
        "getAllNodeAttribs" => {
            let nodes = tables.tables.nodes_with_rows(&case.table).unwrap();
            let found = case.resolved(tables, &nodes).map(|found| {
                let rows = found.iter().flat_map(|(node, rows)| {
                    let mut shown = case.rows(rows);
                    for row in shown.as_array_mut().unwrap() {
                        row[case.node_column.as_str()] = node.as_str().into();
                    }
                    shown.as_array().unwrap().clone()
                });
                let mut rows: Vec<Value> = rows.collect();
                rows.sort_by_key(ToString::to_string);
                rows.into()
            });
            let mut wanted = vector["rows_unordered"].clone();
            if let Some(rows) = wanted.as_array_mut() {
                rows.sort_by_key(ToString::to_string);
            }
            return compare(found, &wanted, vector);
        }
        other => return Err(format!("call {other}")),
    };
    compare(found, wanted, vector)
}

fn compare(found: Result<Value, String>, wanted: &Value, vector: &Value) -> Result<(), String> {
    match (found, &vector["error"]) {
        (Err(_), Value::String(_)) => Ok(()),
        (Ok(found), Value::Null) if found == *wanted => Ok(()),
        (found, _) => Err(format!("{found:?} for {wanted}, {}", vector["error"])),
    }
}

#[test]
fn nodes_get_what_xcat_gives_them() {
    for tables in engines("attrs") {
        let results = cases("attribs.jsonl").into_iter().map(|vector| {
            let id = vector["id"].as_str().unwrap().to_string();
            let result = check(&vector, &tables);
            (id, result)
        });
        judge("attribs", results.collect());
    }
}
