//! What is asked of peers: what they have, and of that the frame that fewest others have.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use disk_image::longest_stored;
use nix::sys::epoll::Epoll;

use super::Load;
use super::server::UNWRITTEN;
use crate::bits::Bits;
use crate::http::{Ask, Exchange, Failure};
use crate::protocol::{self, NEWS, PEERS};

/// The first peer's token; each has two.
pub(super) const FIRST: u64 = 4;

/// Frames that are looked at for the rarest.
const LOOKED_AT: usize = 4_096;

/// How long a frame's first byte may take: others may be before us.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often to look for what is late.
const LOOK: Duration = Duration::from_millis(200);

/// Between two looks at what is new: more comes with each.
const NEWS_PAUSE: Duration = Duration::from_millis(50);

/// After a failure, doubled with each in a row up to the last.
const AGAIN: Duration = Duration::from_millis(250);
const AGAIN_AT_LAST: Duration = Duration::from_secs(5);

/// A node of the same run.
#[derive(Debug)]
pub(super) struct Peer {
    address: SocketAddr,
    frames: Exchange,
    news: Exchange,
    have: Bits,
    /// How much of its log we know.
    known: usize,
    /// The frame that was asked for, and the memory for the answer.
    asked: Option<(usize, usize)>,
    failures: u32,
    not_before: Option<Instant>,
    news_not_before: Option<Instant>,
}

impl Peer {
    fn new(
        address: SocketAddr,
        from: Option<IpAddr>,
        epoll: &Rc<Epoll>,
        token: u64,
        count: usize,
    ) -> Peer {
        let exchange = |token| Exchange::new(address, from, Rc::clone(epoll), token);
        Peer {
            address,
            frames: exchange(token),
            news: exchange(token + 1),
            have: Bits::new(count),
            known: 0,
            asked: None,
            failures: 0,
            not_before: None,
            news_not_before: None,
        }
    }

    /// Something went wrong: neither connection is used for a while.
    fn fail(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let pause = AGAIN.saturating_mul(1 << self.failures.min(6));
        let at = now + pause.min(AGAIN_AT_LAST);
        self.not_before = Some(at);
        self.news_not_before = Some(at);
    }

    /// A time that has passed was used, or there was nothing to use it for.
    fn dues(&self, now: Instant) -> impl Iterator<Item = Instant> {
        let one = |exchange: &Exchange, not_before: Option<Instant>| match exchange.is_idle() {
            true => not_before.filter(|at| *at > now),
            false => exchange.due(),
        };
        let frames = one(&self.frames, self.not_before);
        let news = one(&self.news, self.news_not_before);
        frames.into_iter().chain(news)
    }
}

