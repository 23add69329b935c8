//! The image server: one image, for those whom a gate lets in.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use disk_image::{Digest, Manifest};

use crate::Error;
use crate::http::{Body, Handler, Limits, Request, Response, Server, Span, Verdict, Wanted};
use crate::protocol::{Asked, Neighbours, Offer, PEERS, Progress, Unknown};
use crate::ring;

/// A node that has said nothing for so long is nobody's peer.
const SILENT: Duration = Duration::from_secs(10);

/// How often a node says how far it is, and while nodes come and go.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_AT_CHANGE: Duration = Duration::from_millis(250);

/// How long a change counts as one.
const CHANGE: Duration = Duration::from_secs(5);

/// Who may have what. Asked for every request, so it must answer from memory.
pub trait Gate {
    /// The order of a run, for a node of it.
    ///
    /// # Errors
    /// [`Refusal`].
    fn order(&mut self, peer: IpAddr, nonce: &str) -> Result<Vec<u8>, Refusal>;

    /// Passes if the address is of a node that loads the image now.
    ///
    /// # Errors
    /// [`Refusal`].
    fn image(&mut self, peer: IpAddr) -> Result<(), Refusal>;

    /// Passes if it is, in that run.
    ///
    /// # Errors
    /// [`Refusal`].
    fn run(&mut self, peer: IpAddr, nonce: &str) -> Result<(), Refusal>;
}

/// Why somebody does not get something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not for him: 403.
    Forbidden(String),
    /// Perhaps later: 503.
    Later(String),
    /// There is no such thing: 404.
    Missing(String),
}

/// An image to be served.
#[derive(Debug)]
pub struct Image {
    /// Its name.
    pub digest: Digest,
    /// The manifest's bytes.
    pub manifest: Vec<u8>,
    /// The object.
    pub frames: File,
}

/// How far a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its run, as far as it has said so.
    pub nonce: Option<String>,
    /// Frames on its disk, by its own word.
    pub have: u64,
    /// It needs nothing more, by its own word.
    pub done: bool,
    /// How often it has said how far it is.
    pub words: u64,
    /// Bytes of bodies that it took of us: our own count.
    pub bytes: u64,
}

/// The server. Poll its descriptor, and call [`ImageServer::turn`] when that is readable or
/// [`ImageServer::due`] has come.
#[derive(Debug)]
pub struct ImageServer {
    server: Server,
    desk: Desk,
}

#[derive(Debug)]
struct Desk {
    image: Digest,
    manifest: Rc<Vec<u8>>,
    object: Rc<File>,
    size: u64,
    spans: Vec<Span>,
    /// How often each frame was given out.
    given: Vec<u32>,
    runs: HashMap<String, Run>,
    accounts: HashMap<IpAddr, Account>,
}

#[derive(Debug, Default)]
struct Run {
    /// In the order in which they came.
    members: Vec<Member>,
    changed: Option<Instant>,
}

#[derive(Debug)]
struct Member {
    address: SocketAddr,
    seen: Instant,
}

