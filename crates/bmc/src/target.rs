//! Nodes to BMCs: addresses and credentials as xCAT has them, for all nodes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use xcat_tables::{Row, Tables};

use crate::address::{self, Finder, Place};
use crate::{Error, Secret};

/// What the tables say a BMC speaks. Between the last two it is a hint only: the BMC is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// IPMI over LAN, by `ipmitool`.
    Ipmi,
    /// OpenBMC: Redfish, on old levels REST.
    OpenBmc,
    /// Redfish.
    Redfish,
}

/// One node's BMC.
#[derive(Debug, Clone)]
pub struct Target {
    /// The node.
    pub node: String,
    /// Where its BMC listens.
    pub address: SocketAddr,
    /// The BMC's name or address as the tables have it, for TLS and messages.
    pub host: String,
    /// Login name.
    pub user: String,
    /// Password.
    pub password: Secret,
    /// What it speaks.
    pub kind: Kind,
}

/// The BMC of each of `nodes`, in a handful of queries. `nodehm.power`, else `nodehm.mgt`, says the kind;
/// address, user and password come from the table of the kind (`ipmi`; `openbmc`, which xCAT uses for
/// redfish too), a missing user or password each from the first `passwd` row with that key. The `bmc`
/// column may hold `host:port` or `[v6]:port`. Names are resolved here, so that no child has to: first by
/// the `hosts` table.
///
/// What is missing, unfit or unknown is that node's error. Core files of this process and its children
/// are turned off from here on, for passwords are in memory now.
///
/// # Errors
/// [`Error::Tables`].
pub fn targets(
    tables: &Tables,
    nodes: &[String],
) -> Result<BTreeMap<String, Result<Target, Error>>, Error> {
    no_core_files();
    let kinds = tables.attributes("nodehm", &["power", "mgt"], nodes)?;
    let mut found: BTreeMap<String, Result<Target, Error>> = BTreeMap::new();
    let mut of_kind: BTreeMap<&str, Vec<(String, Kind)>> = BTreeMap::new();
    for node in nodes {
        match kind(kinds.get(node)) {
            Ok(kind) => of_kind
                .entry(kind.table())
                .or_default()
                .push((node.clone(), kind)),
            Err(error) => drop(found.insert(node.clone(), Err(error))),
        }
    }
    let passwd = tables.rows("passwd")?;
    let mut half = Vec::new();
    for (table, nodes) in of_kind {
        let names: Vec<String> = nodes.iter().map(|(node, _)| node.clone()).collect();
        let rows = tables.attributes(table, &["bmc", "username", "password"], &names)?;
        for (node, kind) in nodes {
            match login(kind, rows.get(&node), &passwd) {
                Ok(one) => half.push((node, kind, one)),
                Err(error) => drop(found.insert(node, Err(error))),
            }
        }
    }
    let names: BTreeSet<String> = half
        .iter()
        .map(|(_, _, one)| one.place.host.clone())
        .collect();
    let at: Vec<String> = half.iter().map(|(node, _, _)| node.clone()).collect();
    let mut finder = Finder::new(tables, &at, &names)?;
    for (node, kind, one) in half {
        let target = finder.find(&one.place.host).map(|address| Target {
            node: node.clone(),
            address: address::at(address, &one.place, kind.port()),
            host: one.place.host,
            user: one.user,
            password: one.password,
            kind,
        });
        found.insert(node, target);
    }
    Ok(found)
}

impl Kind {
    fn table(self) -> &'static str {
        match self {
            Kind::Ipmi => "ipmi",
            Kind::OpenBmc | Kind::Redfish => "openbmc",
        }
    }

    /// The key in `passwd`.
    fn key(self) -> &'static str {
        match self {
            Kind::Ipmi => "ipmi",
            Kind::OpenBmc => "openbmc",
            Kind::Redfish => "redfish",
        }
    }

    fn port(self) -> u16 {
        match self {
            Kind::Ipmi => 623,
            Kind::OpenBmc | Kind::Redfish => 443,
        }
    }
}

fn kind(rows: Option<&Vec<Row>>) -> Result<Kind, Error> {
    for column in ["power", "mgt"] {
        match value(rows, "nodehm", column)? {
            Some("ipmi") => return Ok(Kind::Ipmi),
            Some("openbmc") => return Ok(Kind::OpenBmc),
            Some("redfish") => return Ok(Kind::Redfish),
            Some(other) => {
                let kind = program::escape(other).into_owned();
                return Err(Error::Kind { column, kind });
            }
            None => {}
        }
    }
    Err(unfit("nodehm.mgt", "is not set"))
}

/// What the tables say before any name is resolved.
struct Login {
    place: Place,
    user: String,
    password: Secret,
}

fn login(kind: Kind, rows: Option<&Vec<Row>>, passwd: &[Row]) -> Result<Login, Error> {
    let table = kind.table();
    let subject = format!("{table}.bmc");
    let bmc = value(rows, table, "bmc")?.ok_or_else(|| unfit(&subject, "is not set"))?;
    let place = address::parse(bmc)
        .map_err(|why| unfit(&format!("{subject}: {}", program::escape(bmc)), &why))?;
    let site = passwd.iter().find(|row| row.get("key") == Some(kind.key()));
    let either = |column| match value(rows, table, column)? {
        Some(own) => Ok(own.to_string()),
        None => site
            .and_then(|row| row.get(column))
            .map(String::from)
            .ok_or_else(|| {
                let why = format!("is not set, nor has passwd one for key {}", kind.key());
                unfit(&format!("{table}.{column}"), &why)
            }),
    };
    Ok(Login {
        user: either("username")?,
        password: Secret::new(either("password")?),
        place,
    })
}

/// A node's value; one that cannot be evaluated is an error, not a gap to be filled by a default.
fn value<'a>(
    rows: Option<&'a Vec<Row>>,
    table: &str,
    column: &str,
) -> Result<Option<&'a str>, Error> {
    for row in rows.into_iter().flatten() {
        if let Some(value) = row.get(column) {
            return Ok(Some(value));
        }
        if let Some(why) = row.failure(column) {
            return Err(unfit(&format!("{table}.{column}"), why));
        }
    }
    Ok(None)
}

fn unfit(subject: &str, why: &str) -> Error {
    Error::Table {
        subject: subject.to_string(),
        why: why.to_string(),
    }
}

/// The soft limit only, and a failure does no harm: this is a second line of defence.
fn no_core_files() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_CORE) {
        let _ = setrlimit(Resource::RLIMIT_CORE, 0, hard);
    }
}
