//! Does a service node serve its nodes? Asked over the network from the management node, changing nothing: the DHCP
//! question is a DISCOVER that no REQUEST follows, the boot file is not fetched to its end.

mod ask;
mod dhcp;
mod discover;
mod dns;
mod http;
mod nfs;
mod rpc;
mod tftp;
mod wire;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use xcat_tables::{Tables, narrowest};

use crate::destination::first_v4;
use crate::facts::{Facts, Node, is_set};
use crate::{Error, World};

/// What was asked of a service node for one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The node.
    pub node: String,
    /// Its service node.
    pub service_node: String,
    /// `dhcp`, `bootfile`, `nfs`, `dns`, `xcatd`, in this order.
    pub checks: Vec<(&'static str, Holds)>,
}

/// Whether something holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// It does; what was seen.
    Yes(String),
    /// It does not; why.
    No(String),
    /// The service node is not to do it for this node, by the tables.
    Unused,
}

impl Holds {
    fn of(result: Result<String, String>) -> Holds {
        match result {
            Ok(seen) => Holds::Yes(seen),
            Err(why) => Holds::No(why),
        }
    }
}

/// One node and where its questions go.
struct Subject {
    node: String,
    service_node: String,
    server: Ipv4Addr,
    address: Ipv4Addr,
    mac: Option<[u8; 6]>,
    /// This host has no address in the node's network.
    is_remote: bool,
    /// What it mounts from there, if anything.
    nfs: Option<String>,
    dhcp: bool,
    dns: bool,
}

/// Asks each node's first service node. Nodes of the management node itself come with a `dhcp` that says so.
///
/// # Errors
/// What the tables say; the system, if nothing can be sent at all.
pub fn verify(tables: &Tables, facts: &Facts, world: &dyn World) -> Result<Vec<Verdict>, Error> {
    let names: Vec<String> = facts.nodes.keys().cloned().collect();
    let macs = tables.attribute("mac", "mac", &names)?;
    let domain = tables.site("domain")?;
    let mut verdicts = Vec::new();
    let mut subjects = Vec::new();
    for name in &names {
        match subject(name, facts, macs.get(name), world) {
            Ok(subject) => subjects.push(subject),
            Err(why) => verdicts.push(Verdict {
                node: name.clone(),
                service_node: String::new(),
                checks: vec![("dhcp", Holds::No(why))],
            }),
        }
    }
    let asked: Vec<discover::Ask> = subjects.iter().filter_map(discovery).collect();
    let offers = discover::discover(&asked).map_err(|source| Error::File {
        path: "DHCP: port 67".into(),
        source,
    })?;
    let mut offered: BTreeMap<&str, dhcp::Offer> = BTreeMap::new();
    for (ask, offer) in asked.iter().zip(offers) {
        offered.extend(offer.map(|offer| (ask.node.as_str(), offer)));
    }
    let hosts = ask::hosts(&subjects);
    let nodes = ask::nodes(&subjects, &offered, domain.as_deref());
    for subject in &subjects {
        let host = hosts.get(&subject.service_node);
        let node = nodes.get(&subject.node);
        let unknown = || Holds::No("could not be asked".to_string());
        let of = |answers: Option<&ask::Pair>, at: usize| {
            answers.map_or_else(unknown, |pair| pair[at].clone())
        };
        verdicts.push(Verdict {
            node: subject.node.clone(),
            service_node: subject.service_node.clone(),
            checks: vec![
                ("dhcp", lease(subject, offered.get(subject.node.as_str()))),
                ("bootfile", of(node, 0)),
                (
                    "nfs",
                    if subject.nfs.is_some() {
                        of(host, 0)
                    } else {
                        Holds::Unused
                    },
                ),
                ("dns", of(node, 1)),
                ("xcatd", of(host, 1)),
            ],
        });
    }
    verdicts.sort_by(|one, other| one.node.cmp(&other.node));
    Ok(verdicts)
}

