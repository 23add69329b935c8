//! xCAT's tables as xCAT makes them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::content::quoted;

/// One table of xCAT's schema (`xCAT::Schema`).
#[derive(Debug, Deserialize)]
pub struct TableSchema {
    /// The columns, in the order of creation and of dumps.
    pub columns: Vec<String>,
    /// The primary key.
    pub keys: Vec<String>,
    /// Types that are not `TEXT`.
    #[serde(default)]
    types: BTreeMap<String, String>,
    /// Columns that may not be NULL.
    #[serde(default)]
    not_null: Vec<String>,
    /// The column that names the node, if it is not `node`.
    #[serde(default)]
    nodecol: Option<String>,
}

#[derive(Deserialize)]
struct File {
    tables: BTreeMap<String, TableSchema>,
}

// Read back from databases that xCAT's own code made. A test parses it: it cannot be broken here.
static SCHEMA: LazyLock<BTreeMap<String, TableSchema>> = LazyLock::new(|| {
    serde_json::from_str::<File>(include_str!("schema.json"))
        .map(|file| file.tables)
        .unwrap_or_default()
});

/// The schema of `table`, if xCAT has such a table.
pub fn schema(table: &str) -> Option<&'static TableSchema> {
    SCHEMA.get(table)
}

/// The names of all of xCAT's tables, bytewise sorted.
pub fn table_names() -> impl Iterator<Item = &'static str> {
    SCHEMA.keys().map(String::as_str)
}

impl TableSchema {
    /// The column whose value is the node's name.
    pub fn node_column(&self) -> &str {
        self.nodecol.as_deref().unwrap_or("node")
    }

    /// True if the database numbers this column itself.
    pub fn is_numbered(&self, column: &str) -> bool {
        self.types.get(column).is_some_and(|kind| kind == "INTEGER")
    }

    /// What makes the table, with `target` (quoted, perhaps with a database in front) as its name:
    /// types, keys and their order are xCAT's. `numbered` is how the engine declares a key that it
    /// numbers itself.
    pub(crate) fn create_statement(&self, target: &str, numbered: &str) -> String {
        let mut parts: Vec<String> = self
            .columns
            .iter()
            .map(|column| self.declaration(column, numbered))
            .collect();
        // A column that numbers itself carries the key in its own declaration.
        if !self.keys.iter().any(|key| self.is_numbered(key)) {
            let keys: Vec<String> = self.keys.iter().map(|key| quoted(key)).collect();
            parts.push(format!("PRIMARY KEY ({})", keys.join(",")));
        }
        format!("CREATE TABLE {target} (\n  {}\n)", parts.join(",\n  "))
    }

    fn declaration(&self, column: &str, numbered: &str) -> String {
        let name = quoted(column);
        if self.is_numbered(column) {
            return format!("{name} {numbered}");
        }
        let kind = self.types.get(column).map_or("TEXT", String::as_str);
        let required = if self.not_null.iter().any(|name| name == column) {
            " NOT NULL"
        } else {
            ""
        };
        format!("{name} {kind}{required}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_compiled_in_schema_parses() {
        assert_eq!(table_names().count(), 73);
        for name in table_names() {
            let table = schema(name).unwrap();
            assert!(table.columns.contains(&"disable".into()), "{name}");
            assert!(table.keys.iter().all(|key| table.columns.contains(key)));
        }
    }

    #[test]
    fn node_columns() {
        assert_eq!(schema("nodehm").unwrap().node_column(), "node");
        assert_eq!(schema("mpa").unwrap().node_column(), "mpa");
    }
}
