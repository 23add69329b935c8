//! The rows that say which state a node is in and which comes next.

use std::collections::BTreeMap;

use xcat_tables::{Tables, Transaction};

/// `currstate` and `currchain` of each node, all rows or none.
pub(crate) fn put_chain(
    tables: &Tables,
    rows: &BTreeMap<&String, (&str, &str)>,
) -> Result<(), xcat_tables::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    tables.transaction(&["chain"], |change: &Transaction| {
        for (node, (state, chain)) in rows {
            change.put(
                "chain",
                &[("node", node)],
                &[("currstate", Some(state)), ("currchain", Some(chain))],
            )?;
        }
        Ok(())
    })
}
