//! What is wrong with a dump.

/// What is wrong with a dump; the texts are tabrestore's. Lines are counted from 0, after the
/// heading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The first line is no heading.
    #[error("Data missing header line starting with #")]
    NoHeader,
    /// The heading names a column that the table does not have.
    #[error(
        "The header line indicates that column '{column}' should exist, which is not defined in the schema for '{table}'"
    )]
    UnknownColumn {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// The heading names a column twice.
    #[error("The header line names column '{0}' twice")]
    Twice(String),
    /// More fields than the heading has.
    #[error("Too many fields on line {line}: {record} | {rest}")]
    TooManyFields {
        /// Which line.
        line: usize,
        /// The record.
        record: String,
        /// What is left of it.
        rest: String,
    },
    /// A field with quotes in it that does not begin with one.
    #[error(
        "CSV missing opening \" for record with \" characters on line {line}, character {at}: {record}"
    )]
    MissingQuote {
        /// Which line.
        line: usize,
        /// Where the field begins.
        at: usize,
        /// The record.
        record: String,
    },
    /// A quote inside a field that is not doubled.
    #[error("CSV unescaped \" in record on line {line}, character {at}: {record}")]
    UnescapedQuote {
        /// Which line.
        line: usize,
        /// Where the field begins.
        at: usize,
        /// The record.
        record: String,
    },
    /// A quote that never ends.
    #[error("CSV unmatched \" in record on line {line}, character {at}: {record}")]
    UnmatchedQuote {
        /// Which line.
        line: usize,
        /// Where the field begins.
        at: usize,
        /// The record.
        record: String,
    },
    /// The database refused the record.
    #[error("DB error {why} with line {line}: {record}")]
    Refused {
        /// What it said.
        why: String,
        /// Which line.
        line: usize,
        /// The record.
        record: String,
    },
    /// The file cannot be what a dump is.
    #[error("longer than {0} bytes")]
    TooLong(usize),
}
