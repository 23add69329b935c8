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
#[derive(Debug, Default)]
pub(crate) struct Door {
    addresses: Addresses,
    read_at: Option<Instant>,
    reading: bool,
    wanted: bool,
    pending: Vec<(TcpStream, IpAddr)>,
    inside: HashMap<IpAddr, usize>,
    logged: HashMap<IpAddr, Instant>,
}

impl Door {
    /// Judges a new connection.
    pub(crate) fn judge(&mut self, stream: TcpStream, peer: IpAddr) -> Verdict {
        if self
            .inside
            .get(&peer)
            .is_some_and(|count| *count >= PER_ADDRESS)
        {
            return Verdict::Refuse(format!("{PER_ADDRESS} connections of it are open already"));
        }
        if let Some(node) = self.addresses.node(peer) {
            let node = node.to_string();
            self.wanted |= self.read_at.is_none_or(|at| at.elapsed() > OLD);
            *self.inside.entry(peer).or_default() += 1;
            return Verdict::Serve(stream, node);
        }
        if !self.reading && self.read_at.is_some_and(|at| at.elapsed() < AGAIN) {
            return Verdict::Refuse("its address is of no node (hosts, nics, resolver)".into());
        }
        if self.pending.len() >= PENDING {
            return Verdict::Refuse("too many unknown addresses at once".into());
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
        let wants = self.wanted && !self.reading;
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
        assert!(matches!(door.judge(connect(), peer), Verdict::Wait));
        assert!(door.wants_map());
        assert!(!door.wants_map(), "one reading at a time");
        assert_eq!(door.map_read(None).len(), 1);
        assert!(
            matches!(door.judge(connect(), peer), Verdict::Refuse(_)),
            "not read again within a second"
        );
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
            assert!(matches!(door.judge(connect(), peer), Verdict::Serve(_, node) if node == "n1"));
        }
        assert!(matches!(door.judge(connect(), peer), Verdict::Refuse(_)));
        door.left(peer);
        assert!(matches!(door.judge(connect(), peer), Verdict::Serve(..)));
        assert!(door.may_log(peer));
        assert!(!door.may_log(peer));
    }
}
