//! The tables, as programs use them.

use std::collections::BTreeMap;

use crate::content::Content;
use crate::engine::{self, Make, Session, Visit};
use crate::{Attributes, Error, Location, Row, Transaction, resolve, schema};

/// A set of tables. Holds no connection: each call opens what it needs and closes it before it
/// returns, so that a fork at any time takes none along. Reading creates nothing; a table of xCAT's
/// that does not exist reads as empty.
#[derive(Debug, Clone)]
pub struct Tables {
    location: Location,
}

impl Tables {
    /// Looks whether there is such a place: a directory, or a server that lets us in. An empty one
    /// is a place: its tables are empty.
    pub fn open(location: &Location) -> Result<Tables, Error> {
        location.check()?;
        Ok(Tables {
            location: location.clone(),
        })
    }

    /// Where they are.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The enabled rows of a table, in insertion order (PostgreSQL: in the order of the key).
    pub fn rows(&self, table: &str) -> Result<Vec<Row>, Error> {
        Ok(self.content(table)?.into_enabled_rows().collect())
    }

    /// The rows of a table, disabled ones too.
    pub fn all_rows(&self, table: &str) -> Result<Vec<Row>, Error> {
        Ok(self.content(table)?.into_rows().collect())
    }

    /// The enabled rows that hold all these values, in the order of the key: no groups, nothing
    /// evaluated. Looking for the empty text finds NULL, as xCAT's lookup does.
    pub fn rows_where(&self, table: &str, wanted: &[(&str, &str)]) -> Result<Vec<Row>, Error> {
        let mut rows = self.rows(table)?;
        rows.retain(|row| {
            wanted.iter().all(|(column, value)| match *value {
                "" | "0" => row.raw(column).is_none(),
                value => row.raw(column) == Some(value),
            })
        });
        resolve::by_key(table, &mut rows);
        Ok(rows)
    }

    /// The nodes that rows of the table speak of, sorted: the node column is a range there, with
    /// groups and all. Names that are no nodes are left out.
    pub fn nodes_with_rows(&self, table: &str) -> Result<Vec<String>, Error> {
        let column = schema(table).map_or("node", |schema| schema.node_column());
        let names = self.names()?;
        let options = noderange::Options::default();
        let mut nodes = std::collections::BTreeSet::new();
        for row in self.rows(table)? {
            if let Some(range) = row.get(column) {
                nodes.extend(noderange::expand(range, &names, &options)?.nodes);
            }
        }
        Ok(nodes.into_iter().collect())
    }

    /// What the tables say of each of `nodes` in these columns of `table`: the nodes' own rows,
    /// completed from their groups, expressions evaluated (spec xcat-tables sections 4 and 5). A
    /// node without any value is not in the map. One query for the table and one for `nodelist`,
    /// however many nodes.
    ///
    /// An expression that cannot be evaluated is that value's failure ([`Row::failure`]), nobody
    /// else's.
    pub fn attributes(
        &self,
        table: &str,
        columns: &[&str],
        nodes: &[String],
    ) -> Result<BTreeMap<String, Vec<Row>>, Error> {
        resolve::attributes(self, table, columns, nodes)
    }

    /// As [`Tables::attributes`], of several tables at once, and node by node: for so many nodes that
    /// not all of their rows are wanted in memory.
    pub fn attributes_of(&self, wanted: &[(&str, Vec<&str>)]) -> Result<Attributes, Error> {
        Attributes::read(self, wanted)
    }

    /// The first value of each node in one column; nodes without one are not in the map. A value
    /// that cannot be evaluated counts as none: who has to tell the difference asks
    /// [`Tables::attributes`].
    pub fn attribute(
        &self,
        table: &str,
        column: &str,
        nodes: &[String],
    ) -> Result<BTreeMap<String, String>, Error> {
        let found = self.attributes(table, &[column], nodes)?;
        Ok(found
            .into_iter()
            .filter_map(|(node, rows)| {
                let value = rows.iter().find_map(|row| row.get(column))?;
                Some((node, value.to_string()))
            })
            .collect())
    }

    /// A site-wide setting, if it is defined.
    pub fn site(&self, key: &str) -> Result<Option<String>, Error> {
        Ok(setting(&self.rows("site")?, key))
    }

    /// Changes several tables, all of it or nothing: if `work` fails, if the process is killed or the
    /// machine loses power, every table is as it was. Only the tables named here can be used in
    /// `work`. Other writers are kept out until it returns.
    ///
    /// A lock held by somebody else is waited for, 10 seconds in all, then the error is
    /// [`Error::Busy`]. A table that does not exist is [`Error::MissingTable`]; only `taskstate` is
    /// made on demand. The change notification of xCAT's `notification` table is not sent: that is a
    /// service of xCAT's own writers.
    pub fn transaction<R, E: From<Error>>(
        &self,
        tables: &[&str],
        work: impl FnOnce(&Transaction<'_>) -> Result<R, E>,
    ) -> Result<R, E> {
        self.change(tables, Make::Claims, |session| work(&session.transaction()))
    }

    pub(crate) fn change<R, E: From<Error>>(
        &self,
        tables: &[&str],
        make: Make<'_>,
        work: impl FnOnce(&Session) -> Result<R, E>,
    ) -> Result<R, E> {
        let session = Session::begin(&self.location, tables, make)?;
        // On an error the connection closes, and the database rolls back.
        let result = work(&session)?;
        session.commit()?;
        Ok(result)
    }

    /// All of a table as it is stored.
    pub(crate) fn content(&self, table: &str) -> Result<Content, Error> {
        let [content] = self.contents([table])?;
        Ok(content)
    }

    /// The enabled rows of several tables, see [`engine::scan`]; answers each table's columns.
    pub(crate) fn scan(
        &self,
        wanted: &[(&str, Vec<&str>)],
        visit: Visit<'_>,
    ) -> Result<Vec<Vec<String>>, Error> {
        let found = engine::scan(&self.location, wanted, visit)?;
        let columns = wanted.iter().zip(found).map(|((table, _), found)| {
            let known = || schema(table).map(|schema| schema.columns.clone());
            found
                .or_else(known)
                .ok_or_else(|| Error::UnknownTable((*table).into()))
        });
        columns.collect()
    }

    /// All of several tables as they are stored: on a server with one connection, as of one moment.
    pub(crate) fn contents<const N: usize>(
        &self,
        tables: [&str; N],
    ) -> Result<[Content; N], Error> {
        let found = engine::read(&self.location, &tables)?;
        let mut contents = [(); N].map(|()| Content::default());
        for ((table, found), content) in tables.iter().zip(found).zip(&mut contents) {
            *content = match (found, schema(table)) {
                (Some(found), _) => found,
                (None, Some(schema)) => Content::new(schema.columns.clone()),
                (None, None) => return Err(Error::UnknownTable((*table).into())),
            };
        }
        Ok(contents)
    }
}

/// The site-wide setting among the rows of `site`.
pub(crate) fn setting(rows: &[Row], key: &str) -> Option<String> {
    let row = rows.iter().find(|row| row.raw("key") == Some(key))?;
    row.get("value").map(String::from)
}
