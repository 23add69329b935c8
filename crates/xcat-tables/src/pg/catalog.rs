//! Which tables there are, and what is in them.

use std::collections::BTreeMap;

use postgres::Client;
use postgres::types::ToSql;

use super::failure::failure;
use super::session::parameters;
use crate::Error;
use crate::content::{Content, quoted};
use crate::engine::Open;

/// The columns of the named tables in their order, with their place in the primary key. The
/// server's own tables are none of xCAT's, and one that is asked for twice has its columns once.
const COLUMNS: &str = "
    SELECT wanted, CAST(a.attname AS text), a.attcollation <> 0,
           array_position(CAST(i.indkey AS int2[]), a.attnum)
    FROM (SELECT DISTINCT unnest($1)) AS names(wanted)
    JOIN pg_class c ON c.oid = to_regclass(quote_ident(wanted))
     AND c.relnamespace <> CAST('pg_catalog' AS regnamespace)
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    ORDER BY wanted, a.attnum";

/// Those of the named tables that exist.
pub(super) fn catalog(
    client: &mut Client,
    names: &[&str],
) -> Result<BTreeMap<String, Open>, Error> {
    let first = names.first().copied().unwrap_or("tables");
    let error = failure(first);
    let mut found: BTreeMap<String, Open> = BTreeMap::new();
    let mut keys: BTreeMap<(String, i32), String> = BTreeMap::new();
    let wanted: Vec<&str> = names.to_vec();
    let rows = client.query_typed(COLUMNS, &[(&wanted, postgres::types::Type::TEXT_ARRAY)]);
    for row in rows.map_err(&error)? {
        let mut read = || -> Result<(), postgres::Error> {
            let (table, column): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let (text, key): (bool, Option<i32>) = (row.try_get(2)?, row.try_get(3)?);
            if let Some(place) = key {
                // Bytewise, whatever the server's language.
                let order = if text { " COLLATE \"C\"" } else { "" };
                let term = format!("t.{}{order}", quoted(&column));
                keys.insert((table.clone(), place), term);
            }
            let open = found.entry(table.clone()).or_insert_with(|| Open {
                target: quoted(&table),
                columns: Vec::new(),
                order: String::new(),
                table,
            });
            open.columns.push(column);
            Ok(())
        };
        read().map_err(&error)?;
    }
    for open in found.values_mut() {
        let of_table = keys.iter().filter(|((table, _), _)| *table == open.table);
        let mut terms: Vec<&str> = of_table.map(|(_, term)| term.as_str()).collect();
        // Without a key: as the server stores them.
        if terms.is_empty() {
            terms.push("t.ctid");
        }
        open.order = terms.join(", ");
    }
    Ok(found)
}

/// Rows in the order of the key. `condition` is SQL after the table's name.
pub(super) fn content(
    client: &mut Client,
    open: &Open,
    condition: &str,
    values: &[Option<&[u8]>],
) -> Result<Content, Error> {
    let error = failure(&open.table);
    let columns = open
        .columns
        .iter()
        .map(|column| format!("CAST({} AS text)", quoted(column)));
    let text = format!(
        "SELECT {} FROM {} AS t {condition} ORDER BY {}",
        columns.collect::<Vec<_>>().join(", "),
        open.target,
        open.order
    );
    let statement = client.prepare(&text).map_err(&error)?;
    let values = parameters(&open.table, statement.params(), values)?;
    let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(AsRef::as_ref).collect();
    let rows = client.query(&statement, &values).map_err(&error)?;
    let mut content = Content::new(open.columns.clone());
    for row in rows {
        for at in 0..open.columns.len() {
            let text: Option<&str> = row.try_get(at).map_err(&error)?;
            content.push(text.map(str::as_bytes));
        }
    }
    Ok(content)
}
