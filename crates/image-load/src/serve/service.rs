//! The server's process: exactly one for an image, its socket, its loop, its end.

use std::collections::{BTreeMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use disk_image::{Digest, Manifest, Store};
use fork_worker::{Crew, Limits as Children, What};
use image_transfer::{Image, ImageServer, Limits};
use single_server::{Held, PrivateDir};
use xcat_tables::{Location, Tables};

use super::gate::Book;
use super::progress::{self, Progress};
use super::{Error, desk, kind, port};

/// How often progress is written and the end looked for.
const ROUND: Duration = Duration::from_secs(1);

/// What a server is to do.
#[derive(Debug, Clone)]
pub struct Service {
    /// Which tables say who loads.
    pub location: Location,
    /// The image.
    pub image: Digest,
    /// Where to listen; None: every address, the image's own port.
    pub listen: Option<SocketAddr>,
    /// Bytes a second, to all nodes together.
    pub rate: Option<u64>,
    /// The end, when for so long nobody has loaded the image.
    pub idle: Duration,
}

/// Something that the log may want to know.
#[derive(Debug)]
pub enum Remark {
    /// The tables, or the progress files.
    Trouble(String),
}

/// A server that listens. The lock goes with it.
#[derive(Debug)]
pub struct Running {
    /// Where nodes reach it.
    pub address: String,
    service: Service,
    server: ImageServer,
    frames: u64,
    book: Book,
    crew: Crew<()>,
    progress: PrivateDir,
    /// What servers before this one have served, by run and node.
    before: BTreeMap<(String, String), u64>,
    written: BTreeMap<String, BTreeMap<String, Progress>>,
    looked: Instant,
    somebody: Instant,
    held: Held,
}

/// Becomes the one server of the image on this host and publishes its address; `None` where another one
/// runs.
///
/// # Errors
/// [`Error`]: no such image, tables that cannot be used, no port.
pub fn open(store: &Store, service: Service) -> Result<Option<Running>, Error> {
    // What cannot work is said now, not to the first node.
    let manifest_bytes = store.manifest_bytes(service.image)?;
    let manifest = Manifest::parse(&manifest_bytes)?;
    let frames = store.frames_file(service.image)?;
    let tables = Tables::open(&service.location)?;
    let kind = kind(&service.image)?;
    let Some(held) = kind.try_hold()? else {
        return Ok(None);
    };
    let listener = match service.listen {
        Some(address) => TcpListener::bind(address)
            .map_err(|why| image_transfer::Error::Listen { address, why })?,
        None => port::listener(kind.dir(), &service.image)?,
    };
    let limits = Limits {
        rate: service.rate,
        ..Limits::default()
    };
    let image = Image {
        digest: service.image,
        manifest: manifest_bytes,
        frames,
    };
    let server = ImageServer::new(listener, limits, image, &manifest)?;
    let progress = progress::directory()?;
    progress::sweep(&progress)?;
    let address = node_report::reachable(&tables, &server.address()?.to_string())?;
    held.publish(&address)?;
    let now = Instant::now();
    Ok(Some(Running {
        address,
        before: before(&progress, &service.image)?,
        frames: manifest.frames().len() as u64,
        service,
        server,
        book: Book::default(),
        crew: Crew::new(Children::fanout(1)),
        progress,
        written: BTreeMap::new(),
        looked: now,
        somebody: now,
        held,
    }))
}

impl Running {
    /// Serves until `interrupt` can be read, nobody has loaded for long enough, or the lock is not ours
    /// any more.
    ///
    /// # Errors
    /// The kernel's.
    pub fn serve(
        &mut self,
        interrupt: BorrowedFd<'_>,
        remark: &mut dyn FnMut(Remark),
    ) -> Result<(), Error> {
        loop {
            let now = Instant::now();
            if self.book.wants_reading(now) {
                let job = desk::job(self.service.location.clone(), self.service.image);
                self.crew.start((), job);
            }
            let round = self.looked + ROUND;
            let due = self.server.due().map_or(round, |due| due.min(round));
            let left = due.saturating_duration_since(now);
            let others = [interrupt, self.server.as_fd()];
            let ready = self.crew.wait(&others, Some(left));
            let ready = ready.map_err(|why| image_transfer::Error::System { call: "poll", why })?;
            if ready.readable.contains(&0) {
                self.crew.terminate();
                return self.write_progress();
            }
            let now = Instant::now();
            for event in ready.events {
                match event.what {
                    What::Line(line) => self.book.line(&line),
                    What::Ended(result) => {
                        self.book.read(result.is_ok(), now);
                        if let Err(why) = result {
                            remark(Remark::Trouble(format!("the tables: {why}")));
                        }
                    }
                }
            }
            self.server.turn(&mut self.book)?;
            if now.saturating_duration_since(self.looked) >= ROUND {
                self.looked = now;
                if let Err(error) = self.write_progress() {
                    remark(Remark::Trouble(error.to_string()));
                }
                if self.is_over(now)? {
                    return Ok(());
                }
            }
        }
    }

    fn is_over(&mut self, now: Instant) -> Result<bool, Error> {
        // Tables that cannot be read say nothing of who loads.
        if !self.book.loaders().is_empty() || !self.book.is_fresh(now) {
            self.somebody = now;
        }
        let idle = now.saturating_duration_since(self.somebody) >= self.service.idle;
        Ok(idle || !self.held.is_valid()?)
    }

    fn write_progress(&mut self) -> Result<(), Error> {
        let loaders = self.book.loaders();
        let mut runs: BTreeMap<String, BTreeMap<String, Progress>> = BTreeMap::new();
        for (address, account) in self.server.accounts() {
            if let Some((node, nonce)) = loaders.at(address)
                && account.nonce.as_deref().is_none_or(|said| said == nonce)
            {
                let key = (nonce.to_string(), node.to_string());
                let before = self.before.get(&key).copied().unwrap_or(0);
                let one = Progress {
                    have: account.have.min(self.frames),
                    total: self.frames,
                    bytes: account.bytes + before,
                    done: account.done,
                    words: account.words,
                };
                runs.entry(key.0).or_default().insert(key.1, one);
            }
        }
        for (nonce, nodes) in runs {
            if self.written.get(&nonce) != Some(&nodes) {
                let file = progress::file(&self.progress, &nonce, &self.service.image);
                progress::write(&file, &nodes).map_err(|error| Error::System {
                    subject: file,
                    why: error.to_string(),
                })?;
                self.written.insert(nonce, nodes);
            }
        }
        // Runs that are over: nobody reads of them any more.
        let alive: HashSet<&str> = loaders.runs();
        if self.book.is_fresh(Instant::now()) {
            let over = |nonce: &String| !alive.contains(nonce.as_str());
            for nonce in self.written.keys().filter(|nonce| over(nonce)) {
                let file = progress::file(&self.progress, nonce, &self.service.image);
                let _ = std::fs::remove_file(file);
            }
            self.written
                .retain(|nonce, _| alive.contains(nonce.as_str()));
            self.server.retain(|nonce| alive.contains(nonce));
        }
        Ok(())
    }
}

/// What servers before this one have written of the image.
fn before(
    directory: &PrivateDir,
    image: &Digest,
) -> Result<BTreeMap<(String, String), u64>, Error> {
    let mut before = BTreeMap::new();
    for name in directory.names()? {
        let Some((nonce, _)) = name.split_once('.').filter(|(nonce, _)| !nonce.is_empty()) else {
            continue;
        };
        let file = progress::file(directory, nonce, image);
        for (node, one) in progress::read(&file) {
            before.insert((nonce.to_string(), node), one.bytes);
        }
    }
    Ok(before)
}
