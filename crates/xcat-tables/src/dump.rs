//! A table as text, in tabdump's form (spec xcat-tables section 7).

use crate::content::Cell;
use crate::row::is_defined;
use crate::{Error, Tables, schema};

impl Tables {
    /// A table's rows as `tabdump` prints them, disabled ones too: a heading that starts with `#`,
    /// then one record per row in the order of insertion, every defined value in quotes. Bytes pass
    /// through. NULL and the empty string look the same.
    pub fn dump(&self, table: &str) -> Result<Vec<u8>, Error> {
        let content = self.content(table)?;
        // xCAT's columns in xCAT's order; a table that xCAT does not know has only its own.
        let columns: &[String] = schema(table).map_or(&content.columns, |schema| &schema.columns);
        let places: Vec<Option<usize>> = columns
            .iter()
            .map(|column| content.columns.iter().position(|name| name == column))
            .collect();
        let mut out = format!("#{}\n", columns.join(",")).into_bytes();
        for row in &content.rows {
            for (at, place) in places.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                push(&mut out, place.and_then(|place| row.get(place)));
            }
            out.push(b'\n');
        }
        Ok(out)
    }
}

fn push(out: &mut Vec<u8>, cell: Option<&Cell>) {
    let Some(Some(value)) = cell else { return };
    // Undefined values are those that no reader sees.
    if std::str::from_utf8(value).is_ok_and(|text| !is_defined(text)) {
        return;
    }
    out.push(b'"');
    for byte in value {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}
