//! Who may come in: connections per address, addresses nobody knows, and how often the log hears of
//! a peer.

use std::collections::HashMap;
use std::net::{IpAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::addresses::Addresses;

/// Connections from one address at a time. A stock node needs one.
const PER_ADDRESS: usize = 8;

/// The address map is read again for an unknown address, but not oftener than this.
const AGAIN: Duration = Duration::from_secs(1);

/// Nor is it older than this when a known address comes.
const OLD: Duration = Duration::from_secs(60);

/// Connections that wait for the map.
const PENDING: usize = 256;

/// One line in the log per peer and so long.
const QUIET: Duration = Duration::from_secs(60);

/// What is to be done with a new connection.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Serve it, for this node.
    Serve(TcpStream, String),
    /// It waits until the map has been read again.
    Wait,
    /// Closed, with the reason.
    Refuse(String),
}

/// The door's book.
#[derive(Debug)]
pub(crate) struct Door {
    addresses: Addresses,
    read_at: Option<Instant>,
    reading: bool,
    wanted: bool,
    pending: Vec<(TcpStream, IpAddr)>,
    inside: HashMap<IpAddr, usize>,
    logged: HashMap<IpAddr, Instant>,
}

impl Default for Door {
    /// The map is wanted from the start: a burst may be the first that comes.
    fn default() -> Door {
        Door {
            addresses: Addresses::default(),
            read_at: None,
            reading: false,
            wanted: true,
            pending: Vec::new(),
            inside: HashMap::new(),
            logged: HashMap::new(),
        }
    }
}

impl Door {
    /// True if more connections may wait for the map; else they stay in the kernel's queue.
    pub(crate) fn has_room(&self) -> bool {
        self.pending.len() < PENDING
    }

    /// Judges a connection: a `new` one of an unknown address waits for the map to be read again, one
    /// that has waited is refused.
    pub(crate) fn judge(&mut self, stream: TcpStream, peer: IpAddr, new: bool) -> Verdict {
        let pending = self.pending.iter().filter(|(_, known)| *known == peer);
        let open = self.inside.get(&peer).copied().unwrap_or(0) + pending.count();
        if open >= PER_ADDRESS {
            return Verdict::Refuse(format!("{PER_ADDRESS} connections of it are open already"));
        }
        if let Some(node) = self.addresses.node(peer) {
            let node = node.to_string();
            self.wanted |= self.read_at.is_none_or(|at| at.elapsed() > OLD);
            *self.inside.entry(peer).or_default() += 1;
            return Verdict::Serve(stream, node);
        }
        if !new {
            return Verdict::Refuse("its address is of no node (hosts, nics, resolver)".into());
        }
        self.wanted = true;
        self.pending.push((stream, peer));
        Verdict::Wait
    }

    /// A connection has ended.
    pub(crate) fn left(&mut self, peer: IpAddr) {
        if let Some(count) = self.inside.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.inside.remove(&peer);
            }
        }
    }

    /// True if the map shall be read now; the caller then does so.
    pub(crate) fn wants_map(&mut self) -> bool {
        let rested = self.read_at.is_none_or(|at| at.elapsed() >= AGAIN);
        let wants = self.wanted && !self.reading && rested;
        if wants {
            self.reading = true;
            self.wanted = false;
        }
        wants
    }

    /// The map has been read, or could not be: those that waited are judged again.
    pub(crate) fn map_read(&mut self, addresses: Option<Addresses>) -> Vec<(TcpStream, IpAddr)> {
        if let Some(addresses) = addresses {
            self.addresses = addresses;
        }
        self.reading = false;
        self.read_at = Some(Instant::now());
        std::mem::take(&mut self.pending)
    }

    /// True if the log has not heard of the peer for a minute.
    pub(crate) fn may_log(&mut self, peer: IpAddr) -> bool {
        let now = Instant::now();
        if self.logged.len() >= 4_096 {
            self.logged.retain(|_, at| now.duration_since(*at) < QUIET);
        }
        let quiet = self
            .logged
            .get(&peer)
            .is_none_or(|at| now.duration_since(*at) >= QUIET);
        // A flood of addresses is not told apart: the book is bounded.
        if quiet && self.logged.len() < 4_096 {
            self.logged.insert(peer, now);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_unknown_address_waits_for_one_reading_of_the_map() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let mut door = Door::default();
        assert!(matches!(door.judge(connect(), peer, true), Verdict::Wait));
        assert!(door.wants_map());
        assert!(!door.wants_map(), "one reading at a time");
        assert_eq!(door.map_read(None).len(), 1);
        assert!(matches!(
            door.judge(connect(), peer, false),
            Verdict::Refuse(_)
        ));
        assert!(matches!(door.judge(connect(), peer, true), Verdict::Wait));
        assert!(!door.wants_map(), "not read again within a second");
    }

    #[test]
    fn an_address_gets_so_many_connections_and_no_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        let mut addresses = Addresses::default();
        addresses.insert(peer, "n1");
        let mut door = Door::default();
        door.map_read(Some(addresses));
        for _ in 0..PER_ADDRESS {
            assert!(
                matches!(door.judge(connect(), peer, true), Verdict::Serve(_, node) if node == "n1")
            );
        }
        assert!(matches!(
            door.judge(connect(), peer, true),
            Verdict::Refuse(_)
        ));
        door.left(peer);
        assert!(matches!(
            door.judge(connect(), peer, true),
            Verdict::Serve(..)
        ));
        assert!(door.may_log(peer));
        assert!(!door.may_log(peer));
    }
}
