//! Who loads the image, out of the tables: read by a child that ends, so that the server never waits
//! for a lock.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use disk_image::Digest;
use disk_image::order::{LONGEST, Order};
use fork_worker::Job;
use node_report::{Addresses, Claim, Life, Me, PrivateDir};
use xcat_tables::{Location, Tables};

use super::orders;

/// Tables may be locked for ten seconds, a resolver may be slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// The longest report: 100 bytes for each node of 100,000.
const REPORT: usize = 16 << 20;

/// The command of claims.
const COMMAND: &str = "osload";

/// Nodes that load the image now.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Loaders {
    nodes: HashMap<IpAddr, (String, String)>,
}

impl Loaders {
    /// The node that has the address, and its run.
    pub(super) fn at(&self, address: IpAddr) -> Option<(&str, &str)> {
        let found = self.nodes.get(&address.to_canonical());
        found.map(|(node, nonce)| (node.as_str(), nonce.as_str()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The runs.
    pub(super) fn runs(&self) -> HashSet<&str> {
        self.nodes
            .values()
            .map(|(_, nonce)| nonce.as_str())
            .collect()
    }

    /// Takes a line of the child: `ADDRESS NODE NONCE`.
    pub(super) fn take_line(&mut self, line: &str) {
        let mut words = line.split(' ');
        if let (Some(address), Some(node), Some(nonce)) = (words.next(), words.next(), words.next())
            && let Ok(address) = address.parse::<IpAddr>()
        {
            let loader = (node.into(), nonce.into());
            self.nodes.insert(address.to_canonical(), loader);
        }
    }
}

/// The child.
pub(super) fn job(location: Location, image: Digest) -> Job {
    Job::new(move |report| {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let tables = Tables::open(&location).map_err(|error| text(&error))?;
        let claimed = claimed(&tables, &image)?;
        if claimed.is_empty() {
            return Ok(String::new());
        }
        let (mut addresses, unlisted) = Addresses::listed(&tables).map_err(|error| text(&error))?;
        for node in unlisted.iter().filter(|node| claimed.contains_key(*node)) {
            let found = (node.as_str(), 0).to_socket_addrs().into_iter().flatten();
            found.for_each(|address| addresses.insert(address.ip(), node));
        }
        for (address, node) in addresses.iter() {
            if let Some(nonce) = claimed.get(node) {
                let line = format!("{address} {node} {nonce}");
                report.line(&line).map_err(|error| text(&error))?;
            }
        }
        Ok(String::new())
    })
    .deadline(DEADLINE)
    .total_limit(REPORT)
}

/// Nodes with a living claim whose order lists the image, and their nonces.
fn claimed(tables: &Tables, image: &Digest) -> Result<HashMap<String, String>, String> {
    let me = Me::here().map_err(|error| error.to_string())?;
    let run = PrivateDir::open(&program::paths::run_dir()).map_err(|error| error.to_string())?;
    let claims = node_report::claims(tables).map_err(|error| error.to_string())?;
    let claims: Vec<Claim> = claims
        .into_values()
        .filter(|claim| claim.command == COMMAND)
        .collect();
    // The database's clock matters for other hosts' claims alone.
    let now = match claims.iter().all(|claim| claim.holder.host == me.host) {
        true => 0,
        false => tables
            .transaction(&[node_report::CLAIMS], |change| change.now())
            .map_err(|error: xcat_tables::Error| error.to_string())?,
    };
    let mut listed: HashMap<String, bool> = HashMap::new();
    let mut alive = HashMap::new();
    for claim in claims {
        if claim.life(&me, &run, now) == Life::Dead {
            continue;
        }
        let lists = listed
            .entry(claim.nonce.clone())
            .or_insert_with(|| order(&claim.nonce).is_some_and(|(order, _)| lists(&order, image)));
        if *lists {
            alive.insert(claim.node, claim.nonce);
        }
    }
    Ok(alive)
}

fn lists(order: &Order, image: &Digest) -> bool {
    order.images.iter().any(|wanted| wanted.manifest == *image)
}

/// The order of a run, and its bytes, if it is one.
pub(super) fn order(nonce: &str) -> Option<(Order, Vec<u8>)> {
    // It becomes a path.
    if nonce.is_empty() || !nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = Vec::new();
    let file = File::open(orders().join(format!("{nonce}.json"))).ok()?;
    file.take(LONGEST as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some((Order::parse(&bytes).ok()?, bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_of_the_child() {
        let mut loaders = Loaders::default();
        for line in [
            "::ffff:10.0.0.1 n1 ab",
            "10.0.0.2 n2",
            "x n3 ab",
            "",
            "fd00::1 n4 cd more",
        ] {
            loaders.take_line(line);
        }
        assert_eq!(loaders.at("10.0.0.1".parse().unwrap()), Some(("n1", "ab")));
        assert_eq!(loaders.at("fd00::1".parse().unwrap()), Some(("n4", "cd")));
        assert_eq!(loaders.at("10.0.0.2".parse().unwrap()), None);
        assert_eq!(loaders.runs(), ["ab", "cd"].into());
    }

    #[test]
    fn a_nonce_is_no_path() {
        assert!(order("../../etc/passwd").is_none());
        assert!(order("").is_none());
    }
}
