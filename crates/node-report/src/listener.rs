//! callbackd's parent: accepts, stores, rings. It touches no table and parses nothing but its
//! children's checked records; whatever needs tables is done by a child of its own, one at a time.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use fork_worker::confine::Confinement;
use fork_worker::{ChildId, Crew, Event, Job, Limits, What};
use tls::ServerContext;
use xcat_request::load::Told;
use xcat_tables::Location;

use crate::Error;
use crate::addresses::Addresses;
use crate::connection;
use crate::desk::{self, Desk, Found};
use crate::destiny::Question;
use crate::door::{Door, Verdict};
use crate::exchange::{Ask, Reply};
use crate::inbox;
use crate::record::{Content, Report};
use crate::spool::Spool;
use single_server::PrivateDir;

/// Connections at a time; more wait in the kernel's queue, they are not refused.
const CONNECTIONS: usize = 256;

/// Longest line of a child: a request's limit, doubled by JSON's escapes.
const LINE: usize = 2 << 20;

/// How often to look whether something was left behind.
const ROUND: Duration = Duration::from_secs(1);

/// How the listener is to run.
#[derive(Debug, Clone)]
pub struct Service {
    /// Which tables.
    pub location: Location,
    /// Whom connections' children become, and their limits.
    pub confinement: Confinement,
    /// End when for so long nobody has waited for a node. `None`: never.
    pub linger: Option<Duration>,
}

/// Something that a person or the log may want to know.
#[derive(Debug)]
pub enum Remark {
    /// A report is safe.
    Stored {
        /// The node.
        node: String,
        /// How many adapters were usable.
        adapters: usize,
    },
    /// What a node says of its disk is safe.
    Told {
        /// The node.
        node: String,
        /// Set-up or verdict.
        told: Told,
    },
    /// A peer was refused or broke off. Not more than one per peer and minute.
    Peer {
        /// Its address.
        peer: IpAddr,
        /// Why.
        why: String,
    },
    /// Something else.
    Trouble(String),
}

/// callbackd's loop.
#[derive(Debug)]
pub struct Listener {
    service: Service,
    socket: TcpListener,
    context: Rc<ServerContext>,
    run: PrivateDir,
    spool: Spool,
    crew: Crew<Who>,
    door: Door,
    desk: Desk,
    connections: HashMap<ChildId, Peer>,
    waiting: Vec<(ChildId, Report)>,
    somebody: Instant,
    looked: Instant,
    tired: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Connection(IpAddr, String),
    Desk(desk::Task),
}

#[derive(Debug)]
struct Peer {
    address: IpAddr,
    node: String,
    /// It has asked and not been answered: an honest child waits.
    asked: bool,
}

