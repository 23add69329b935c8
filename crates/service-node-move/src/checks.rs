//! What is looked at before the first write.

use std::collections::{BTreeMap, BTreeSet};

use crate::destination::first_v4;
use crate::facts::{Facts, is_set};
use crate::network::narrowest;
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
                for (table, column, service) in SERVICES {
                    let uses = nodes.iter().any(|each| {
                        each.node
                            .value(table, column)
                            .is_some_and(|value| each.old.is(value, world))
                    });
                    if uses && !is_set(row.get(service)) {
                        failures.push(format!(
                            "{host}: servicenode.{service} is not set, and its new nodes use it"
                        ));
                    }
                }
            }
        }
    }
    if request.new_master.is_some() {
        failures.extend(strangers(moving, facts, world));
    }
    failures
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