fn subject(
    name: &str,
    facts: &Facts,
    mac: Option<&String>,
    world: &dyn World,
) -> Result<Subject, String> {
    let node = &facts.nodes[name];
    let service_node = node.pool.first().ok_or("the management node serves it")?;
    let address = first_v4(&world.addresses(name)).ok_or("does not resolve")?;
    let network = narrowest(&facts.networks, address);
    let own = world.own();
    let is_remote =
        !network.is_some_and(|network| own.iter().any(|each| network.holds(each.address)));
    // The side that the nodes see, where this host sees it too.
    let master = node.value("noderes", "xcatmaster").filter(|_| !is_remote);
    let server = master
        .and_then(|master| first_v4(&world.addresses(master)))
        .or_else(|| first_v4(&world.addresses(service_node)))
        .ok_or_else(|| format!("{service_node}: does not resolve"))?;
    let row = facts.service_nodes.get(service_node);
    let runs = |service| is_set(row.and_then(|row| row.get(service)));
    Ok(Subject {
        node: name.to_string(),
        service_node: service_node.clone(),
        server,
        address,
        mac: mac.and_then(|text| mac_of(text)),
        is_remote,
        nfs: mounted(node, facts).filter(|_| runs("nfsserver")),
        dhcp: runs("dhcpserver"),
        dns: runs("nameserver"),
    })
}

/// `noderes.nfsdir`, else where xCAT keeps what it installs; nothing without `noderes.nfsserver`.
fn mounted(node: &Node, facts: &Facts) -> Option<String> {
    node.value("noderes", "nfsserver")?;
    let own = node.value("noderes", "nfsdir").map(str::trim);
    let directory = own.unwrap_or(&facts.install_directory);
    Some(directory.to_string())
}

fn discovery(subject: &Subject) -> Option<discover::Ask> {
    Some(discover::Ask {
        node: subject.node.clone(),
        mac: subject.mac.filter(|_| subject.dhcp)?,
        server: subject.server,
        // A relay elsewhere says for which network it asks (RFC 3011).
        subnet: subject.is_remote.then_some(subject.address),
    })
}

fn lease(subject: &Subject, offer: Option<&dhcp::Offer>) -> Holds {
    let text = |text: &str| Holds::No(text.to_string());
    match (subject.dhcp, subject.mac, offer) {
        (false, ..) => Holds::Unused,
        (true, None, _) => text("its MAC is not known (mac.mac)"),
        (true, Some(_), None) if subject.is_remote => text(
            "no offer; this host is not in the node's network, and a server that listens only there cannot be asked from here",
        ),
        (true, Some(_), None) => text("no offer"),
        (true, Some(_), Some(offer)) if offer.address != subject.address => Holds::No(format!(
            "it is offered {}, and its address is {}",
            offer.address, subject.address
        )),
        (true, Some(_), Some(offer)) => Holds::Yes(offer.address.to_string()),
    }
}

/// The first MAC of `mac.mac`: `MAC!NAME|MAC!NAME`.
fn mac_of(text: &str) -> Option<[u8; 6]> {
    let first = text.split(['|', '!']).next()?.trim();
    let mut bytes = [0; 6];
    let mut parts = first.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::mac_of;

    #[test]
    fn the_first_mac_counts() {
        let mac = [0x52, 0x54, 0, 0, 0xab, 1];
        for text in [
            "52:54:00:00:ab:01",
            "52:54:00:00:AB:01!n1|52:54:00:00:00:02!n1-eth1",
            " 52:54:00:00:ab:01|52:54:00:00:00:02",
        ] {
            assert_eq!(mac_of(text), Some(mac), "{text}");
        }
        for text in [
            "",
            "52:54:00:00:ab",
            "52:54:00:00:ab:01:02",
            "5254:0:0:0:a",
            "+1:+1:+1:+1:+1:+1",
        ] {
            assert_eq!(mac_of(text).filter(|_| !text.contains('+')), None, "{text}");
        }
    }
}
