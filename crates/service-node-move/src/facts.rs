//! What the tables say of the nodes that move, read by set.

use std::collections::{BTreeMap, BTreeSet};

use xcat_tables::{Network, Row, Tables};

use crate::{Error, Request};

/// Columns of `noderes` that can name a service node.
pub(crate) const NODERES: [&str; 5] = [
    "servicenode",
    "xcatmaster",
    "tftpserver",
    "nfsserver",
    "monserver",
];
/// Columns that name the hardware control point of a node; never changed here.
const CONTROL: [(&str, &str); 3] = [("ppc", "hcp"), ("mp", "mpa"), ("nodehm", "power")];
/// Where xCAT keeps what it installs, unless the site says otherwise.
const INSTALL: &str = "/install";
/// The group that xCAT's documents put service nodes into.
const SERVICE_GROUP: &str = "service";

/// The tables' side of a plan.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The nodes that are asked for.
    pub nodes: BTreeMap<String, Node>,
    /// IPv4 rows of `networks`.
    pub networks: Vec<Network>,
    /// `postscripts` of `xcatdefaults`, and its `postbootscripts`.
    pub defaults: [String; 2],
    /// The rows of `servicenode`, by host.
    pub service_nodes: BTreeMap<String, Row>,
    /// The directory that a service node must have for an image to boot or install from it.
    pub images: BTreeMap<String, String>,
    /// All of `nodelist`.
    pub names: BTreeSet<String>,
    /// `site.master`.
    pub master: Option<String>,
    /// `site.installdir`: what nodes mount from their NFS server.
    pub install_directory: String,
    /// Every service node's DHCP server knows only its own nodes (`site.disjointdhcps`).
    pub disjoint_dhcps: bool,
}

/// One node.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// `noderes.servicenode`, elements trimmed; empty: the management node serves it.
    pub pool: Vec<String>,
    /// What it has in effect, by table and column; nothing that is empty.
    pub values: BTreeMap<(&'static str, &'static str), String>,
    /// Its own rows, by table, as they are stored.
    pub own: BTreeMap<&'static str, Row>,
    /// It is a service node itself.
    pub serves: bool,
}

impl Node {
    /// A value in effect.
    pub fn value(&self, table: &'static str, column: &'static str) -> Option<&str> {
        self.values.get(&(table, column)).map(String::as_str)
    }

    /// AIX, as `nodetype.os` says; anything else is Linux.
    pub fn is_aix(&self) -> bool {
        self.value("nodetype", "os") == Some("AIX")
    }
}

impl Facts {
    /// Reads everything about the nodes of a request. Without nodes: about those whose first service node is
    /// the source (those without any have `site.master`); service nodes among them stay where they are.
    ///
    /// # Errors
    /// What the tables say; [`Error::Value`] for a value that cannot be evaluated: a node must not be moved by
    /// half of what is known.
    pub fn read(tables: &Tables, request: &Request) -> Result<Facts, Error> {
        let names: BTreeSet<String> = tables
            .rows("nodelist")?
            .iter()
            .filter_map(|row| row.get("node").map(str::to_string))
            .collect();
        let master = tables.site("master")?;
        let serving = serving(tables)?;
        let asked: Vec<String> = match (&request.nodes, &request.source) {
            (Some(nodes), _) => nodes.clone(),
            (None, source) => {
                let all: Vec<String> = names.iter().cloned().collect();
                served_by(
                    tables,
                    all,
                    source.as_deref().unwrap_or_default(),
                    master.as_deref(),
                    &serving,
                )?
            }
        };
        let mut nodes: BTreeMap<String, Node> = asked
            .iter()
            .map(|node| {
                let serves = serving.contains(node);
                (
                    node.clone(),
                    Node {
                        serves,
                        ..Node::default()
                    },
                )
            })
            .collect();
        fill(tables, "noderes", &NODERES, &mut nodes)?;
        fill(tables, "noderes", &["nfsdir"], &mut nodes)?;
        fill(tables, "nodehm", &["conserver", "mgt"], &mut nodes)?;
        fill(tables, "nodetype", &["os", "provmethod"], &mut nodes)?;
        fill(
            tables,
            "postscripts",
            &["postscripts", "postbootscripts"],
            &mut nodes,
        )?;
        for (table, column) in CONTROL {
            fill(tables, table, &[column], &mut nodes)?;
        }
        for node in nodes.values_mut() {
            node.pool = pool(node.value("noderes", "servicenode").unwrap_or_default());
        }
        for table in ["noderes", "nodehm"] {
            for row in tables.all_rows(table)? {
                if let Some(node) = row.raw("node").and_then(|name| nodes.get_mut(name)) {
                    node.own.insert(table, row);
                }
            }
        }
        let defaults = tables.rows_where("postscripts", &[("node", "xcatdefaults")])?;
        let default = |column| {
            let value = defaults.first().and_then(|row| row.get(column));
            value.unwrap_or_default().to_string()
        };
        Ok(Facts {
            nodes,
            networks: tables
                .rows("networks")?
                .iter()
                .filter_map(Network::of)
                .collect(),
            defaults: [default("postscripts"), default("postbootscripts")],
            service_nodes: service_rows(tables)?,
            images: images(tables)?,
            names,
            master,
            install_directory: tables
                .site("installdir")?
                .unwrap_or_else(|| INSTALL.to_string()),
            disjoint_dhcps: is_set(tables.site("disjointdhcps")?.as_deref()),
        })
    }
}

