//! The server's loop: accepts, reads, asks the handler, sends. Whoever has other things to wait for
//! polls its descriptor beside them.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::bucket::Bucket;
use super::connection::{Connection, Sent, State};
use super::log::Log;
use super::request::{Parsed, Request, parse};
use super::response::{Body, Response, Verdict};

const LISTENER: u64 = 0;

/// How often connections are looked through for those that are over their time.
const ROUND: Duration = Duration::from_millis(250);

/// Connections over the limits that are still told so; the next ones are dropped unheard.
const SURPLUS: usize = 64;

/// A slot is free again after so long for each MiB, sent or not: one slow peer does not hold it.
const SLOT: Duration = Duration::from_secs(1);

/// Limits of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub per_address: usize,
    /// Frames that are sent at a time: one after the other gets out at the line's rate.
    pub slots: usize,
    /// Requests that wait for a slot.
    pub queue: usize,
    /// From a request's first byte to its last.
    pub request: Duration,
    /// Between requests.
    pub idle: Duration,
    /// Without a byte taken by the peer.
    pub stall: Duration,
    /// Bytes a second, of all connections together; None: no limit.
    pub rate: Option<u64>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 4_096,
            per_address: 8,
            slots: 4,
            queue: 1_024,
            request: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            rate: None,
        }
    }
}

/// Who knows the answers.
pub(crate) trait Handler {
    /// What is to be done with a request. `last`: there is no more waiting.
    fn judge(&mut self, request: &Request, last: bool) -> Verdict;

    /// The answer to a queued request, now that it is its turn.
    fn produce(&mut self, request: &Request) -> Response;

    /// So many bytes of a body have gone to a peer.
    fn sent(&mut self, peer: IpAddr, bytes: u64);
}

/// The server.
#[derive(Debug)]
pub(crate) struct Server {
    limits: Limits,
    listener: TcpListener,
    epoll: Epoll,
    connections: HashMap<u64, Connection>,
    addresses: HashMap<IpAddr, usize>,
    surplus: usize,
    queue: VecDeque<u64>,
    /// Until when an answer holds its slot.
    slots: HashMap<u64, Instant>,
    bucket: Bucket,
    log: Log,
    next: u64,
    looked: Instant,
    throttled: bool,
    woken: bool,
    /// Out of descriptors: the kernel keeps the others for a while.
    tired: Option<Instant>,
}

