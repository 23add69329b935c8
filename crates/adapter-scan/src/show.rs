//! The forms of an answer on standard output.

use adapter_facts::{Adapter, column, record};
use node_report::Answer;

/// The record lines: `N:[i]->name!field|field`.
pub fn records(answer: &Answer) -> Vec<String> {
    answer
        .adapters
        .iter()
        .enumerate()
        .map(|(index, adapter)| record(&answer.node, index, adapter))
        .collect()
}

/// One JSON object per adapter.
pub fn json(answer: &Answer) -> Vec<String> {
    let object = |(index, adapter): (usize, &Adapter)| {
        let mut value = serde_json::json!({ "node": answer.node, "index": index });
        if let (Some(object), Ok(serde_json::Value::Object(fields))) =
            (value.as_object_mut(), serde_json::to_value(adapter))
        {
            object.extend(fields);
        }
        value.to_string()
    };
    answer.adapters.iter().enumerate().map(object).collect()
}

/// What changed against the row that was stored before, a line each (or a JSON object each).
pub fn diff(answer: &Answer, as_json: bool) -> Vec<String> {
    let before = answer
        .before
        .as_deref()
        .map(column::parse)
        .unwrap_or_default();
    // An answer without anything usable changes nothing.
    if answer.adapters.is_empty() {
        return Vec::new();
    }
    let changes = column::diff(&before, &answer.adapters);
    changes
        .iter()
        .map(|change| {
            if as_json {
                let mut value = serde_json::to_value(change).unwrap_or_default();
                if let Some(object) = value.as_object_mut() {
                    object.insert("node".into(), answer.node.clone().into());
                }
                value.to_string()
            } else {
                format!("{}: {change}", answer.node)
            }
        })
        .collect()
}
