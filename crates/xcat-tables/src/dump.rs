//! A table as text, in tabdump's form (spec xcat-tables section 7).

use crate::content::Content;
use crate::filter::{Filter, FilterError};
use crate::row::{is_defined, is_enabled};
use crate::{Error, Row, Tables, schema};

/// Which rows are wanted; by default all, disabled ones too.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// All of these must hold. If there is one, disabled rows are left out.
    pub filters: Vec<Filter>,
    /// Only so many, counted back from the highest number; for tables whose rows the database
    /// numbers.
    pub last: Option<u32>,
}

impl Tables {
    /// A table's rows as `tabdump` prints them, disabled ones too: a heading that starts with `#`,
    /// then one record per row in the order of insertion, every defined value in quotes. Bytes pass
    /// through. NULL and the empty string look the same. Columns that xCAT's schema does not have
    /// come last, if there is a value in them.
    pub fn dump(&self, table: &str) -> Result<Vec<u8>, Error> {
        self.dump_selected(table, &Selection::default())
    }

    /// As [`Tables::dump`], some rows only.
    pub fn dump_selected(&self, table: &str, selection: &Selection) -> Result<Vec<u8>, Error> {
        let content = self.chosen(table, selection)?;
        let columns = columns(table, &content);
        let places: Vec<Option<usize>> = columns
            .iter()
            .map(|column| content.columns.iter().position(|name| name == column))
            .collect();
        let mut out = format!("#{}\n", columns.join(",")).into_bytes();
        for row in content.rows() {
            for (at, place) in places.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                push(&mut out, place.and_then(|place| row[place]));
            }
            out.push(b'\n');
        }
        Ok(out)
    }

    /// The rows themselves.
    pub fn selected(
        &self,
        table: &str,
        selection: &Selection,
    ) -> Result<impl Iterator<Item = Row>, Error> {
        Ok(self.chosen(table, selection)?.into_rows())
    }

    fn chosen(&self, table: &str, selection: &Selection) -> Result<Content, Error> {
        let mut content = self.content(table)?;
        let known = |column: &str| {
            content.columns.iter().any(|name| name == column)
                || schema(table).is_some_and(|schema| schema.columns.iter().any(|c| c == column))
        };
        if let Some(filter) = selection.filters.iter().find(|f| !known(f.column())) {
            let (column, table) = (filter.column().to_string(), table.to_string());
            return Err(FilterError::Column { column, table }.into());
        }
        if !selection.filters.is_empty() {
            let disable = content.columns.iter().position(|name| name == "disable");
            content = content.only(|row| is_enabled(disable.and_then(|at| row[at])));
        }
        for filter in &selection.filters {
            content = fitting(table, &content, filter);
        }
        if let Some(count) = selection.last {
            let filter = after_all_but(table, &content, count)?;
            content = fitting(table, &content, &filter);
        }
        Ok(content)
    }
}

/// xCAT's columns in xCAT's order, then others that hold something. A table that xCAT does not know
/// has only its own.
fn columns(table: &str, content: &Content) -> Vec<String> {
    let Some(schema) = schema(table) else {
        return content.columns.clone();
    };
    let mut columns = schema.columns.clone();
    for (at, column) in content.columns.iter().enumerate() {
        let holds = |row: Vec<Option<&[u8]>>| defined(row[at]).is_some();
        if !schema.columns.contains(column) && content.rows().any(holds) {
            columns.push(column.clone());
        }
    }
    columns
}

fn fitting(table: &str, content: &Content, filter: &Filter) -> Content {
    let at = content
        .columns
        .iter()
        .position(|name| name == filter.column());
    let numbered = schema(table).is_some_and(|schema| schema.is_numbered(filter.column()));
    content.only(|row| filter.holds(at.and_then(|at| row[at]), numbered))
}

/// As tabdump counts: back from the highest number, whether or not the numbers are all there.
fn after_all_but(table: &str, content: &Content, count: u32) -> Result<Filter, Error> {
    let numbered =
        |column: &&String| schema(table).is_some_and(|schema| schema.is_numbered(column));
    let column = content
        .columns
        .iter()
        .find(numbered)
        .ok_or_else(|| FilterError::NotNumbered(table.into()))?;
    let at = content.columns.iter().position(|name| name == column);
    let number = |row: Vec<Option<&[u8]>>| -> Option<i64> {
        std::str::from_utf8(row[at?]?).ok()?.parse().ok()
    };
    let highest = content.rows().filter_map(number).max().unwrap_or(0);
    Ok(Filter::numbered_after(
        column,
        highest.saturating_sub(i64::from(count)),
    ))
}

fn push(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = defined(value) else {
        return;
    };
    out.push(b'"');
    for byte in value {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

/// Undefined values are those that no reader sees.
fn defined(value: Option<&[u8]>) -> Option<&[u8]> {
    value.filter(|value| std::str::from_utf8(value).map_or(true, is_defined))
}