impl Load {
    /// When something is to be done, events or not.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let peers = self.peers.values().flat_map(|peer| peer.dues(now));
        // What is late is nobody's event.
        let look = (!self.got.is_full()).then(|| now + LOOK);
        peers.chain(self.server.due(now)).chain(look).min()
    }

    /// Connections whose answers are overdue.
    pub(super) fn overdue(&self, now: Instant) -> Vec<u64> {
        let late = |exchange: &Exchange| exchange.due().is_some_and(|due| due <= now);
        let peers = self.peers.iter().flat_map(|(token, peer)| {
            let frames = late(&peer.frames).then_some(*token);
            frames
                .into_iter()
                .chain(late(&peer.news).then_some(*token + 1))
        });
        peers.chain(self.server.overdue(now)).collect()
    }

    /// The peers that the server names: new ones are met, others left.
    pub(super) fn meet(&mut self, named: &[SocketAddr]) {
        let named = named.get(..PEERS).unwrap_or(named);
        let named: Vec<SocketAddr> = named
            .iter()
            .copied()
            .filter(|address| !self.liars.contains(&address.ip()))
            .collect();
        // Who lies may still be served: he is in need as well.
        self.shelf
            .allow(named.iter().map(|address| address.ip().to_canonical()));
        let left: Vec<u64> = self
            .peers
            .iter()
            .filter(|(_, peer)| !named.contains(&peer.address))
            .map(|(token, _)| *token)
            .collect();
        left.into_iter().for_each(|token| self.leave(token));
        for address in named {
            if self.peers.values().all(|peer| peer.address != address) {
                let token = self.next_peer;
                self.next_peer += 2;
                let peer = Peer::new(address, self.from, &self.epoll, token, self.holders.len());
                self.peers.insert(token, peer);
            }
        }
    }

    /// Asks peers for what can be asked now.
    pub(super) fn ask_peers(&mut self, now: Instant) {
        let mut tokens: Vec<u64> = self.peers.keys().copied().collect();
        self.random.shuffle(&mut tokens);
        for token in tokens {
            self.ask_news(token, now);
            if self.ready.len() <= UNWRITTEN {
                self.ask_frame(token, now);
            }
        }
    }

    /// An event of one of a peer's connections, or its time is over.
    pub(super) fn peer_turn(&mut self, token: u64, now: Instant) {
        match token % 2 {
            0 => self.frame_turn(token, now),
            _ => self.news_turn(token - 1, now),
        }
    }

    fn ask_news(&mut self, token: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&token) else {
            return;
        };
        let may = peer.news.is_idle()
            && !self.got.is_full()
            && peer.news_not_before.is_none_or(|at| at <= now);
        if !may {
            return;
        }
        peer.news_not_before = None;
        let path = format!("/v1/have/{}?after={}", self.image, peer.known);
        let ask = Ask {
            request: protocol::get(peer.address, &path, Some(&self.run)),
            most: 4 * NEWS,
            patience: PATIENCE,
        };
        peer.news.ask(ask, now);
        self.news_turn(token, now);
    }

    fn news_turn(&mut self, token: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&token) else {
            return;
        };
        match peer.news.turn(now) {
            None => {}
            Some(Ok(reply)) if reply.status == 200 => {
                peer.failures = 0;
                peer.news_not_before = Some(now + NEWS_PAUSE);
                match protocol::read_news(&reply.body, self.holders.len()) {
                    Some(news) => {
                        peer.known += news.len();
                        for frame in news {
                            if peer.have.insert(frame)
                                && let Some(count) = self.holders.get_mut(frame)
                            {
                                *count = count.saturating_add(1);
                            }
                        }
                    }
                    None => self.shun(token),
                }
            }
            // It does not know us yet, or any more.
            Some(Ok(_)) | Some(Err(Failure::Gone(_) | Failure::Silent)) => peer.fail(now),
            Some(Err(Failure::Nonsense(_))) => self.shun(token),
        }
    }

    fn ask_frame(&mut self, token: u64, now: Instant) {
        let may = |peer: &Peer| peer.frames.is_idle() && peer.not_before.is_none_or(|at| at <= now);
        if !self.peers.get(&token).is_some_and(may) {
            return;
        }
        let Some(index) = self.choose(token, now) else {
            return;
        };
        let Some(frame) = self.manifest.frames().get(index) else {
            return;
        };
        let most = longest_stored(frame.raw()) as usize;
        if !self.flights.has_room(most) {
            return;
        }
        let Some(peer) = self.peers.get_mut(&token) else {
            return;
        };
        let path = format!("/v1/frame/{}/{index}", self.image);
        let ask = Ask {
            request: protocol::get(peer.address, &path, Some(&self.run)),
            most,
            patience: PATIENCE,
        };
        peer.not_before = None;
        peer.asked = Some((index, most));
        peer.frames.ask(ask, now);
        self.flights.begin(index, now);
        self.flights.load(most);
        self.frame_turn(token, now);
    }

    fn frame_turn(&mut self, token: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&token) else {
            return;
        };
        let Some(answer) = peer.frames.turn(now) else {
            return;
        };
        let Some((index, most)) = peer.asked.take() else {
            return;
        };
        self.flights.end(index);
        self.flights.unload(most);
        match answer {
            Ok(reply) if reply.status == 200 => {
                peer.failures = 0;
                let from = peer.address.ip();
                // Only the server's damage is an error.
                if !self.take(index, reply.body, Some(from)).unwrap_or(false) {
                    self.shun(token);
                }
            }
            Ok(reply) if reply.status == 404 => {
                if peer.have.remove(index)
                    && let Some(count) = self.holders.get_mut(index)
                {
                    *count = count.saturating_sub(1);
                }
            }
            Ok(_) | Err(Failure::Gone(_) | Failure::Silent) => peer.fail(now),
            Err(Failure::Nonsense(_)) => self.shun(token),
        }
    }

    /// Of what the peer has and we have not, the frame that fewest have; at the end one that is late.
    fn choose(&mut self, token: u64, now: Instant) -> Option<usize> {
        let peer = self.peers.get(&token)?;
        let from = self.random.below(self.holders.len());
        let holders = |index: &usize| self.holders.get(*index).copied().unwrap_or(0);
        let there = || peer.have.minus(&self.got, from).take(LOOKED_AT);
        let free = there().filter(|index| !self.flights.is_flying(*index));
        if let Some(rarest) = free.min_by_key(holders) {
            return Some(rarest);
        }
        let missing = self.holders.len() - self.got.count();
        if self.flights.count() < missing {
            return None;
        }
        there().find(|index| self.flights.is_late(*index, now))
    }

    /// A peer that gave something false is not asked again in this run.
    fn shun(&mut self, token: u64) {
        if let Some(peer) = self.peers.get(&token) {
            let address = peer.address.ip();
            self.liars.insert(address);
            let why = format!("peer {address}: gives what is not the image; it is not asked again");
            program::syslog::log("osload-agent", program::syslog::Level::Warning, &why);
        }
        self.leave(token);
    }

    fn leave(&mut self, token: u64) {
        let Some(peer) = self.peers.remove(&token) else {
            return;
        };
        if let Some((index, most)) = peer.asked {
            self.flights.end(index);
            self.flights.unload(most);
        }
        for frame in peer.have.iter() {
            if let Some(count) = self.holders.get_mut(frame) {
                *count = count.saturating_sub(1);
            }
        }
    }
}
