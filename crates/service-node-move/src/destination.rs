//! Where each node goes, and what it will call that place.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use xcat_tables::narrowest;

use crate::facts::{Facts, Node};
use crate::interfaces::Interface;
use crate::{Request, World};

/// Where one node goes.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) service_node: String,
    pub(crate) master: String,
}

/// Finds all destinations; asks each service node once, and only where `-D` does not say it.
pub(crate) struct Finder<'a> {
    facts: &'a Facts,
    request: &'a Request,
    world: &'a dyn World,
    asked: BTreeMap<String, Result<Vec<Interface>, String>>,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(facts: &'a Facts, request: &'a Request, world: &'a dyn World) -> Finder<'a> {
        Finder {
            facts,
            request,
            world,
            asked: BTreeMap::new(),
        }
    }

    /// The new service node, by name.
    pub(crate) fn service_node(&self, name: &str, node: &Node) -> Result<String, String> {
        let chosen = self
            .request
            .destination
            .as_ref()
            .or_else(|| node.pool.get(1));
        chosen
            .map(|chosen| chosen.trim().to_string())
            .ok_or_else(|| format!("Could not determine a backup service node for node {name}."))
    }

    /// The node's new `xcatmaster`: as asked for, or the address of the service node in the node's network.
    /// The second is what to warn of.
    pub(crate) fn master(
        &mut self,
        name: &str,
        service_node: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Destination, String> {
        if let Some(master) = &self.request.new_master {
            return Ok(Destination {
                service_node: service_node.to_string(),
                master: master.clone(),
            });
        }
        // The original's words, and why.
        let failed =
            |why: &str| format!("Could not determine an xcatmaster value for node {name}. ({why})");
        let mine = first_v4(&self.world.addresses(name))
            .ok_or_else(|| failed("it has no IPv4 address"))?;
        let network = narrowest(&self.facts.networks, mine).ok_or_else(|| {
            failed(&format!(
                "no row of table networks holds its address {mine}"
            ))
        })?;
        if !self.asked.contains_key(service_node) {
            let answer = own_addresses(service_node, self.world);
            self.asked.insert(service_node.to_string(), answer);
        }
        let Some(Ok(found)) = self.asked.get(service_node) else {
            return Err(failed(&format!("{service_node} tells no addresses")));
        };
        let inside: Vec<&Interface> = found
            .iter()
            .filter(|each| network.holds(each.address))
            .collect();
        // An alias may belong to somebody else tomorrow.
        let chosen = inside
            .iter()
            .find(|each| !each.is_alias)
            .or(inside.first())
            .ok_or_else(|| {
                let (net, bits) = (network.net, network.prefix);
                failed(&format!(
                    "{service_node} has no address in its network {net}/{bits}"
                ))
            })?;
        if inside.len() > 1 {
            let others: Vec<String> = inside.iter().map(|each| each.address.to_string()).collect();
            let text = format!(
                "{service_node}: has {} in the network of the nodes: {} is taken (-D says another)",
                others.join(", "),
                chosen.address
            );
            if !warnings.contains(&text) {
                warnings.push(text);
            }
        }
        Ok(Destination {
            service_node: service_node.to_string(),
            master: chosen.address.to_string(),
        })
    }

    /// Service nodes that did not tell their addresses, with the reason.
    pub(crate) fn silent(&self) -> impl Iterator<Item = (&str, &str)> {
        let silent = self.asked.iter();
        silent.filter_map(|(name, answer)| Some((name.as_str(), answer.as_ref().err()?.as_str())))
    }
}

/// The addresses that a service node has, as it says itself; those of this host as the kernel says.
pub(crate) fn own_addresses(
    service_node: &str,
    world: &dyn World,
) -> Result<Vec<Interface>, String> {
    let addresses = world.addresses(service_node);
    let own = world.own();
    let is_here = own
        .iter()
        .any(|each| !each.address.is_loopback() && addresses.contains(&IpAddr::V4(each.address)));
    if is_here {
        return Ok(own);
    }
    world.interfaces(service_node)
}

/// The first IPv4 address.
pub(crate) fn first_v4(addresses: &[IpAddr]) -> Option<Ipv4Addr> {
    addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    })
}
