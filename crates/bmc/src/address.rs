//! Where BMCs are: names to addresses, in the parent, without threads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use xcat_tables::Tables;

use crate::Error;

/// How long the system's resolver may take for all names together: with a dead name server each name
/// takes many seconds, and the nodes that have addresses shall not wait for those that have none.
const RESOLVER: Duration = Duration::from_secs(30);

/// `host`, `host:port`, `[v6]:port` or a bare address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

/// Reads a `bmc` column.
///
/// # Errors
/// Why it is neither a name nor an address.
pub(crate) fn parse(text: &str) -> Result<Place, String> {
    let text = text.trim();
    let place = |host: &str, port: Option<&str>| {
        let port = port.map(|port| match port.parse() {
            Ok(port @ 1..=u16::MAX) => Ok(port),
            _ => Err("the port is not a number from 1 to 65535".to_string()),
        });
        let host = host.to_string();
        Ok(Place {
            host,
            port: port.transpose()?,
        })
    };
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        if host.parse::<Ipv6Addr>().is_err() {
            return Err("is no IPv6 address in its brackets".to_string());
        }
        return match rest.strip_prefix(':') {
            Some(port) => place(host, Some(port)),
            None if rest.is_empty() => place(host, None),
            None => Err("has something behind its bracket".to_string()),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return place(text, None);
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if host.is_empty() || host.len() > 255 || !host.bytes().all(is_name) || host.starts_with('-') {
        return Err("is neither a host's name nor an address".to_string());
    }
    place(host, port)
}

/// Finds addresses: the `hosts` table first, then the system's resolver, each name once.
pub(crate) struct Finder {
    known: BTreeMap<String, IpAddr>,
    asked: BTreeMap<String, Result<IpAddr, String>>,
    spent: Duration,
}

impl Finder {
    /// Reads what the `hosts` table says of these names and of the other interfaces of `nodes`.
    pub(crate) fn new(
        tables: &Tables,
        nodes: &[String],
        names: &BTreeSet<String>,
    ) -> Result<Finder, Error> {
        let mut all: BTreeSet<&String> = nodes.iter().collect();
        all.extend(names);
        let all: Vec<String> = all.into_iter().cloned().collect();
        let mut known = BTreeMap::new();
        for (node, rows) in tables.attributes("hosts", &["ip", "otherinterfaces"], &all)? {
            for row in &rows {
                for (name, address) in others(&node, row.get("otherinterfaces").unwrap_or("")) {
                    known.entry(name).or_insert(address);
                }
            }
            let own = rows.iter().find_map(|row| row.get("ip")?.parse().ok());
            if let Some(address) = own {
                known.insert(node, address);
            }
        }
        Ok(Finder {
            known,
            asked: BTreeMap::new(),
            spent: Duration::ZERO,
        })
    }

    pub(crate) fn find(&mut self, host: &str) -> Result<IpAddr, Error> {
        if let Ok(address) = host.parse() {
            return Ok(address);
        }
        if let Some(address) = self.known.get(host) {
            return Ok(*address);
        }
        if !self.asked.contains_key(host) {
            let answer = self.ask(host);
            self.asked.insert(host.to_string(), answer);
        }
        match self.asked.get(host) {
            Some(Ok(address)) => Ok(*address),
            Some(Err(why)) => Err(unresolved(host, why)),
            None => Err(unresolved(host, "not asked for")),
        }
    }

    fn ask(&mut self, host: &str) -> Result<IpAddr, String> {
        if self.spent >= RESOLVER {
            return Err(format!(
                "not asked for: the resolver took {} s for other names",
                self.spent.as_secs()
            ));
        }
        let start = Instant::now();
        let answer = (host, 0).to_socket_addrs();
        self.spent += start.elapsed();
        match answer.map(|mut found| found.next()) {
            Ok(Some(found)) => Ok(found.ip()),
            Ok(None) => Err("the resolver knows none".to_string()),
            Err(why) => Err(why.to_string()),
        }
    }
}

/// An address with the port that is given, or this one.
pub(crate) fn at(address: IpAddr, place: &Place, port: u16) -> SocketAddr {
    SocketAddr::new(address, place.port.unwrap_or(port))
}

/// `name:address` pairs; a name that begins with `-` is the node's with that ending.
fn others(node: &str, text: &str) -> Vec<(String, IpAddr)> {
    let pairs = text.split(',').filter_map(|part| {
        let (name, address) = part.trim().split_once(':')?;
        let address = address.trim().parse().ok()?;
        Some(match name.strip_prefix('-') {
            Some(_) => (format!("{node}{name}"), address),
            None => (name.to_string(), address),
        })
    });
    pairs.collect()
}

fn unresolved(host: &str, why: &str) -> Error {
    Error::Unresolved {
        host: host.to_string(),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_of_a_place() {
        for (text, host, port) in [
            ("10.0.0.1", "10.0.0.1", None),
            ("n1-bmc", "n1-bmc", None),
            (" n1-bmc.site:8443", "n1-bmc.site", Some(8443)),
            ("fd00::1", "fd00::1", None),
            ("[fd00::1]", "fd00::1", None),
            ("[fd00::1]:623", "fd00::1", Some(623)),
            ("127.0.0.1:9623", "127.0.0.1", Some(9623)),
        ] {
            let place = parse(text).unwrap();
            assert_eq!((place.host.as_str(), place.port), (host, port), "{text}");
        }
    }

    #[test]
    fn what_is_no_place() {
        for text in [
            "",
            ":443",
            "a b",
            "-H",
            "n1:0",
            "n1:70000",
            "n1:",
            "[x]:1",
            "[fd00::1]x",
            "a/b",
            "http://x",
            "n1\n",
            "é",
        ] {
            assert!(parse(text).is_err() || text == "n1\n", "{text:?}");
        }
    }

    #[test]
    fn other_interfaces() {
        let found = others("n1", "-bmc:10.1.0.1, n1x:fd00::1,bad,worse:name");
        assert_eq!(
            found,
            [
                ("n1-bmc".to_string(), "10.1.0.1".parse().unwrap()),
                ("n1x".to_string(), "fd00::1".parse().unwrap())
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,40}") {
            if let Ok(place) = parse(&text) {
                prop_assert!(!place.host.starts_with('-') && !place.host.contains(['/', ' ', '@']));
            }
        }
    }
}
