//! Rows from a dump into a table.

use std::collections::HashSet;
use std::path::Path;

use crate::content::Cell;
use crate::engine::Make;
use crate::records::{Records, records};
use crate::{Error, RestoreError, Tables, Transaction, schema};

/// The name of the table that a dump belongs to: the file's, up to the first dot.
pub fn table_of(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    name.split('.').next().filter(|table| !table.is_empty())
}

impl Tables {
    /// Replaces the rows of `table` by those of a dump, or adds them (`add`). All of them or none. A
    /// table of xCAT's that does not exist is made, as tabrestore does. Columns that the database
    /// numbers are numbered anew. `subject` names the dump in errors.
    pub fn restore(
        &self,
        table: &str,
        subject: &str,
        dump: &[u8],
        add: bool,
    ) -> Result<usize, Error> {
        let existing = self.content(table)?.columns;
        let dump = read(table, subject, dump, &existing)?;
        self.change(&[table], Make::Known(&Default::default()), |session| {
            fill(&session.transaction(), table, subject, &dump, add)
        })
    }
}

/// Takes a dump apart whose columns are those of the table or of xCAT's schema.
pub(crate) fn read(
    table: &str,
    subject: &str,
    dump: &[u8],
    existing: &[String],
) -> Result<Records, Error> {
    let known = |column: &str| {
        existing.iter().any(|name| name == column)
            || schema(table).is_some_and(|schema| schema.columns.iter().any(|c| c == column))
    };
    let columns = schema(table).map_or(existing, |schema| &schema.columns);
    records(table, dump, known, columns).map_err(|error| Error::Restore {
        subject: subject.into(),
        error,
    })
}

/// Stores the rows of a dump; says how many.
pub(crate) fn fill(
    change: &Transaction<'_>,
    table: &str,
    subject: &str,
    dump: &Records,
    add: bool,
) -> Result<usize, Error> {
    if !add {
        change.delete(table, &[])?;
    }
    let numbered = |column: &str| schema(table).is_some_and(|schema| schema.is_numbered(column));
    let is_key = |column: &String| schema(table).is_some_and(|schema| schema.keys.contains(column));
    // A column of xCAT's that an older table lacks is only missed if there is a value for it.
    let there = change.columns(table)?;
    let empty = |at: usize| {
        dump.records
            .iter()
            .all(|record| record.values[at].is_none())
    };
    let places: Vec<usize> = (0..dump.columns.len())
        .filter(|at| !numbered(&dump.columns[*at]))
        .filter(|at| there.contains(&dump.columns[*at]) || !empty(*at))
        .collect();
    // A row that says nothing new is no duplicate: xCAT's writer finds it and changes it to itself.
    // But events that the database numbers may be alike, and each of them happened.
    let alike = schema(table).is_some_and(|schema| schema.columns.iter().any(|c| numbered(c)));
    let mut present = present(change, table, &dump.columns, &places)?;
    for record in &dump.records {
        let values: Vec<Cell> = places.iter().map(|at| record.values[*at].clone()).collect();
        if present.contains(&values) {
            continue;
        }
        if !alike {
            present.insert(values.clone());
        }
        let row: Vec<(&str, Option<&[u8]>)> = places
            .iter()
            .zip(&values)
            // A key that is not given becomes the empty string.
            .filter(|(at, value)| value.is_some() || !is_key(&dump.columns[**at]))
            .map(|(at, value)| (dump.columns[*at].as_str(), value.as_deref()))
            .collect();
        change
            .insert_bytes(table, &row)
            .map_err(|error| match error {
                Error::Constraint { why, .. } => Error::Restore {
                    subject: subject.into(),
                    error: RestoreError::Refused {
                        why,
                        line: record.line,
                        record: record.text.clone(),
                    },
                },
                other => other,
            })?;
    }
    Ok(dump.records.len())
}

fn present(
    change: &Transaction<'_>,
    table: &str,
    columns: &[String],
    places: &[usize],
) -> Result<HashSet<Vec<Cell>>, Error> {
    let content = change.content(table, &[])?;
    let sources: Vec<Option<usize>> = places
        .iter()
        .map(|at| {
            content
                .columns
                .iter()
                .position(|name| *name == columns[*at])
        })
        .collect();
    let project = |row: Vec<Option<&[u8]>>| -> Vec<Cell> {
        let cell = |source: &Option<usize>| row[(*source)?].map(<[u8]>::to_vec);
        sources.iter().map(cell).collect()
    };
    Ok(content.rows().map(project).collect())
}
