//! What is asked of the image server: frames that peers do not have, and who the peers are. It is
//! asked for ever, whatever happens to it: another one takes over at the same address.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::epoll::Epoll;

use super::Load;
use crate::Error;
use crate::http::{Ask, Exchange, Failure, Reply};
use crate::protocol::{self, NEIGHBOURS, Neighbours, OFFERED, Offer, Progress};

/// Which connection an event is of; peers' tokens come after these.
const TELL: u64 = 0;
const PICKS: [u64; 2] = [1, 2];

/// Frames that are looked at for an offer.
const LOOKED_AT: usize = 4_096;

/// After so many offers that the server did not like it is to give any of them.
const MODEST: u32 = 3;

/// With more frames than that still to be written nothing is asked for.
pub(super) const UNWRITTEN: usize = 2;

/// How long the server may think: others may be before us.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long its answer to a short question may take.
const PATIENCE_TELL: Duration = Duration::from_secs(10);

/// Refused for so long, the claim is gone: not just unknown to a server that has just begun.
const REFUSED: Duration = Duration::from_secs(30);

/// Between attempts to reach a server that is not there.
const AGAIN: Duration = Duration::from_millis(500);

/// The server, as the node sees it.
#[derive(Debug)]
pub(super) struct ServerSide {
    address: SocketAddr,
    tell: Line,
    picks: [Line; 2],
    /// Offers in a row that were not liked.
    modest: u32,
    refused: Option<Instant>,
    done: Done,
}

/// A connection and when it may be used again.
#[derive(Debug)]
struct Line {
    exchange: Exchange,
    not_before: Option<Instant>,
    /// Memory that the answer may need.
    most: usize,
    /// What was offered.
    offer: Vec<usize>,
    /// What of it is coming.
    coming: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    No,
    ToSay,
    Saying,
    Said,
}

impl ServerSide {
    pub(super) fn new(address: SocketAddr, from: Option<IpAddr>, epoll: &Rc<Epoll>) -> ServerSide {
        let line = |token| Line {
            exchange: Exchange::new(address, from, Rc::clone(epoll), token),
            not_before: None,
            most: 0,
            offer: Vec::new(),
            coming: None,
        };
        ServerSide {
            address,
            tell: line(TELL),
            picks: PICKS.map(line),
            modest: 0,
            refused: None,
            done: Done::No,
        }
    }

    /// That nothing more is needed is what is said next.
    pub(super) fn say_done(&mut self) {
        self.done = Done::ToSay;
        self.tell.not_before = None;
    }

    pub(super) fn done_is_said(&self) -> bool {
        self.done == Done::Said
    }

    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let lines = self.picks.iter().chain([&self.tell]);
        lines
            .filter_map(|line| match line.exchange.is_idle() {
                true => line.not_before.filter(|at| *at > now),
                false => line.exchange.due(),
            })
            .min()
    }

    pub(super) fn overdue(&self, now: Instant) -> impl Iterator<Item = u64> + '_ {
        let lines = [TELL].into_iter().chain(PICKS);
        lines.filter(move |token| {
            let due = self.line(*token).exchange.due();
            due.is_some_and(|due| due <= now)
        })
    }

    fn line(&self, token: u64) -> &Line {
        let pick = PICKS.iter().position(|pick| *pick == token);
        pick.and_then(|at| self.picks.get(at)).unwrap_or(&self.tell)
    }

    fn line_mut(&mut self, token: u64) -> &mut Line {
        let pick = PICKS.iter().position(|pick| *pick == token);
        match pick.and_then(|at| self.picks.get_mut(at)) {
            Some(line) => line,
            None => &mut self.tell,
        }
    }
}

impl Line {
    fn may(&self, now: Instant) -> bool {
        self.exchange.is_idle() && self.not_before.is_none_or(|at| at <= now)
    }

    fn pause(&mut self, now: Instant, pause: Duration) {
        self.not_before = Some(now + pause);
    }
}

