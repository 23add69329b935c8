//! The node's side: frames from the server and from peers, and to peers.

mod document;
mod flights;
mod peer;
mod pulse;
mod random;
mod server;
mod shelf;

pub use document::document;
pub use pulse::Pulse;
pub use shelf::ReadBack;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use disk_image::{Digest, Frame, Manifest};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};

use crate::Error;
use crate::bits::Bits;
use crate::http::{Limits, Server};
use crate::protocol::run_of;

use flights::Flights;
use peer::Peer;
use random::Random;
use server::ServerSide;
use shelf::{Desk, Shelf};

/// How often the server itself may give a frame that does not match.
const DAMAGED: u32 = 3;

/// Connections of peers.
const PEER_CONNECTIONS: usize = 128;

/// Frames on their way to peers at a time.
const UPLOADS: usize = 3;

/// What to load, and from whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The image server.
    pub server: SocketAddr,
    /// The image.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Rc<Manifest>,
    /// The run's nonce.
    pub nonce: String,
    /// Where to listen for peers (port 0: any); an address that is a certain one is this node's own
    /// wherever it connects to. None: nothing is handed on, and only the server is asked.
    pub listen: Option<SocketAddr>,
    /// Bytes for frames on their way and for those that peers may want soon.
    pub memory: usize,
    /// When to give up.
    pub deadline: Instant,
}

/// A frame that came, and is what the manifest says.
#[derive(Debug)]
pub struct Received {
    /// Its number.
    pub index: usize,
    /// Its extents' bytes, one after the other.
    pub raw: Vec<u8>,
}

/// Where frames came from, and went, in bytes as they were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the server.
    pub from_server: u64,
    /// From peers.
    pub from_peers: u64,
    /// To peers.
    pub to_peers: u64,
    /// Came twice.
    pub in_vain: u64,
}

/// An image on its way to this node. Nothing happens but in [`Load::next`].
#[derive(Debug)]
pub struct Load {
    manifest: Rc<Manifest>,
    image: Digest,
    nonce: String,
    run: String,
    deadline: Instant,
    epoll: Rc<Epoll>,
    from: Option<IpAddr>,
    door: Option<Server>,
    port: u16,
    shelf: Shelf,
    /// Frames that came, on disk or not.
    got: Bits,
    flights: Flights,
    server: ServerSide,
    peers: HashMap<u64, Peer>,
    next_peer: u64,
    /// How many peers have each frame.
    holders: Vec<u16>,
    /// Peers that gave something false.
    liars: HashSet<IpAddr>,
    ready: VecDeque<Received>,
    damaged: HashMap<usize, u32>,
    trouble: String,
    random: Random,
    traffic: Traffic,
}

