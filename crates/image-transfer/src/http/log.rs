//! One line in the system's log per peer and minute.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use program::syslog;

const QUIET: Duration = Duration::from_secs(60);

/// Peers that are remembered. More than that within a minute are not written down one by one.
const PEERS: usize = 4_096;

/// Who was written down when.
#[derive(Debug)]
pub(crate) struct Log {
    ident: &'static str,
    peers: HashMap<IpAddr, Instant>,
}

impl Log {
    pub(crate) fn new(ident: &'static str) -> Log {
        Log {
            ident,
            peers: HashMap::new(),
        }
    }

    pub(crate) fn refused(&mut self, peer: IpAddr, why: &str, now: Instant) {
        if self.may(peer, now) {
            syslog::log(
                self.ident,
                syslog::Level::Warning,
                &format!("{peer}: {why}"),
            );
        }
    }

    fn may(&mut self, peer: IpAddr, now: Instant) -> bool {
        if self.peers.len() >= PEERS {
            self.peers
                .retain(|_, at| now.saturating_duration_since(*at) < QUIET);
        }
        match self.peers.get(&peer) {
            Some(at) if now.saturating_duration_since(*at) < QUIET => false,
            None if self.peers.len() >= PEERS => false,
            _ => {
                self.peers.insert(peer, now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_minute_and_bounded() {
        let now = Instant::now();
        let mut log = Log::new("test");
        let peer = |i: u32| IpAddr::from(i.to_be_bytes());
        assert!(log.may(peer(1), now));
        assert!(!log.may(peer(1), now + Duration::from_secs(59)));
        assert!(log.may(peer(1), now + Duration::from_secs(61)));
        for i in 0..10_000 {
            log.may(peer(i), now + Duration::from_secs(61));
        }
        assert_eq!(log.peers.len(), PEERS);
        assert!(log.may(peer(9_999), now + Duration::from_secs(200)));
    }
}
