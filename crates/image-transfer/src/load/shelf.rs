//! What this node has for its peers.
//!
//! A frame's stored bytes are kept as they came, the newest up to a bound: that is what peers ask for
//! most. An older one is read back from the disk, checked, and compressed anew, quickly: a digest is
//! over the raw bytes, so it proves them however they were packed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use disk_image::{Digest, Manifest};
use zstd::zstd_safe;

use crate::bits::Bits;
use crate::http::{Body, Handler, Request, Response, Verdict};
use crate::protocol::{Asked, NEWS, write_news};
use crate::serve::refuse_unknown;

/// How long a peer that has seen everything waits for more.
const HOLD: Duration = Duration::from_secs(10);

/// zstd's level for what is compressed anew.
const QUICK: i32 = 1;

/// The disk, for frames that peers want.
pub trait ReadBack {
    /// The bytes of a frame that is on the disk: its extents, one after the other.
    ///
    /// # Errors
    /// The disk's.
    fn raw(&mut self, index: usize) -> io::Result<Vec<u8>>;
}

/// Frames, and who may have them.
#[derive(Debug)]
pub(super) struct Shelf {
    image: Digest,
    run: String,
    manifest: Rc<Manifest>,
    /// Frames in the order in which they came onto the disk.
    log: Vec<u32>,
    on_disk: Bits,
    kept: HashMap<usize, Rc<Vec<u8>>>,
    /// The oldest first.
    order: VecDeque<usize>,
    bytes: usize,
    most: usize,
    peers: HashSet<IpAddr>,
    handed_on: u64,
}

impl Shelf {
    pub(super) fn new(image: Digest, run: String, manifest: Rc<Manifest>, most: usize) -> Shelf {
        Shelf {
            image,
            run,
            log: Vec::new(),
            on_disk: Bits::new(manifest.frames().len()),
            manifest,
            kept: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            most,
            peers: HashSet::new(),
            handed_on: 0,
        }
    }

    pub(super) fn on_disk(&self) -> &Bits {
        &self.on_disk
    }

    pub(super) fn handed_on(&self) -> u64 {
        self.handed_on
    }

    /// A frame is on the disk. True if it was not.
    pub(super) fn put_down(&mut self, index: usize) -> bool {
        let new = self.on_disk.insert(index);
        // A manifest has at most four million frames.
        if new && let Ok(index) = u32::try_from(index) {
            self.log.push(index);
        }
        new
    }

    /// Keeps a frame's stored bytes for a while.
    pub(super) fn keep(&mut self, index: usize, stored: Vec<u8>) -> Rc<Vec<u8>> {
        let stored = Rc::new(stored);
        self.bytes += stored.len();
        if let Some(before) = self.kept.insert(index, Rc::clone(&stored)) {
            self.bytes -= before.len();
        } else {
            self.order.push_back(index);
        }
        while self.bytes > self.most {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            if let Some(gone) = self.kept.remove(&oldest) {
                self.bytes -= gone.len();
            }
        }
        stored
    }

    /// Those who may ask from now on.
    pub(super) fn allow(&mut self, peers: impl Iterator<Item = IpAddr>) {
        self.peers = peers.collect();
    }
}

/// The shelf and the disk, for one turn.
pub(super) struct Desk<'a> {
    shelf: &'a mut Shelf,
    disk: &'a mut dyn ReadBack,
}

impl<'a> Desk<'a> {
    pub(super) fn new(shelf: &'a mut Shelf, disk: &'a mut dyn ReadBack) -> Desk<'a> {
        Desk { shelf, disk }
    }

    fn answer(&self, request: &Request, last: bool) -> Result<Verdict, Response> {
        let shelf = &self.shelf;
        let asked = Asked::of(request).map_err(|unknown| refuse_unknown(&unknown))?;
        let (image, frame) = match asked {
            Asked::Have(image, _) => (image, None),
            Asked::Frame(image, frame) => (image, Some(frame)),
            _ => return Err(Response::refuse(404, "is the image server's")),
        };
        if request.run.as_deref() != Some(&shelf.run) {
            return Err(Response::refuse(403, "is of another run"));
        }
        if !shelf.peers.contains(&request.peer) {
            return Err(Response::refuse(
                403,
                "the image server does not name it as a peer",
            ));
        }
        if image != shelf.image {
            return Err(Response::refuse(404, "another image is loaded here"));
        }
        match (asked, frame) {
            (_, Some(frame)) if shelf.on_disk.has(frame) => Ok(Verdict::Queue),
            (_, Some(_)) => Err(Response::refuse(404, "this frame is not here")),
            (Asked::Have(_, after), None) => {
                let Some(news) = shelf.log.get(after..) else {
                    return Err(Response::refuse(400, "so many frames are not here"));
                };
                if news.is_empty() && !last {
                    return Ok(Verdict::Hold(Instant::now() + HOLD));
                }
                let news = news.get(..NEWS).unwrap_or(news);
                Ok(Verdict::Now(Response::bytes(write_news(news))))
            }
            _ => Err(Response::refuse(404, "there is no such thing")),
        }
    }

    /// The bytes to send for a frame that is on the disk.
    fn stored(&mut self, index: usize) -> Result<Rc<Vec<u8>>, String> {
        if let Some(stored) = self.shelf.kept.get(&index) {
            return Ok(Rc::clone(stored));
        }
        let manifest = Rc::clone(&self.shelf.manifest);
        let frame = manifest
            .frames()
            .get(index)
            .ok_or("there is no such frame")?;
        let raw = self.disk.raw(index).map_err(|error| error.to_string())?;
        // What a bad disk gives back must not make a liar of us.
        frame.check(&raw).map_err(|error| error.to_string())?;
        let mut stored = Vec::with_capacity(zstd_safe::compress_bound(raw.len()));
        zstd_safe::compress(&mut stored, &raw, QUICK)
            .map_err(|code| zstd_safe::get_error_name(code).to_string())?;
        stored.shrink_to_fit();
        Ok(self.shelf.keep(index, stored))
    }
}

impl Handler for Desk<'_> {
    fn judge(&mut self, request: &Request, last: bool) -> Verdict {
        self.answer(request, last).unwrap_or_else(Verdict::Now)
    }

    fn produce(&mut self, request: &Request) -> Response {
        let Ok(Asked::Frame(_, index)) = Asked::of(request) else {
            return Response::refuse(404, "there is no such thing");
        };
        match self.stored(index) {
            Ok(stored) => Response::new(200, Body::Bytes(stored)),
            Err(why) => Response::refuse(404, &why),
        }
    }

    fn sent(&mut self, _peer: IpAddr, bytes: u64) {
        self.shelf.handed_on += bytes;
    }
}