impl Load {
    /// Begins; `have` says which frames are on the disk already, by number.
    ///
    /// # Errors
    /// The socket for peers cannot be had.
    pub fn start(settings: Settings, have: &[bool]) -> Result<Load, Error> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        let epoll = Rc::new(epoll.map_err(Error::errno("epoll_create"))?);
        let count = settings.manifest.frames().len();
        let from = settings.listen.map(|address| address.ip());
        let from = from.filter(|address| !address.is_unspecified());
        let door = settings.listen.map(listen).transpose()?;
        let port = match &door {
            Some(door) => {
                let address = door.address().map_err(Error::system("getsockname"))?;
                address.port()
            }
            None => 0,
        };
        let mut shelf = Shelf::new(
            settings.digest,
            run_of(&settings.nonce),
            Rc::clone(&settings.manifest),
            settings.memory / 5 * 2,
        );
        let mut got = Bits::new(count);
        for (index, _) in have.iter().enumerate().filter(|(_, have)| **have) {
            got.insert(index);
            shelf.put_down(index);
        }
        Ok(Load {
            run: run_of(&settings.nonce),
            flights: Flights::new(settings.memory / 5 * 2),
            server: ServerSide::new(settings.server, from, &epoll),
            manifest: settings.manifest,
            image: settings.digest,
            nonce: settings.nonce,
            deadline: settings.deadline,
            epoll,
            from,
            door,
            port,
            shelf,
            got,
            peers: HashMap::new(),
            next_peer: peer::FIRST,
            holders: vec![0; count],
            liars: HashSet::new(),
            ready: VecDeque::new(),
            damaged: HashMap::new(),
            trouble: "nothing came".into(),
            random: Random::new(),
            traffic: Traffic::default(),
        })
    }

    /// The next frame, or None after `timeout`. Meanwhile peers are served; frames that they want and
    /// that are not in memory any more are read back from `disk`.
    ///
    /// # Errors
    /// [`Error::Deadline`], [`Error::Refused`], [`Error::Damaged`]; a server or peer that is gone is
    /// asked again.
    pub fn next(
        &mut self,
        disk: &mut dyn ReadBack,
        timeout: Duration,
    ) -> Result<Option<Received>, Error> {
        let until = Instant::now() + timeout;
        loop {
            self.turn(disk)?;
            if let Some(received) = self.ready.pop_front() {
                self.flights.unload(received.raw.len());
                return Ok(Some(received));
            }
            let now = Instant::now();
            if until <= now {
                return Ok(None);
            }
            self.sleep(until, now)?;
        }
    }

    /// A frame is on the disk: it counts, and peers may have it.
    pub fn written(&mut self, index: usize) {
        if self.shelf.put_down(index)
            && let Some(door) = &mut self.door
        {
            door.wake();
        }
    }

    /// True when all frames are on the disk.
    pub fn is_complete(&self) -> bool {
        self.shelf.on_disk().is_full()
    }

    /// How many frames are on the disk.
    pub fn count(&self) -> usize {
        self.shelf.on_disk().count()
    }

    /// Where frames came from, and went.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            to_peers: self.shelf.handed_on(),
            ..self.traffic
        }
    }

    /// Tells the server that nothing more is needed; gives that three seconds, and goes on serving
    /// peers meanwhile.
    pub fn done(&mut self, disk: &mut dyn ReadBack) {
        self.server.say_done();
        let until = Instant::now() + Duration::from_secs(3);
        while !self.server.done_is_said() && Instant::now() < until {
            if self.turn(disk).is_err() || self.sleep(until, Instant::now()).is_err() {
                return;
            }
        }
    }

    fn sleep(&self, until: Instant, now: Instant) -> Result<(), Error> {
        let door = self.door.as_ref();
        let due = [Some(until), self.due(now), door.and_then(Server::due)];
        let due = due.into_iter().flatten().min().unwrap_or(until);
        let left = due.saturating_duration_since(now) + Duration::from_millis(1);
        let mut polled = vec![PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)];
        polled.extend(door.map(|door| PollFd::new(door.as_fd(), PollFlags::POLLIN)));
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(Error::errno("poll")(error)),
        }
    }

    /// Does what can be done now.
    fn turn(&mut self, disk: &mut dyn ReadBack) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(Error::Deadline {
                what: self.what(),
                last: self.trouble.clone(),
            });
        }
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            Err(nix::Error::EINTR) => 0,
            other => other.map_err(Error::errno("epoll_wait"))?,
        };
        let events = events.iter().take(count).map(EpollEvent::data);
        let mut tokens: Vec<u64> = events.chain(self.overdue(now)).collect();
        tokens.dedup();
        for token in tokens {
            if token < peer::FIRST {
                self.server_turn(token, now)?;
            } else {
                self.peer_turn(token, now);
            }
        }
        self.ask_server(now)?;
        self.ask_peers(now);
        if let Some(door) = &mut self.door {
            let mut desk = Desk::new(&mut self.shelf, disk);
            door.turn(&mut desk).map_err(Error::system("epoll"))?;
        }
        Ok(())
    }

    /// A frame has come, from a peer or the server. False: it is not what it should be.
    fn take(&mut self, index: usize, stored: Vec<u8>, from: Option<IpAddr>) -> Result<bool, Error> {
        let bytes = stored.len() as u64;
        match from {
            None => self.traffic.from_server += bytes,
            Some(_) => self.traffic.from_peers += bytes,
        }
        if self.got.has(index) {
            self.traffic.in_vain += bytes;
            return Ok(true);
        }
        let Some(frame) = self.manifest.frames().get(index) else {
            return Ok(false);
        };
        match decode(frame, &stored) {
            Ok(raw) => {
                self.got.insert(index);
                self.flights.load(raw.len());
                self.ready.push_back(Received { index, raw });
                if self.door.is_some() {
                    self.shelf.keep(index, stored);
                }
                Ok(true)
            }
            Err(why) if from.is_none() => {
                let times = self.damaged.entry(index).or_default();
                *times += 1;
                if *times >= DAMAGED {
                    let what = self.what();
                    return Err(Error::Damaged { what, why });
                }
                self.trouble = why;
                Ok(false)
            }
            Err(why) => {
                self.trouble = why;
                Ok(false)
            }
        }
    }

    fn what(&self) -> String {
        format!("image {}", self.image)
    }
}

/// A peer may have compressed it anew: then it is as long as it is. The digest proves it all the same.
fn decode(frame: &Frame, stored: &[u8]) -> Result<Vec<u8>, String> {
    let mut as_sent = frame.clone();
    as_sent.stored = u32::try_from(stored.len()).unwrap_or(u32::MAX);
    as_sent.decode(stored).map_err(|error| error.to_string())
}

fn listen(address: SocketAddr) -> Result<Server, Error> {
    let limits = Limits {
        connections: PEER_CONNECTIONS,
        per_address: 4,
        slots: UPLOADS,
        queue: PEER_CONNECTIONS,
        ..Limits::default()
    };
    let open = TcpListener::bind(address);
    open.and_then(|listener| Server::new(listener, limits, "osload-agent"))
        .map_err(|why| Error::Listen { address, why })
}