impl Server {
    /// Takes a listening socket; `ident` is what the system's log calls us.
    pub(crate) fn new(
        listener: TcpListener,
        limits: Limits,
        ident: &'static str,
    ) -> io::Result<Server> {
        listener.set_nonblocking(true)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        let now = Instant::now();
        Ok(Server {
            bucket: Bucket::new(limits.rate, now),
            limits,
            listener,
            epoll,
            connections: HashMap::new(),
            addresses: HashMap::new(),
            surplus: 0,
            queue: VecDeque::new(),
            slots: HashMap::new(),
            log: Log::new(ident),
            next: LISTENER + 1,
            looked: now,
            throttled: false,
            woken: false,
            tired: None,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// When [`Server::turn`] is wanted, events or not.
    pub(crate) fn due(&self) -> Option<Instant> {
        let mut due = (!self.connections.is_empty()).then(|| self.looked + ROUND);
        let mut earlier = |at: Instant| due = Some(due.map_or(at, |due| due.min(at)));
        if self.throttled {
            earlier(Instant::now() + self.bucket.wait());
        }
        if self.woken {
            earlier(self.looked);
        }
        if let Some(tired) = self.tired {
            earlier(tired + ROUND);
        }
        due
    }

    /// Requests that are held are to be judged again.
    pub(crate) fn wake(&mut self) {
        self.woken = true;
    }

    /// Does what can be done now. Never waits.
    pub(crate) fn turn(&mut self, handler: &mut dyn Handler) -> io::Result<()> {
        let now = Instant::now();
        if self
            .tired
            .take_if(|since| now.saturating_duration_since(*since) >= ROUND)
            .is_some()
        {
            self.listen(EpollFlags::EPOLLIN)?;
        }
        let mut events = [EpollEvent::empty(); 256];
        let count = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            Err(nix::errno::Errno::EINTR) => 0,
            other => other?,
        };
        for event in events.iter().take(count) {
            match event.data() {
                LISTENER => self.accept(now)?,
                id => self.ready(id, event.events(), handler, now),
            }
        }
        if std::mem::take(&mut self.woken) {
            self.rejudge(handler, now);
        }
        if self.throttled {
            self.unthrottle(handler, now);
        }
        if now.saturating_duration_since(self.looked) >= ROUND {
            self.looked = now;
            self.expire(handler, now);
        }
        self.start_queued(handler, now);
        Ok(())
    }

    fn listen(&self, interest: EpollFlags) -> io::Result<()> {
        let mut event = EpollEvent::new(interest, LISTENER);
        Ok(self.epoll.modify(&self.listener, &mut event)?)
    }

    fn accept(&mut self, now: Instant) -> io::Result<()> {
        // A storm of connections must not keep those that are here waiting.
        for _ in 0..64 {
            match self.listener.accept() {
                Ok((stream, peer)) => self.admit(stream, peer.ip().to_canonical(), now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(_) => {
                    self.tired = Some(now);
                    return self.listen(EpollFlags::empty());
                }
            }
        }
        Ok(())
    }

    fn admit(&mut self, stream: TcpStream, peer: IpAddr, now: Instant) {
        let open = self.addresses.get(&peer).copied().unwrap_or(0);
        let full = self.connections.len() >= self.limits.connections + self.surplus;
        let surplus = full || open >= self.limits.per_address;
        if surplus {
            let why = if full {
                "too many connections in all"
            } else {
                "too many connections of this address"
            };
            self.log.refused(peer, why, now);
            if self.surplus >= SURPLUS {
                return;
            }
        }
        let id = self.next;
        let interest = EpollFlags::EPOLLIN;
        let ready = stream
            .set_nonblocking(true)
            .and_then(|()| stream.set_nodelay(true))
            .and_then(|()| Ok(self.epoll.add(&stream, EpollEvent::new(interest, id))?));
        if ready.is_err() {
            return;
        }
        self.next += 1;
        if surplus {
            self.surplus += 1;
        } else {
            *self.addresses.entry(peer).or_default() += 1;
        }
        let connection = Connection {
            stream,
            peer,
            surplus,
            input: Vec::new(),
            state: State::Reading(now),
            interest,
        };
        self.connections.insert(id, connection);
    }

    fn ready(&mut self, id: u64, events: EpollFlags, handler: &mut dyn Handler, now: Instant) {
        let Some(mut connection) = self.connections.remove(&id) else {
            return;
        };
        let gone = events.intersects(EpollFlags::EPOLLERR | EpollFlags::EPOLLHUP);
        match &connection.state {
            State::Reading(_) => {
                let fresh = connection.input.is_empty();
                if !connection.read() {
                    connection.state = State::Closed;
                } else if fresh {
                    connection.state = State::Reading(now);
                }
            }
            State::Queued(_) | State::Held(..) if !events.is_empty() => {
                connection.state = State::Closed;
            }
            _ if gone => connection.state = State::Closed,
            _ => {}
        }
        self.go_on(id, connection, handler, now);
    }

    /// Whatever can be done for a connection without waiting; then it is put back, or dropped.
    fn go_on(
        &mut self,
        id: u64,
        mut connection: Connection,
        handler: &mut dyn Handler,
        now: Instant,
    ) {
        loop {
            match &mut connection.state {
                State::Reading(_) => {
                    if connection.input.is_empty() || !self.parse(id, &mut connection, handler, now)
                    {
                        break;
                    }
                }
                State::Sending(sending) => {
                    let peer = connection.peer;
                    let mut count = |bytes| handler.sent(peer, bytes);
                    match sending.push(&connection.stream, &mut self.bucket, now, &mut count) {
                        Sent::Part => {
                            self.throttled |= sending.throttled;
                            break;
                        }
                        Sent::All => connection.state = State::Reading(now),
                        Sent::End => connection.state = State::Closed,
                    }
                    self.slots.remove(&id);
                }
                State::Queued(_) | State::Held(..) | State::Closed => break,
            }
        }
        self.put_back(id, connection);
    }

    /// Takes a request out of the input. False: it is not whole yet.
    fn parse(
        &mut self,
        id: u64,
        connection: &mut Connection,
        handler: &mut dyn Handler,
        now: Instant,
    ) -> bool {
        match parse(&connection.input, connection.peer) {
            Ok(Parsed::Partial) => return false,
            Ok(Parsed::Whole(request, used)) => {
                connection.input.drain(..used);
                let verdict = if connection.surplus {
                    Verdict::Now(Response::later(2, "too many connections"))
                } else {
                    handler.judge(&request, false)
                };
                self.follow(id, connection, request, verdict, now);
            }
            Err(bad) => {
                let mut response = Response::refuse(bad.status, bad.why);
                response.close = true;
                self.respond(connection, response, false, now);
            }
        }
        true
    }

    fn follow(
        &mut self,
        id: u64,
        connection: &mut Connection,
        request: Request,
        verdict: Verdict,
        now: Instant,
    ) {
        match verdict {
            Verdict::Now(response) => self.respond(connection, response, request.keep, now),
            Verdict::Hold(until) => connection.state = State::Held(request, until),
            Verdict::Queue if self.queue.len() >= self.limits.queue => {
                let response = Response::later(1, "many wait already");
                self.respond(connection, response, request.keep, now);
            }
            Verdict::Queue => {
                connection.state = State::Queued(request);
                self.queue.push_back(id);
            }
        }
    }

    fn respond(
        &mut self,
        connection: &mut Connection,
        response: Response,
        keep: bool,
        now: Instant,
    ) {
        if let Some(why) = &response.refusal {
            self.log.refused(connection.peer, why, now);
        }
        connection.answer(response, keep, now);
    }

    fn start_queued(&mut self, handler: &mut dyn Handler, now: Instant) {
        self.slots.retain(|_, until| *until > now);
        while self.slots.len() < self.limits.slots.max(1) {
            let Some(id) = self.queue.pop_front() else {
                return;
            };
            let Some(mut connection) = self.connections.remove(&id) else {
                continue;
            };
            let State::Queued(request) = &connection.state else {
                self.connections.insert(id, connection);
                continue;
            };
            let (response, keep) = (handler.produce(request), request.keep);
            if !matches!(&response.body, Body::Bytes(bytes) if bytes.is_empty()) {
                let mebibytes = u32::try_from(response.body.len() >> 20).unwrap_or(u32::MAX);
                let time = SLOT.saturating_mul(mebibytes.clamp(1, 60));
                self.slots.insert(id, now + time);
            }
            self.respond(&mut connection, response, keep, now);
            self.go_on(id, connection, handler, now);
        }
    }

    fn rejudge(&mut self, handler: &mut dyn Handler, now: Instant) {
        let held = |connection: &Connection| matches!(connection.state, State::Held(..));
        for id in self.ids(held) {
            self.judge_again(id, handler, now);
        }
    }

    fn judge_again(&mut self, id: u64, handler: &mut dyn Handler, now: Instant) {
        let Some(mut connection) = self.connections.remove(&id) else {
            return;
        };
        if let State::Held(request, until) = &connection.state {
            let (request, until) = (request.clone(), *until);
            match handler.judge(&request, until <= now) {
                // The time that it was given first is the one that counts.
                Verdict::Hold(_) => {}
                verdict => self.follow(id, &mut connection, request, verdict, now),
            }
        }
        self.go_on(id, connection, handler, now);
    }

    fn unthrottle(&mut self, handler: &mut dyn Handler, now: Instant) {
        self.throttled = false;
        let held = |connection: &Connection| matches!(&connection.state, State::Sending(sending) if sending.throttled);
        for id in self.ids(held) {
            if let Some(connection) = self.connections.remove(&id) {
                self.go_on(id, connection, handler, now);
            }
        }
    }

    /// Ends what is over its time.
    fn expire(&mut self, handler: &mut dyn Handler, now: Instant) {
        let since = |at: Instant| now.saturating_duration_since(at);
        let limits = self.limits.clone();
        let over = |connection: &Connection| match &connection.state {
            State::Reading(at) if connection.input.is_empty() => since(*at) >= limits.idle,
            State::Reading(at) => since(*at) >= limits.request,
            State::Held(_, until) => *until <= now,
            State::Sending(sending) => !sending.throttled && since(sending.moved) >= limits.stall,
            State::Queued(_) | State::Closed => false,
        };
        for id in self.ids(over) {
            match self.connections.get_mut(&id).map(|one| &mut one.state) {
                Some(State::Held(..)) => self.judge_again(id, handler, now),
                Some(State::Reading(_)) => {
                    let Some(mut connection) = self.connections.remove(&id) else {
                        continue;
                    };
                    if connection.input.is_empty() {
                        connection.state = State::Closed;
                    } else {
                        let mut response = Response::refuse(408, "the request does not end");
                        response.close = true;
                        self.respond(&mut connection, response, false, now);
                    }
                    self.go_on(id, connection, handler, now);
                }
                Some(state) => {
                    *state = State::Closed;
                    if let Some(connection) = self.connections.remove(&id) {
                        self.log.refused(
                            connection.peer,
                            "takes nothing of what it asked for",
                            now,
                        );
                        self.put_back(id, connection);
                    }
                }
                None => {}
            }
        }
    }

    fn put_back(&mut self, id: u64, mut connection: Connection) {
        if !matches!(connection.state, State::Closed) {
            let wanted = connection.wanted();
            let set = wanted == connection.interest
                || self
                    .epoll
                    .modify(&connection.stream, &mut EpollEvent::new(wanted, id))
                    .is_ok();
            if set {
                connection.interest = wanted;
                self.connections.insert(id, connection);
                return;
            }
        }
        self.slots.remove(&id);
        if connection.surplus {
            self.surplus -= 1;
        } else if let Some(open) = self.addresses.get_mut(&connection.peer) {
            *open -= 1;
            if *open == 0 {
                self.addresses.remove(&connection.peer);
            }
        }
        // Closing takes it out of the epoll set as well.
    }

    fn ids(&self, which: impl Fn(&Connection) -> bool) -> Vec<u64> {
        let found = self.connections.iter().filter(|(_, one)| which(one));
        found.map(|(id, _)| *id).collect()
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}