impl ImageServer {
    /// A server on that socket.
    ///
    /// # Errors
    /// The socket or the object cannot be used.
    pub fn new(
        listener: TcpListener,
        limits: Limits,
        image: Image,
        manifest: &Manifest,
    ) -> Result<ImageServer, Error> {
        let spans: Vec<Span> = manifest
            .frames()
            .iter()
            .map(|frame| Span {
                at: frame.at,
                length: u64::from(frame.stored),
            })
            .collect();
        let size = image.frames.metadata().map_err(Error::system("fstat"))?;
        let server =
            Server::new(listener, limits, "osload").map_err(Error::system("epoll_create"))?;
        Ok(ImageServer {
            server,
            desk: Desk {
                image: image.digest,
                manifest: Rc::new(image.manifest),
                object: Rc::new(image.frames),
                size: size.len(),
                given: vec![0; spans.len()],
                spans,
                runs: HashMap::new(),
                accounts: HashMap::new(),
            },
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.server.address().map_err(Error::system("getsockname"))
    }

    /// When [`ImageServer::turn`] is wanted, events or not.
    pub fn due(&self) -> Option<Instant> {
        self.server.due()
    }

    /// Does what can be done now. Never waits.
    ///
    /// # Errors
    /// epoll fails. What befalls a connection is no error.
    pub fn turn(&mut self, gate: &mut dyn Gate) -> Result<(), Error> {
        let desk = &mut self.desk;
        self.server
            .turn(&mut AtTheGate { desk, gate })
            .map_err(Error::system("epoll"))
    }

    /// How far each node is that has taken or said anything.
    pub fn accounts(&self) -> impl Iterator<Item = (IpAddr, &Account)> {
        let accounts = self.desk.accounts.iter();
        accounts.map(|(address, account)| (*address, account))
    }

    /// Forgets runs and nodes that are over.
    pub fn retain(&mut self, lives: impl Fn(&str) -> bool) {
        self.desk.runs.retain(|nonce, _| lives(nonce));
        self.desk
            .accounts
            .retain(|_, account| account.nonce.as_deref().is_none_or(&lives));
    }
}

impl AsFd for ImageServer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.server.as_fd()
    }
}

/// The desk, and who decides, for one turn.
struct AtTheGate<'a> {
    desk: &'a mut Desk,
    gate: &'a mut dyn Gate,
}

impl AtTheGate<'_> {
    fn answer(&mut self, request: &Request) -> Result<Verdict, Response> {
        let peer = request.peer;
        let asked = Asked::of(request).map_err(|unknown| refuse_unknown(&unknown))?;
        match &asked {
            Asked::Order(nonce) => {
                let order = self.gate.order(peer, nonce).map_err(refuse)?;
                return Ok(Verdict::Now(Response::bytes(order)));
            }
            Asked::Progress(image, progress) => {
                self.desk.known(image)?;
                self.gate.run(peer, &progress.nonce).map_err(refuse)?;
                let neighbours = self.desk.note(peer, progress, Instant::now());
                let body = serde_json::to_vec(&neighbours).unwrap_or_default();
                return Ok(Verdict::Now(Response::bytes(body)));
            }
            Asked::Manifest(image) | Asked::Frames(image) | Asked::Pick(image, _) => {
                self.gate.image(peer).map_err(refuse)?;
                self.desk.known(image)?;
            }
            Asked::Have(..) | Asked::Frame(..) => return Err(Response::refuse(404, "is a peer's")),
        }
        if let Asked::Pick(_, offer) = &asked
            && offer.of.iter().any(|frame| *frame >= self.desk.spans.len())
        {
            return Err(Response::refuse(400, "there is no such frame"));
        }
        Ok(Verdict::Queue)
    }
}

impl Handler for AtTheGate<'_> {
    fn judge(&mut self, request: &Request, _last: bool) -> Verdict {
        self.answer(request).unwrap_or_else(Verdict::Now)
    }

    fn produce(&mut self, request: &Request) -> Response {
        // Its claim may have ended while it waited.
        if let Err(refusal) = self.gate.image(request.peer) {
            return refuse(refusal);
        }
        match Asked::of(request) {
            Ok(Asked::Manifest(_)) => {
                Response::new(200, Body::Bytes(Rc::clone(&self.desk.manifest)))
            }
            Ok(Asked::Frames(_)) => self.desk.part(request.range.as_deref()),
            Ok(Asked::Pick(_, offer)) => self.desk.pick(&offer),
            _ => Response::refuse(404, "there is no such thing"),
        }
    }

    fn sent(&mut self, peer: IpAddr, bytes: u64) {
        self.desk.account(peer).bytes += bytes;
    }
}

impl Desk {
    fn known(&self, image: &Digest) -> Result<(), Response> {
        match *image == self.image {
            true => Ok(()),
            false => Err(Response::refuse(404, "this server has another image")),
        }
    }