impl Load {
    /// Asks the server for what can be asked now.
    pub(super) fn ask_server(&mut self, now: Instant) -> Result<(), Error> {
        if self.server.tell.may(now) {
            self.tell(now)?;
        }
        // What it gives to a node that cannot write it down is missing elsewhere.
        if self.ready.len() > UNWRITTEN {
            return Ok(());
        }
        // With peers one frame at a time: each is to leave the server quickly, for one of us.
        let lines = if self.peers.is_empty() { 2 } else { 1 };
        for token in PICKS {
            self.withdraw_stale(token);
        }
        for token in PICKS.into_iter().take(lines) {
            if self.server.line(token).may(now) {
                self.pick(token, now)?;
            }
        }
        Ok(())
    }

    /// An offer that the server has not looked at is taken back if all of it came from peers meanwhile.
    fn withdraw_stale(&mut self, token: u64) {
        let line = self.server.line(token);
        let waits = !line.exchange.is_idle() && line.coming.is_none();
        let settled = |frame: &usize| self.got.has(*frame) || self.flights.is_flying(*frame);
        if waits && line.offer.iter().all(settled) {
            self.abandon(token);
        }
    }

    /// The answer's head says which frame it is: nobody else is asked for that one; and if it came from
    /// elsewhere, or is about to, it is not wanted any more.
    fn note_coming(&mut self, token: u64, now: Instant) {
        let line = self.server.line(token);
        let Some(frame) = line.exchange.frame().filter(|_| line.coming.is_none()) else {
            return;
        };
        if self.got.has(frame)
            || (self.flights.is_flying(frame) && !self.flights.is_late(frame, now))
        {
            self.abandon(token);
        } else {
            self.flights.begin(frame, now);
            self.server.line_mut(token).coming = Some(frame);
        }
    }

    fn abandon(&mut self, token: u64) {
        self.server.line_mut(token).exchange.close();
        self.settle(token);
    }

    /// A pick is over, one way or the other.
    fn settle(&mut self, token: u64) {
        let line = self.server.line_mut(token);
        line.offer.clear();
        let (most, coming) = (std::mem::take(&mut line.most), line.coming.take());
        self.flights.unload(most);
        if let Some(frame) = coming {
            self.flights.end(frame);
        }
    }

    /// An event of one of the server's connections, or its time is over.
    pub(super) fn server_turn(&mut self, token: u64, now: Instant) -> Result<(), Error> {
        let line = self.server.line_mut(token);
        let Some(answer) = line.exchange.turn(now) else {
            self.note_coming(token, now);
            return Ok(());
        };
        self.settle(token);
        match answer {
            Ok(reply) if reply.status == 403 || reply.status == 404 => {
                self.server.line_mut(token).pause(now, AGAIN);
                let since = *self.server.refused.get_or_insert(now);
                let why = words(&reply);
                if now.saturating_duration_since(since) >= REFUSED {
                    let what = self.what();
                    return Err(Error::Refused { what, why });
                }
                self.trouble = format!("the image server refuses it: {why}");
            }
            Ok(reply) if reply.status == 200 || reply.status == 204 => {
                self.server.refused = None;
                match token {
                    TELL => self.told(&reply, now),
                    _ => self.picked(token, reply, now)?,
                }
            }
            Ok(reply) => {
                let pause = reply.retry_after.map(|s| Duration::from_secs(s.min(5)));
                let line = self.server.line_mut(token);
                line.pause(now, pause.unwrap_or(AGAIN));
                self.trouble = format!(
                    "the image server answers {}: {}",
                    reply.status,
                    words(&reply)
                );
            }
            Err(failure) => {
                self.server.line_mut(token).pause(now, AGAIN);
                self.trouble = match failure {
                    Failure::Gone(why) => format!("the image server: {why}"),
                    Failure::Silent => "the image server is silent".into(),
                    Failure::Nonsense(why) => format!("the image server: {why}"),
                };
            }
        }
        if token == TELL && self.server.done == Done::Saying {
            self.server.done = Done::ToSay;
        }
        Ok(())
    }

