//! `xtab get`: what nodes have.

use std::collections::BTreeMap;

use program::{Output, Usage, complain, exit};
use xcat_tables::{ColumnName, Row, schema};

use crate::args::Range;
use crate::{NAME, expand, missed, show, tables};

/// How it is printed.
pub(crate) struct Form {
    pub(crate) json: bool,
    /// Columns are named, even a single one.
    pub(crate) named: bool,
    /// With the group that a value comes from.
    pub(crate) blame: bool,
}

/// Prints the nodes' values in these columns.
pub(crate) fn get(
    out: &mut Output,
    nodes: &Range,
    words: &[String],
    form: &Form,
) -> anyhow::Result<u8> {
    let mut columns: Vec<ColumnName> = Vec::new();
    for word in words {
        columns.extend(meant(word)?);
    }
    let named = form.named || columns.len() > 1;
    let tables = tables()?;
    let found = expand(&tables, nodes)?;
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in &columns {
        wanted.entry(&name.table).or_default().push(&name.column);
    }
    let wanted: Vec<(&str, Vec<&str>)> = wanted.into_iter().collect();
    let attributes = tables.attributes_of(&wanted)?;
    let labels: Vec<String> = columns.iter().map(ToString::to_string).collect();
    let mut code = missed(found.missed);
    for node in &found.nodes {
        let by_table: BTreeMap<&str, Vec<Row>> = wanted
            .iter()
            .map(|(table, _)| (*table, attributes.rows(table, node)))
            .collect();
        let mut first = Vec::with_capacity(columns.len());
        for (name, label) in columns.iter().zip(&labels) {
            let rows = by_table.get(&*name.table).map_or(&[][..], Vec::as_slice);
            let values: Vec<show::Cell<'_>> = rows
                .iter()
                .filter_map(|row| Some((row.get(&name.column)?, row.group(&name.column))))
                .collect();
            for why in rows.iter().filter_map(|row| row.failure(&name.column)) {
                complain(NAME, &format!("{node}: {label}: {why}"));
                code = exit::SOME_FAILED;
            }
            if !form.json {
                let label = named.then_some(label.as_str());
                for (value, group) in match &values[..] {
                    [] => &[("", None)],
                    values => values,
                } {
                    show::line(out, node, label, value, group.filter(|_| form.blame));
                }
            }
            first.push(values.first().copied());
        }
        if form.json {
            out.line(&show::object(node, &labels, &first, form.blame));
        }
    }
    Ok(code)
}

/// A column, or all columns of a table.
fn meant(word: &str) -> Result<Vec<ColumnName>, Usage> {
    if let Some(name) = ColumnName::parse(word) {
        return Ok(vec![name]);
    }
    let table = schema(word).ok_or_else(|| {
        Usage(format!(
            "{word}: not of the form table.column, and no table"
        ))
    })?;
    let column = |column: &String| ColumnName {
        table: word.into(),
        column: column.clone(),
    };
    Ok(table.columns.iter().map(column).collect())
}
