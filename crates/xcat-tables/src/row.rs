//! One row.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A row of a table, or what the tables say of a node in one table. Values by column name.
///
/// Values are text; bytes that are not UTF-8 read as U+FFFD (dumps keep them).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Option<String>>,
    // Many rows of one group share theirs.
    notes: Option<Arc<Notes>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Notes {
    failures: BTreeMap<String, String>,
    groups: BTreeMap<String, String>,
}

impl Row {
    /// The value, if it is defined: NULL, the empty string and a lone newline are not
    /// (spec xcat-tables section 3).
    pub fn get(&self, column: &str) -> Option<&str> {
        self.raw(column).filter(|value| is_defined(value))
    }

    /// The value as it is stored; none if it is NULL or there is no such column.
    pub fn raw(&self, column: &str) -> Option<&str> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.values.get(at)?.as_deref()
    }

    /// Columns and stored values, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let values = self.values.iter().map(Option::as_deref);
        self.columns.iter().map(String::as_str).zip(values)
    }

    /// Why the column has no value although the tables hold one for it: an expression that could
    /// not be evaluated for this node.
    pub fn failure(&self, column: &str) -> Option<&str> {
        let notes = self.notes.as_deref()?;
        notes.failures.get(column).map(String::as_str)
    }

    /// The group that the value came from; none if it is the node's own.
    pub fn group(&self, column: &str) -> Option<&str> {
        let notes = self.notes.as_deref()?;
        notes.groups.get(column).map(String::as_str)
    }

    /// True unless the `disable` column says otherwise: NULL, `0` and `no` in any case do not
    /// disable, anything else does, the empty string included.
    pub fn is_enabled(&self) -> bool {
        is_enabled(self.raw("disable").map(str::as_bytes))
    }

    pub(crate) fn new(columns: Arc<[String]>, values: Vec<Option<String>>) -> Row {
        Row {
            columns,
            values,
            notes: None,
        }
    }

    pub(crate) fn set(&mut self, column: &str, value: Option<String>) {
        if let Some(at) = self.columns.iter().position(|name| name == column)
            && let Some(slot) = self.values.get_mut(at)
        {
            *slot = value;
        }
    }

    pub(crate) fn note_group(&mut self, column: &str, group: &str) {
        let notes = Arc::make_mut(self.notes.get_or_insert_default());
        notes.groups.insert(column.into(), group.into());
    }

    pub(crate) fn note_failure(&mut self, column: &str, why: String) {
        let notes = Arc::make_mut(self.notes.get_or_insert_default());
        notes.failures.insert(column.into(), why);
    }
}

impl FromIterator<(String, Option<String>)> for Row {
    fn from_iter<T: IntoIterator<Item = (String, Option<String>)>>(cells: T) -> Row {
        let (columns, values): (Vec<_>, Vec<_>) = cells.into_iter().unzip();
        Row::new(columns.into(), values)
    }
}

/// What the `disable` column has to hold for its row to count.
pub(crate) fn is_enabled(disable: Option<&[u8]>) -> bool {
    disable.is_none_or(|value| value == b"0" || value.eq_ignore_ascii_case(b"no"))
}

/// What counts as a value.
pub(crate) fn is_defined(value: &str) -> bool {
    !value.is_empty() && value != "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disabled(value: Option<&str>) -> bool {
        !Row::from_iter([("disable".to_string(), value.map(String::from))]).is_enabled()
    }

    #[test]
    fn what_disables_a_row() {
        for value in [
            None,
            Some("0"),
            Some("no"),
            Some("No"),
            Some("nO"),
            Some("NO"),
        ] {
            assert!(!disabled(value), "{value:?}");
        }
        for value in ["", "1", "yes", "n", "false", "no ", "00"] {
            assert!(disabled(Some(value)), "{value:?}");
        }
    }

    #[test]
    fn what_is_defined() {
        let row = Row::from_iter([
            ("a".to_string(), Some(String::new())),
            ("b".to_string(), Some("\n".to_string())),
            ("c".to_string(), Some("0".to_string())),
            ("d".to_string(), None),
        ]);
        assert_eq!(
            [row.get("a"), row.get("b"), row.get("d"), row.get("e")],
            [None; 4]
        );
        assert_eq!(
            (row.get("c"), row.raw("a"), row.raw("d")),
            (Some("0"), Some(""), None)
        );
    }
}
