//! What is looked at before the first write.

use std::collections::{BTreeMap, BTreeSet};

use xcat_tables::narrowest;

use crate::destination::{first_v4, own_addresses};
use crate::facts::{Facts, is_set};
use crate::interfaces::Interface;
use crate::steps::Moving;
use crate::{Request, World};

/// A service that a node uses of its service node: a column that names the server, the column of `servicenode`
/// that says that one runs.
const SERVICES: [(&str, &str, &str); 4] = [
    ("noderes", "tftpserver", "tftpserver"),
    ("noderes", "nfsserver", "nfsserver"),
    ("noderes", "monserver", "monserver"),
    ("nodehm", "conserver", "conserver"),
];
/// Services that a node uses of its service node, if that has them, without being told so in a column of its own.
const UNTOLD: [&str; 5] = [
    "tftpserver",
    "nfsserver",
    "dhcpserver",
    "nameserver",
    "ntpserver",
];

/// The seed's rules for a pool (spec snmove section 4): at least two, both in it, the source first, `xcatmaster` set
/// and belonging to the first. One text for each breach of this node.
pub(crate) fn pool(each: &Moving<'_>, source: Option<&str>, world: &dyn World) -> Vec<String> {
    let mut breaches = Vec::new();
    let pool = &each.node.pool;
    if pool.len() < 2 {
        breaches.push(format!(
            "noderes.servicenode names {} service nodes, and a pool has at least two",
            pool.len()
        ));
    }
    if !pool.contains(&each.to.service_node) {
        breaches.push(format!(
            "{} is not in its noderes.servicenode",
            each.to.service_node
        ));
    }
    if let Some(source) = source
        && pool.first().map(String::as_str) != Some(source)
    {
        breaches.push(format!(
            "{source} is not the first in its noderes.servicenode"
        ));
    }
    match (each.node.value("noderes", "xcatmaster"), pool.first()) {
        (None, _) => breaches.push("noderes.xcatmaster is not set".to_string()),
        (Some(master), Some(first)) => {
            // The two sides of a service node have other addresses; only the same network can be compared.
            let master_of = world.addresses(master);
            if master_of.is_empty() {
                breaches.push(format!("noderes.xcatmaster={master} does not resolve"));
            } else if master_of
                .iter()
                .any(|address| belongs_to_another(address, first, pool, world))
            {
                breaches.push(format!(
                    "noderes.xcatmaster={master} does not belong to {first}"
                ));
            }
        }
        (Some(_), None) => {}
    }
    breaches
}

/// True if the address is that of another service node of the pool, and not of the first.
fn belongs_to_another(
    address: &std::net::IpAddr,
    first: &str,
    pool: &[String],
    world: &dyn World,
) -> bool {
    let is_of = |host: &String| world.addresses(host).contains(address);
    !world.addresses(first).contains(address) && pool.iter().skip(1).any(is_of)
}