    fn part(&self, range: Option<&str>) -> Response {
        let body = |span| Body::File(Rc::clone(&self.object), span);
        match Wanted::of(range, self.size) {
            Wanted::All => {
                let (at, length) = (0, self.size);
                Response::new(200, body(Span { at, length }))
            }
            Wanted::Part(span) => {
                let last = span.at + span.length - 1;
                Response::new(206, body(span)).header(
                    "Content-Range",
                    format!("bytes {}-{last}/{}", span.at, self.size),
                )
            }
            Wanted::Nothing => Response::refuse(416, "the object has no such bytes")
                .header("Content-Range", format!("bytes */{}", self.size)),
        }
    }

    /// Of the frames offered, the one that was given out least. One that somebody had is not given
    /// again, unless the node insists: he hands it on.
    fn pick(&mut self, offer: &Offer) -> Response {
        let given = |frame: &usize| self.given.get(*frame).copied().unwrap_or(u32::MAX);
        let Some(frame) = offer.of.iter().copied().min_by_key(given) else {
            return Response::refuse(400, "nothing is offered");
        };
        if given(&frame) > 0 && !offer.again {
            return Response::new(204, Body::empty());
        }
        let (Some(count), Some(span)) = (self.given.get_mut(frame), self.spans.get(frame)) else {
            return Response::refuse(400, "there is no such frame");
        };
        *count = count.saturating_add(1);
        Response::new(200, Body::File(Rc::clone(&self.object), *span))
            .header("Frame", frame.to_string())
    }

    /// Writes down how far a node is, and says who its peers are.
    fn note(&mut self, peer: IpAddr, progress: &Progress, now: Instant) -> Neighbours {
        let account = self.account(peer);
        account.nonce = Some(progress.nonce.clone());
        account.have = progress.have;
        account.done = progress.done;
        account.words += 1;
        let run = self.runs.entry(progress.nonce.clone()).or_default();
        run.note(SocketAddr::new(peer, progress.port), now)
    }

    fn account(&mut self, peer: IpAddr) -> &mut Account {
        self.accounts.entry(peer).or_insert(Account {
            nonce: None,
            have: 0,
            done: false,
            words: 0,
            bytes: 0,
        })
    }
}

impl Run {
    fn note(&mut self, address: SocketAddr, now: Instant) -> Neighbours {
        let since = |at: Instant| now.saturating_duration_since(at);
        let before = self.members.len();
        self.members
            .retain(|member| since(member.seen) < SILENT || member.address.ip() == address.ip());
        let mut changed = self.members.len() != before;
        let known = self
            .members
            .iter_mut()
            .find(|member| member.address.ip() == address.ip());
        match known {
            Some(member) => {
                changed |= member.address != address;
                *member = Member { address, seen: now };
            }
            None => {
                changed = true;
                self.members.push(Member { address, seen: now });
            }
        }
        if changed {
            self.changed = Some(now);
        }
        let asked: Vec<SocketAddr> = self
            .members
            .iter()
            .map(|member| member.address)
            .filter(|address| address.port() != 0)
            .collect();
        let own = asked.iter().position(|other| *other == address);
        let peers = own.map_or(Vec::new(), |own| ring::peers(own, asked.len()));
        let pause = match self.changed.is_some_and(|at| since(at) < CHANGE) {
            true => PAUSE_AT_CHANGE,
            false => PAUSE,
        };
        // Some hundred posts a second are nothing, ten thousand are.
        let pause = pause.max(Duration::from_millis(2 * self.members.len() as u64));
        Neighbours {
            peers: peers
                .into_iter()
                .filter_map(|peer| asked.get(peer).copied())
                .take(PEERS)
                .collect(),
            pause_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

fn refuse(refusal: Refusal) -> Response {
    match refusal {
        Refusal::Forbidden(why) => Response::refuse(403, &why),
        Refusal::Later(why) => Response::later(1, &why),
        Refusal::Missing(why) => Response::refuse(404, &why),
    }
}

pub(crate) fn refuse_unknown(unknown: &Unknown) -> Response {
    match unknown {
        Unknown::Path => Response::refuse(404, "there is no such thing"),
        Unknown::Method => {
            Response::refuse(405, "not with this method").header("Allow", "GET, POST".into())
        }
        Unknown::Body(why) => Response::refuse(400, why),
    }
}