    fn tell(&mut self, now: Instant) -> Result<(), Error> {
        let progress = Progress {
            nonce: self.nonce.clone(),
            port: self.port,
            have: self.count() as u64,
            done: self.server.done != Done::No,
        };
        if self.server.done == Done::ToSay {
            self.server.done = Done::Saying;
        }
        let request = protocol::progress(self.server.address, &self.image, &progress);
        self.ask_line(TELL, request, NEIGHBOURS, PATIENCE_TELL, now)
    }

    fn told(&mut self, reply: &Reply, now: Instant) {
        if self.server.done == Done::Saying {
            self.server.done = Done::Said;
        }
        let neighbours: Option<Neighbours> = serde_json::from_slice(&reply.body).ok();
        let pause = neighbours.as_ref().map_or(1_000, |told| told.pause_ms);
        let pause = Duration::from_millis(pause.clamp(100, 60_000));
        self.server.tell.pause(now, pause);
        if let Some(neighbours) = neighbours.filter(|_| self.door.is_some()) {
            self.meet(&neighbours.peers);
        }
    }

    fn pick(&mut self, token: u64, now: Instant) -> Result<(), Error> {
        let of = self.offer(now);
        // Other offers take their part first.
        let others = self
            .server
            .picks
            .iter()
            .filter(|line| !line.offer.is_empty());
        if of.len() <= others.count() {
            return Ok(());
        }
        let frames = self.manifest.frames();
        let stored = of.iter().filter_map(|index| frames.get(*index));
        let Some(most) = stored.map(|frame| frame.stored as usize).max() else {
            return Ok(());
        };
        if !self.flights.has_room(most) {
            return Ok(());
        }
        let offer = Offer {
            of,
            again: self.server.modest >= MODEST || self.peers.is_empty(),
        };
        let request = protocol::pick(self.server.address, &self.image, &offer);
        self.flights.load(most);
        let line = self.server.line_mut(token);
        line.most = most;
        line.offer = offer.of;
        self.ask_line(token, request, most, PATIENCE, now)
    }

    fn picked(&mut self, token: u64, reply: Reply, now: Instant) -> Result<(), Error> {
        let Some(index) = reply.frame.filter(|_| reply.status == 200) else {
            // All of them are on their way to peers: those will tell.
            self.server.modest += 1;
            let pause = Duration::from_millis(100);
            self.server.line_mut(token).pause(now, pause);
            return Ok(());
        };
        // Who had to insist may do so again soon: whoever had that frame is slow with others as well.
        let insisted = self.server.modest >= MODEST;
        self.server.modest = if insisted { MODEST - 1 } else { 0 };
        self.take(index, reply.body, None).map(|_| ())
    }

    /// Frames that the server might give: few peers have them, as far as we know.
    fn offer(&mut self, now: Instant) -> Vec<usize> {
        let from = self.random.below(self.got.len());
        let holders = |index: &usize| self.holders.get(*index).copied().unwrap_or(0);
        let free = self.got.missing(from).take(LOOKED_AT);
        let mut offer: Vec<usize> = free.filter(|at| !self.flights.is_flying(*at)).collect();
        if offer.is_empty() {
            // The end: what is late from a peer.
            let missing = self.got.missing(from).take(LOOKED_AT);
            offer = missing
                .filter(|at| self.flights.is_late(*at, now))
                .collect();
        }
        self.random.shuffle(&mut offer);
        offer.sort_by_key(holders);
        offer.truncate(OFFERED);
        offer
    }

    fn ask_line(
        &mut self,
        token: u64,
        request: Vec<u8>,
        most: usize,
        patience: Duration,
        now: Instant,
    ) -> Result<(), Error> {
        let ask = Ask {
            request,
            // A refusal has words.
            most: most.max(1 << 10),
            patience,
        };
        let line = self.server.line_mut(token);
        line.not_before = None;
        line.exchange.ask(ask, now);
        self.server_turn(token, now)
    }
}

/// A refusal's words, for messages.
fn words(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(&reply.body);
    let line = text.lines().next().unwrap_or_default();
    let short: String = line.chars().take(200).collect();
    program::escape(&short).into_owned()
}
