//! A table's dump as records, read as `tabrestore` reads it (spec xcat-tables section 7).

use crate::RestoreError;
use crate::content::Cell;

/// A dump, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// The columns that the heading names.
    pub columns: Vec<String>,
    /// What follows it.
    pub records: Vec<Record>,
}

/// One row of a dump.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Which line it ends on, counted from 0 after the heading.
    pub line: usize,
    /// As it stands there.
    pub text: String,
    /// Its values, as many as there are columns. A field with nothing in it is none, `""` is the
    /// empty string.
    pub values: Vec<Option<Vec<u8>>>,
}

/// More than any table is.
const LIMIT: usize = 256 << 20;

/// Takes a dump apart. `known` says whether the table has a column of that name.
///
/// White space before a line's end inside a value, and blank lines there, are lost, as tabrestore
/// loses them: who writes by hand may mean none. Not so in a file whose heading begins with all of
/// `columns` in their order, exactly as a dump has it: nobody has edited that, and every byte counts.
pub fn records(
    table: &str,
    dump: &[u8],
    known: impl Fn(&str) -> bool,
    columns: &[String],
) -> Result<Records, RestoreError> {
    if dump.len() > LIMIT {
        return Err(RestoreError::TooLong(LIMIT));
    }
    let mut lines = dump
        .strip_suffix(b"\n")
        .unwrap_or(dump)
        .split(|b| *b == b'\n');
    let header = lines.next().unwrap_or_default();
    let exact = header
        .strip_prefix(format!("#{}", columns.join(",")).as_bytes())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b",") && !ends_in_space(rest));
    let columns = headed(table, header, known)?;
    let lines: Vec<&[u8]> = lines.collect();
    let mut whole = Vec::new();
    let mut shapes = Vec::new();
    let mut next = 0;
    while next < lines.len() {
        let (record, shape) = logical(&lines, &mut next, columns.len(), exact)?;
        whole.extend_from_slice(&record);
        whole.push(b'\n');
        shapes.push((next - 1, record, shape));
    }
    Ok(Records {
        records: values(&whole, shapes, columns.len()),
        columns,
    })
}

fn headed(
    table: &str,
    header: &[u8],
    known: impl Fn(&str) -> bool,
) -> Result<Vec<String>, RestoreError> {
    let Some(names) = header.strip_prefix(b"#") else {
        return Err(RestoreError::NoHeader);
    };
    let names = String::from_utf8_lossy(names).replace('"', "");
    let mut columns: Vec<String> = Vec::new();
    // Perl's split gives nothing for nothing, and drops empty fields at the end.
    let names = names.trim_end_matches(is_space).trim_end_matches(',');
    for name in names.split(',').filter(|_| !names.is_empty()) {
        if !known(name) {
            return Err(RestoreError::UnknownColumn {
                column: name.into(),
                table: table.into(),
            });
        }
        if columns.iter().any(|column| column == name) {
            return Err(RestoreError::Twice(name.into()));
        }
        columns.push(name.into());
    }
    Ok(columns)
}

/// What stands in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Nothing,
    Something,
}

/// One record, which may go on over several lines, checked and its fields counted. `next` becomes
/// the line after it.
fn logical(
    lines: &[&[u8]],
    next: &mut usize,
    width: usize,
    exact: bool,
) -> Result<(Vec<u8>, Vec<Shape>), RestoreError> {
    let first = *next;
    let mut record = lines.get(first).copied().unwrap_or_default().to_vec();
    trim(&mut record, 0, exact);
    *next += 1;
    let mut shape = Vec::with_capacity(width);
    let mut at = 0;
    while shape.len() < width {
        match record.get(at) {
            None => shape.push(Shape::Nothing),
            Some(b',') => {
                shape.push(Shape::Nothing);
                at += 1;
            }
            Some(b'"') => {
                at = quoted(lines, next, &mut record, at, exact)?;
                shape.push(Shape::Something);
            }
            Some(_) => {
                let rest = &record[at..];
                let length = rest.iter().position(|b| *b == b',').unwrap_or(rest.len());
                if rest[..length].contains(&b'"') {
                    let record = shown(&record);
                    let line = *next - 1;
                    return Err(RestoreError::MissingQuote { line, at, record });
                }
                at = (at + length + 1).min(record.len());
                shape.push(Shape::Something);
            }
        }
    }
    if at < record.len() {
        return Err(RestoreError::TooManyFields {
            line: *next - 1,
            rest: shown(&record[at..]),
            record: shown(&record),
        });
    }
    if shape.iter().all(|field| *field == Shape::Nothing) {
        // xCAT's writer refuses a row without a value, and gives no reason.
        return Err(RestoreError::Refused {
            why: if record.is_empty() {
                "the line is blank"
            } else {
                "the record has no value"
            }
            .into(),
            line: *next - 1,
            record: shown(&record),
        });
    }
    Ok((record, shape))
}

/// Goes over a quoted field that begins at `at`; returns where the next field begins. A quote that
/// is not closed goes on in the next line.
fn quoted(
    lines: &[&[u8]],
    next: &mut usize,
    record: &mut Vec<u8>,
    at: usize,
    exact: bool,
) -> Result<usize, RestoreError> {
    let mut look = at + 1;
    loop {
        let Some(found) = record[look.min(record.len())..]
            .iter()
            .position(|b| *b == b'"')
        else {
            let Some(more) = lines.get(*next) else {
                return Err(RestoreError::UnmatchedQuote {
                    line: *next,
                    at,
                    record: shown(record),
                });
            };
            *next += 1;
            // What was looked through holds no quote; trimming takes none away either.
            record.push(b'\n');
            record.extend_from_slice(more);
            if !exact {
                trim(record, 0, false);
            }
            look = look.min(record.len());
            continue;
        };
        let quote = look + found;
        trim(record, quote + 1, exact);
        match record.get(quote + 1) {
            Some(b'"') => look = quote + 2,
            None => return Ok(quote + 1),
            Some(b',') => return Ok(quote + 2),
            Some(_) => {
                return Err(RestoreError::UnescapedQuote {
                    line: *next - 1,
                    at,
                    record: shown(record),
                });
            }
        }
    }
}

/// The fields' values. What they are is the csv crate's business; where nothing stands is ours, since
/// it is not the same as an empty text.
fn values(whole: &[u8], shapes: Vec<(usize, Vec<u8>, Vec<Shape>)>, width: usize) -> Vec<Record> {
    let reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(whole);
    let parsed = reader.into_byte_records().map(Result::unwrap_or_default);
    shapes
        .into_iter()
        .zip(parsed)
        .map(|((line, text, shape), fields)| {
            let value = |at: usize| -> Cell {
                match shape.get(at) {
                    Some(Shape::Something) => fields.get(at).map(<[u8]>::to_vec),
                    _ => None,
                }
            };
            Record {
                line,
                text: shown(&text),
                values: (0..width).map(value).collect(),
            }
        })
        .collect()
}

/// Takes white space off the end. Of an exact file only if no quote stands behind `from`: else the end
/// is inside a value.
fn trim(record: &mut Vec<u8>, from: usize, exact: bool) {
    if exact && record[from.min(record.len())..].contains(&b'"') {
        return;
    }
    let end = record.iter().rposition(|b| !is_space(char::from(*b)));
    record.truncate(end.map_or(0, |end| end + 1));
}

fn ends_in_space(line: &[u8]) -> bool {
    line.last().is_some_and(|b| is_space(char::from(*b)))
}

/// Perl's `\s`, on bytes.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn shown(record: &[u8]) -> String {
    String::from_utf8_lossy(record).into_owned()
}
