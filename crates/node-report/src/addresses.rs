//! Which node has an address. A report's node is named by the peer's address through the tables,
//! never by what the request says (spec getadapter 10.10).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, ToSocketAddrs};

use xcat_tables::Tables;

use crate::Error;

/// Addresses and their nodes, in plain memory.
#[derive(Debug, Default, Clone)]
pub struct Addresses {
    nodes: HashMap<IpAddr, Owner>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    One(String),
    /// Two nodes claim it: naming either would be a guess.
    Several,
}

impl Addresses {
    /// Notes that `node` has `address`.
    pub fn insert(&mut self, address: IpAddr, node: &str) {
        let owner = self
            .nodes
            .entry(address.to_canonical())
            .or_insert_with(|| Owner::One(node.into()));
        if *owner != Owner::One(node.into()) {
            *owner = Owner::Several;
        }
    }

    /// The node that has the address, if exactly one has. `::ffff:a.b.c.d` counts as `a.b.c.d`.
    pub fn node(&self, address: IpAddr) -> Option<&str> {
        match self.nodes.get(&address.to_canonical()) {
            Some(Owner::One(node)) => Some(node),
            _ => None,
        }
    }

    /// Every address that is of exactly one node, with it.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        self.nodes
            .iter()
            .filter_map(|(address, owner)| match owner {
                Owner::One(node) => Some((*address, node.as_str())),
                Owner::Several => None,
            })
    }

    /// Reads the map: the `hosts` table (`ip`, `otherinterfaces`), `nics.nicips`, then, for nodes
    /// that those do not know, the resolver (which reads `/etc/hosts`).
    pub fn read(tables: &Tables) -> Result<Addresses, Error> {
        let (mut map, others) = Addresses::listed(tables)?;
        for node in others {
            resolve(&node).for_each(|address| map.insert(address, &node));
        }
        Ok(map)
    }

    /// The part of it that the tables know, and the nodes that they do not.
    pub fn listed(tables: &Tables) -> Result<(Addresses, Vec<String>), Error> {
        let rows = tables.rows("nodelist")?;
        let nodes = rows
            .iter()
            .filter_map(|row| row.get("node").map(String::from));
        let nodes: Vec<String> = nodes.collect();
        let mut map = Addresses::default();
        let mut known: BTreeSet<String> = BTreeSet::new();
        for (node, texts) in listed(tables, &nodes)? {
            for address in texts.iter().flat_map(|text| addresses_in(text)) {
                map.insert(address, &node);
                known.insert(node.clone());
            }
        }
        let others = nodes.into_iter().filter(|node| !known.contains(node));
        Ok((map, others.collect()))
    }

    /// The map as lines `address node`, for a pipe.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        self.nodes.iter().flat_map(|(address, owner)| match owner {
            Owner::One(node) => vec![format!("{address} {node}")],
            Owner::Several => vec![format!("{address} "), format!("{address} .")],
        })
    }

    /// Takes one such line.
    pub fn take_line(&mut self, line: &str) {
        if let Some((address, node)) = line.split_once(' ')
            && let Ok(address) = address.parse()
        {
            self.insert(address, node);
        }
    }
}

/// What the resolver says; it may take its time.
pub(crate) fn resolve(node: &str) -> impl Iterator<Item = IpAddr> + use<> {
    let found = (node, 0).to_socket_addrs().into_iter().flatten();
    found.map(|address| address.ip())
}

/// What the tables say of each node's addresses, as texts.
fn listed(tables: &Tables, nodes: &[String]) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (table, columns) in [
        ("hosts", &["ip", "otherinterfaces"][..]),
        ("nics", &["nicips"][..]),
    ] {
        for (node, rows) in tables.attributes(table, columns, nodes)? {
            let found = rows
                .iter()
                .flat_map(|row| columns.iter().filter_map(|column| row.get(column)))
                .map(String::from);
            texts.entry(node).or_default().extend(found);
        }
    }
    Ok(texts)
}

/// Every address in a text such as `10.0.0.1`, `n1-ib:10.1.0.1,-eth2:10.2.0.1` or
/// `eth0!10.0.0.1|fd00::1,eth1!10.3.0.1`.
fn addresses_in(text: &str) -> Vec<IpAddr> {
    let whole = text
        .split([',', '|', '!', ' '])
        .filter(|part| !part.is_empty());
    whole
        .filter_map(|part| {
            part.parse()
                .ok()
                .or_else(|| part.split_once(':')?.1.parse().ok())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_form_of_the_tables_is_read() {
        let found = addresses_in("eth0!10.0.0.1|fd00::1,eth1!10.3.0.1");
        assert_eq!(
            found,
            ["10.0.0.1", "fd00::1", "10.3.0.1"].map(|text| text.parse::<IpAddr>().unwrap())
        );
        assert_eq!(
            addresses_in("-ib0:10.1.0.1,n1-eth2:10.2.0.1"),
            ["10.1.0.1", "10.2.0.1"].map(|text| text.parse::<IpAddr>().unwrap())
        );
    }

    #[test]
    fn an_address_of_two_nodes_is_nobodys() {
        let mut map = Addresses::default();
        map.insert("10.0.0.1".parse().unwrap(), "n1");
        map.insert("::ffff:10.0.0.2".parse().unwrap(), "n2");
        map.insert("10.0.0.2".parse().unwrap(), "n3");
        assert_eq!(map.node("::ffff:10.0.0.1".parse().unwrap()), Some("n1"));
        assert_eq!(map.node("10.0.0.2".parse().unwrap()), None);
        let mut copy = Addresses::default();
        map.lines().for_each(|line| copy.take_line(&line));
        assert_eq!(copy.node("10.0.0.1".parse().unwrap()), Some("n1"));
        assert_eq!(copy.node("10.0.0.2".parse().unwrap()), None);
    }
}