impl Listener {
    /// Takes a listening socket and the TLS context. `run` and the spool are opened here.
    pub fn new(
        service: Service,
        socket: TcpListener,
        context: ServerContext,
    ) -> Result<Listener, Error> {
        socket
            .set_nonblocking(true)
            .map_err(|error| Error::Host(format!("the listening socket: {error}")))?;
        Ok(Listener {
            run: PrivateDir::open(&program::paths::run_dir())?,
            spool: Spool::open(&program::paths::state_dir())?,
            // Two more for the desk: connections never wait for it.
            crew: Crew::new(Limits::fanout(CONNECTIONS + 2)),
            door: Door::default(),
            desk: Desk::new(service.location.clone()),
            connections: HashMap::new(),
            waiting: Vec::new(),
            somebody: Instant::now(),
            looked: Instant::now(),
            tired: None,
            context: Rc::new(context),
            service,
            socket,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Serves until `interrupt` becomes readable or nobody has waited for long enough.
    pub fn serve(
        &mut self,
        interrupt: BorrowedFd<'_>,
        remark: &mut dyn FnMut(Remark),
    ) -> Result<(), Error> {
        loop {
            let open = self.connections.len() < CONNECTIONS
                && self.door.has_room()
                && self.tired.is_none_or(|since| since.elapsed() >= ROUND);
            let socket = self.socket.as_fd();
            let others: &[BorrowedFd<'_>] = if open {
                &[interrupt, socket]
            } else {
                &[interrupt]
            };
            let ready = self
                .crew
                .wait(others, Some(ROUND))
                .map_err(|error| Error::Host(format!("poll: {error}")))?;
            if ready.readable.contains(&0) {
                self.crew.terminate();
                return Ok(());
            }
            if ready.readable.contains(&1) {
                self.accept(remark);
            }
            for event in ready.events {
                self.take(event, remark);
            }
            self.store(remark);
            self.ask_desk();
            if self.looked.elapsed() >= ROUND {
                match self.round() {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(error) => remark(Remark::Trouble(error.to_string())),
                }
            }
        }
    }

    fn accept(&mut self, remark: &mut dyn FnMut(Remark)) {
        while self.connections.len() < CONNECTIONS {
            match self.socket.accept() {
                Ok((stream, peer)) => self.admit(stream, peer.ip().to_canonical(), true, remark),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    // Out of descriptors or memory: the queue keeps them for a second.
                    self.tired = Some(Instant::now());
                    return remark(Remark::Trouble(format!("accept: {error}")));
                }
            }
            if !self.door.has_room() {
                return;
            }
        }
    }

    fn admit(
        &mut self,
        stream: std::net::TcpStream,
        address: IpAddr,
        new: bool,
        remark: &mut dyn FnMut(Remark),
    ) {
        match self.door.judge(stream, address, new) {
            Verdict::Wait => {}
            Verdict::Refuse(why) => self.say_of_peer(address, why, remark),
            Verdict::Serve(stream, node) => {
                let (context, confinement) =
                    (Rc::clone(&self.context), self.service.confinement.clone());
                let keep = stream.as_raw_fd();
                let job = Job::new(move |report| {
                    connection::serve(stream, &context, &confinement, report)
                })
                .deadline(connection::IN_ALL)
                .keep(keep)
                .line_limit(LINE);
                let child = self.crew.start(Who::Connection(address, node.clone()), job);
                self.connections.insert(
                    child,
                    Peer {
                        address,
                        node,
                        asked: false,
                    },
                );
            }
        }
    }

    fn take(&mut self, event: Event<Who>, remark: &mut dyn FnMut(Remark)) {
        match (event.key, event.what) {
            (Who::Connection(..), What::Line(line)) => {
                self.take_message(event.child, &line, remark)
            }
            (Who::Connection(address, _), What::Ended(result)) => {
                self.connections.remove(&event.child);
                self.door.left(address);
                if let Err(why) = result {
                    self.say_of_peer(address, why.to_string(), remark);
                }
            }
            (Who::Desk(task), What::Line(line)) => match self.desk.line(task, &line) {
                Some((child, Found::Reply(reply))) => self.reply(child, &reply),
                Some((child, Found::Admitted(report))) => self.waiting.push((child, report)),
                None => {}
            },
            (Who::Desk(task), What::Ended(result)) => {
                if let Err(why) = &result {
                    remark(Remark::Trouble(why.to_string()));
                }
                let ended = self.desk.ended(task, result.is_ok());
                for (child, reply) in ended.unanswered {
                    self.reply(child, &reply);
                }
                if task == desk::Task::Addresses {
                    self.map_read(ended.addresses, remark);
                }
            }
        }
    }

    fn take_message(&mut self, child: ChildId, line: &str, remark: &mut dyn FnMut(Remark)) {
        let Some(peer) = self.connections.get_mut(&child) else {
            return;
        };
        let (address, node) = (peer.address, peer.node.clone());
        if std::mem::replace(&mut peer.asked, true) {
            self.crew.cancel(child);
            return self.say_of_peer(address, "its child asks without waiting".into(), remark);
        }
        match serde_json::from_str(line) {
            Ok(Ask::Report { nonce, facts }) => {
                let report = Report::now(&node, Some(address.to_string()), nonce, facts);
                self.waiting.push((child, report));
            }
            Ok(Ask::Load { nonce, told }) => {
                let report = Report::now(&node, Some(address.to_string()), Some(nonce), told);
                self.desk.load(child, report);
            }
            Ok(Ask::Destiny { next }) => self.desk.question(child, Question { node, next }),
            // A new request starts work on nodes; over the wire nobody has shown the right to that.
            Ok(Ask::New { .. }) => self.reply(
                child,
                &Reply::Refused("Permission denied for request".into()),
            ),
            Err(error) => {
                self.crew.cancel(child);
                let why = format!("its child speaks nonsense: {error}");
                self.say_of_peer(address, why, remark);
            }
        }
    }

    /// Makes everything that has come in this round safe at once, tells the children, rings.
    fn store(&mut self, remark: &mut dyn FnMut(Remark)) {
        if self.waiting.is_empty() {
            return;
        }
        let (children, reports): (Vec<ChildId>, Vec<Report>) = self.waiting.drain(..).unzip();
        let results = self.spool.store(&reports);
        for ((child, report), result) in children.into_iter().zip(&reports).zip(results) {
            let reply = match result {
                Ok(()) => {
                    let node = report.node.clone();
                    remark(match &report.content {
                        Content::Adapters(facts) => Remark::Stored {
                            node,
                            adapters: facts.adapters.len(),
                        },
                        Content::Load(told) => Remark::Told {
                            node,
                            told: told.clone(),
                        },
                    });
                    Reply::Stored
                }
                Err(error) => {
                    remark(Remark::Trouble(format!("{}: {error}", report.node)));
                    Reply::Busy(error.to_string())
                }
            };
            self.reply(child, &reply);
        }
        // Nobody living waits: then storing it in the tables is ours to do.
        if inbox::ring(&self.run).is_ok_and(|heard| heard == 0) {
            self.desk.apply();
        }
    }

    fn reply(&mut self, child: ChildId, reply: &Reply) {
        if let Some(peer) = self.connections.get_mut(&child) {
            peer.asked = false;
        }
        if let Ok(line) = serde_json::to_string(reply) {
            // A child that is gone has lost only its answer.
            let _ = self.crew.reply(child, &line);
        }
    }

    /// Starts what the desk has to do.
    fn ask_desk(&mut self) {
        if self.door.wants_map() {
            self.desk.read_addresses();
        }
        while let Some((task, job)) = self.desk.next() {
            self.crew.start(Who::Desk(task), job);
        }
    }

    fn map_read(&mut self, addresses: Option<Addresses>, remark: &mut dyn FnMut(Remark)) {
        for (stream, peer) in self.door.map_read(addresses) {
            self.admit(stream, peer, false, remark);
        }
    }

    /// Once a second: what a dead waiter left is applied; true if it is time to end.
    fn round(&mut self) -> Result<bool, Error> {
        self.looked = Instant::now();
        let left = !self.spool.waiting()?.is_empty();
        if left {
            self.desk.apply();
        }
        if left || inbox::anybody(&self.run)? || !self.connections.is_empty() {
            self.somebody = Instant::now();
        }
        Ok(self
            .service
            .linger
            .is_some_and(|linger| self.somebody.elapsed() >= linger))
    }

    fn say_of_peer(&mut self, peer: IpAddr, why: String, remark: &mut dyn FnMut(Remark)) {
        if self.door.may_log(peer) {
            remark(Remark::Peer { peer, why });
        }
    }
}