/// xCAT's words for yes in `site` and `servicenode`.
pub(crate) fn is_set(value: Option<&str>) -> bool {
    let value = value.map(|value| value.trim().to_ascii_lowercase());
    matches!(value.as_deref(), Some("1" | "y" | "yes" | "2"))
}

/// The elements of a list of service nodes, trimmed: the original keeps blanks and then looks for a host whose
/// name begins with one.
pub(crate) fn pool(list: &str) -> Vec<String> {
    let names = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_string).collect()
}

/// Puts into `nodes` what is in effect for them in these columns.
fn fill(
    tables: &Tables,
    table: &'static str,
    columns: &[&'static str],
    nodes: &mut BTreeMap<String, Node>,
) -> Result<(), Error> {
    let names: Vec<String> = nodes.keys().cloned().collect();
    let found = tables.attributes(table, columns, &names)?;
    for (name, node) in nodes {
        for row in found.get(name).into_iter().flatten() {
            for column in columns {
                if let Some(why) = row.failure(column) {
                    let value = xcat_tables::Error::Value {
                        table: table.to_string(),
                        column: (*column).to_string(),
                        node: name.clone(),
                        why: why.to_string(),
                    };
                    return Err(value.into());
                }
                if let Some(value) = row.get(column) {
                    let entry = node.values.entry((table, column));
                    entry.or_insert_with(|| value.to_string());
                }
            }
        }
    }
    Ok(())
}

/// The rows of `servicenode`; a row may name a group.
fn service_rows(tables: &Tables) -> Result<BTreeMap<String, Row>, Error> {
    let hosts = tables.nodes_with_rows("servicenode")?;
    let Some(schema) = xcat_tables::schema("servicenode") else {
        return Ok(BTreeMap::new());
    };
    let columns: Vec<&str> = schema.columns.iter().map(String::as_str).collect();
    let rows = tables.attributes("servicenode", &columns, &hosts)?;
    let first = |(host, rows): (String, Vec<Row>)| Some((host, rows.into_iter().next()?));
    Ok(rows.into_iter().filter_map(first).collect())
}

/// A diskless image is served from `rootimgdir`, an installed one from the first of `pkgdir`.
fn images(tables: &Tables) -> Result<BTreeMap<String, String>, Error> {
    let mut columns = BTreeMap::new();
    for row in tables.rows("osimage")? {
        let column = match row.get("provmethod").map(str::trim) {
            Some("netboot" | "statelite") => "rootimgdir",
            Some("install") => "pkgdir",
            _ => continue,
        };
        if let Some(name) = row.get("imagename") {
            columns.insert(name.to_string(), column);
        }
    }
    let mut images = BTreeMap::new();
    for row in tables.rows("linuximage")? {
        let Some((name, column)) = row
            .get("imagename")
            .and_then(|name| Some((name, columns.get(name)?)))
        else {
            continue;
        };
        let place = row.get(column).and_then(|list| list.split(',').next());
        if let Some(place) = place.map(str::trim).filter(|place| place.starts_with('/')) {
            images.insert(name.to_string(), place.to_string());
        }
    }
    Ok(images)
}

/// All service nodes that anything tells of: the table, the group, other nodes' pools.
fn serving(tables: &Tables) -> Result<BTreeSet<String>, Error> {
    let mut serving: BTreeSet<String> = service_rows(tables)?.into_keys().collect();
    for row in tables.rows("nodelist")? {
        let in_group = row
            .get("groups")
            .is_some_and(|groups| groups.split(',').any(|group| group == SERVICE_GROUP));
        if let (true, Some(node)) = (in_group, row.get("node")) {
            serving.insert(node.to_string());
        }
    }
    for row in tables.rows("noderes")? {
        serving.extend(pool(row.get("servicenode").unwrap_or_default()));
    }
    Ok(serving)
}

fn served_by(
    tables: &Tables,
    all: Vec<String>,
    source: &str,
    master: Option<&str>,
    serving: &BTreeSet<String>,
) -> Result<Vec<String>, Error> {
    let lists = tables.attribute("noderes", "servicenode", &all)?;
    let is_served = |node: &String| {
        let pool = pool(lists.get(node).map(String::as_str).unwrap_or_default());
        match pool.first() {
            Some(first) => first == source,
            None => master == Some(source) && !serving.contains(node),
        }
    };
    Ok(all.into_iter().filter(is_served).collect())
}