/// The new service nodes: they resolve, answer, are known to the tables, run the services that their new nodes
/// use, and face the nodes' networks. Every failure, not only the first.
pub(crate) fn destinations(
    moving: &[Moving<'_>],
    facts: &Facts,
    request: &Request,
    world: &dyn World,
) -> Vec<String> {
    let mut failures = Vec::new();
    let mut by_host: BTreeMap<&str, Vec<&Moving<'_>>> = BTreeMap::new();
    for each in moving {
        by_host.entry(&each.to.service_node).or_default().push(each);
    }
    let mut resolved = BTreeMap::new();
    for host in by_host.keys() {
        match world.addresses(host).first() {
            Some(address) => {
                resolved.insert((*host).to_string(), *address);
            }
            None => failures.push(format!("{host}: does not resolve")),
        }
    }
    let answering: BTreeSet<String> = world.answering(&resolved).into_iter().collect();
    for host in resolved.keys().filter(|host| !answering.contains(*host)) {
        failures.push(format!("{host}: does not answer on its ssh port"));
    }
    for (host, nodes) in &by_host {
        if answering.contains(*host) {
            failures.extend(no_images(host, nodes, facts, world));
        }
        if !facts.names.contains(*host) {
            failures.push(format!("{host}: has no row in nodelist"));
        }
        match facts.service_nodes.get(*host) {
            None => failures.push(format!("{host}: has no row in servicenode")),
            Some(row) => {
                let mut used: BTreeSet<&str> = BTreeSet::new();
                for each in nodes {
                    used.extend(services(each, facts, world));
                }
                let lacks = used.iter().filter(|service| !is_set(row.get(service)));
                failures.extend(lacks.map(|service| {
                    format!("{host}: servicenode.{service} is not set, and its new nodes use it")
                }));
            }
        }
        if let (Some(master), true) = (&request.new_master, answering.contains(*host)) {
            failures.extend(not_its_own(host, master, nodes, world));
        }
    }
    if request.new_master.is_some() {
        failures.extend(strangers(moving, facts, world));
    }
    failures
}

/// What a node uses of its old service node, by the columns of `servicenode`.
fn services(each: &Moving<'_>, facts: &Facts, world: &dyn World) -> Vec<&'static str> {
    let is_told = |service: &str| {
        let mut columns = SERVICES.iter().filter(|(.., other)| *other == service);
        columns.any(|(table, column, _)| each.node.value(table, column).is_some())
    };
    let told = SERVICES.iter().filter_map(|(table, column, service)| {
        let value = each.node.value(table, column)?;
        each.old.is(value, world).then_some(*service)
    });
    let old = each
        .from
        .as_ref()
        .and_then(|from| facts.service_nodes.get(from));
    let untold = UNTOLD
        .into_iter()
        .filter(|service| old.is_some_and(|row| is_set(row.get(service))) && !is_told(service));
    told.chain(untold).collect()
}

/// A master named by `-D` must be the destination's own: a slip of the pen would give its nodes to nobody.
fn not_its_own(
    host: &str,
    master: &str,
    nodes: &[&Moving<'_>],
    world: &dyn World,
) -> Option<String> {
    // AIX has no `ip`; what it has is not asked.
    if nodes.iter().any(|each| each.node.is_aix()) {
        return None;
    }
    let master_of = world.addresses(master);
    match own_addresses(host, world) {
        Ok(found) => {
            let is_own = |each: &Interface| master_of.contains(&each.address.into());
            (!found.iter().any(is_own)).then(|| format!("{master}: is no address of {host}"))
        }
        Err(why) => Some(format!("{host}: its addresses cannot be looked at: {why}")),
    }
}

/// Directories of the nodes' images that the host does not have: `nodeset` would leave its nodes without a system.
fn no_images(host: &str, nodes: &[&Moving<'_>], facts: &Facts, world: &dyn World) -> Vec<String> {
    let images = nodes
        .iter()
        .filter_map(|each| each.node.value("nodetype", "provmethod"));
    let wanted: BTreeMap<&str, &str> = images
        .filter_map(|image| Some((facts.images.get(image.trim())?.as_str(), image.trim())))
        .collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let paths: Vec<&str> = wanted.keys().copied().collect();
    match world.missing(host, &paths) {
        Ok(missing) => {
            let missing = wanted
                .iter()
                .filter(|(path, _)| missing.iter().any(|other| other == *path));
            missing
                .map(|(path, image)| format!("{host}: has no {path}, which image {image} needs"))
                .collect()
        }
        Err(why) => vec![format!("{host}: its images cannot be looked at: {why}")],
    }
}

/// A master named by `-D` must be in the network of each node. (One that was looked up is.)
fn strangers(moving: &[Moving<'_>], facts: &Facts, world: &dyn World) -> Vec<String> {
    let mut outside: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for each in moving {
        let (Some(mine), Some(master)) = (
            first_v4(&world.addresses(each.name)),
            first_v4(&world.addresses(&each.to.master)),
        ) else {
            continue;
        };
        let network = narrowest(&facts.networks, mine);
        if !network.is_some_and(|network| network.holds(master)) {
            outside.entry(&each.to.master).or_default().push(each.name);
        }
    }
    let text = |(master, nodes): (&str, Vec<&str>)| {
        format!(
            "{master}: has no address in the network of {}",
            noderange::fold(nodes)
        )
    };
    outside.into_iter().map(text).collect()
}
