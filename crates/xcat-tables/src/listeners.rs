//! Who has asked xCAT to be told of changes (the `notification` table).

use crate::{Error, Tables};

/// A row of `notification`: a module or command that xCAT's own writers call after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The module or command.
    pub name: String,
    /// Which of the tables that were asked for it listens to.
    pub table: String,
}

impl Tables {
    /// Who listens for changes of these tables. Nothing that writes through this crate calls them:
    /// they are Perl modules that run inside xCAT's daemon.
    pub fn listeners(&self, tables: &[&str]) -> Result<Vec<Listener>, Error> {
        let mut found = Vec::new();
        for row in self.rows("notification")? {
            let heard: Vec<&str> = row
                .get("tables")
                .map_or_else(Vec::new, |text| text.split(',').map(str::trim).collect());
            for table in tables.iter().filter(|table| heard.contains(table)) {
                found.push(Listener {
                    name: row.get("filename").unwrap_or_default().into(),
                    table: (*table).into(),
                });
            }
        }
        Ok(found)
    }
}
