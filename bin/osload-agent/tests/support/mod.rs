//! An image, a server that has it, a master that is told, and nodes whose disks are files.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use disk_image::order::{DiskChoice, Order, Wanted, Zero};
use disk_image::{Digest, Manifest, testing};
use disk_load::marker::Marker;
use image_transfer::{Gate, ImageServer, Limits, Refusal};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tls::{Identity, ServerContext, identity};
use xcat_request::load::{Told, from_request};
use xcat_request::response::{done, error};
use xcat_request::{Framer, parse};

pub(crate) const NONCE: &str = "00112233445566778899aabbccddeeff";
pub(crate) const MIB: usize = 1 << 20;
/// Long enough for a busy machine, short enough to notice a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The program; `OSLOAD_AGENT` names one for another processor, behind an emulator.
pub(crate) fn program() -> PathBuf {
    let other = std::env::var_os("OSLOAD_AGENT").map(PathBuf::from);
    other.unwrap_or_else(|| env!("CARGO_BIN_EXE_osload-agent").into())
}

/// An image in memory.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) disk: Arc<Vec<u8>>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) object: Arc<Vec<u8>>,
    pub(crate) digest: Digest,
}

impl Image {
    /// So many MiB that do not shrink, with a boot sector; every other one is a hole.
    pub(crate) fn new(mebibytes: usize, seed: u64) -> Image {
        let mut disk = vec![0; mebibytes * MIB];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ seed;
        for window in disk.chunks_mut(2 * MIB) {
            let half = window.len().min(MIB);
            for word in window[..half].chunks_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
            }
        }
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        Image::of(disk)
    }

    pub(crate) fn of(disk: Vec<u8>) -> Image {
        let (manifest, object) = testing::image(&disk, 1 << 20).unwrap();
        Image {
            disk: Arc::new(disk),
            digest: Digest::of(&manifest),
            manifest,
            object: Arc::new(object),
        }
    }

    pub(crate) fn wanted(&self, name: &str, disk: Option<DiskChoice>) -> Wanted {
        Wanted {
            name: name.to_string(),
            manifest: self.digest,
            disk,
        }
    }

    /// An order for this image alone.
    pub(crate) fn order(&self) -> Order {
        order(vec![self.wanted("image", None)])
    }

    pub(crate) fn is_on(&self, path: &Path) -> bool {
        let disk = std::fs::read(path).unwrap();
        disk[..self.disk.len()] == self.disk[..]
    }
}

pub(crate) fn order(images: Vec<Wanted>) -> Order {
    Order::new(NONCE, images, Vec::new(), Zero::Nothing, 600).unwrap()
}

struct Open {
    order: Vec<u8>,
    shut: Arc<AtomicBool>,
}

impl Gate for Open {
    fn order(&mut self, peer: IpAddr, nonce: &str) -> Result<Vec<u8>, Refusal> {
        self.run(peer, nonce)?;
        Ok(self.order.clone())
    }

    fn image(&mut self, _: IpAddr) -> Result<(), Refusal> {
        match self.shut.load(Ordering::Relaxed) {
            true => Err(Refusal::Forbidden("no claim".into())),
            false => Ok(()),
        }
    }

    fn run(&mut self, peer: IpAddr, nonce: &str) -> Result<(), Refusal> {
        self.image(peer)?;
        match nonce == NONCE {
            true => Ok(()),
            false => Err(Refusal::Forbidden("another run".into())),
        }
    }
}

/// The real image server in a thread; gone when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Bytes of bodies that were given out.
    pub(crate) bytes: Arc<AtomicU64>,
    pub(crate) shut: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(image: &Image, order: &Order) -> Server {
        Server::with(image, order, "127.0.0.1:0".parse().unwrap(), None)
    }

    /// At that address, so many bytes a second.
    pub(crate) fn with(
        image: &Image,
        order: &Order,
        address: SocketAddr,
        rate: Option<u64>,
    ) -> Server {
        let listener = listener(address);
        let address = listener.local_addr().unwrap();
        let bytes = Arc::new(AtomicU64::new(0));
        let (shut, end) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let mut gate = Open {
            order: order.to_bytes().unwrap(),
            shut: Arc::clone(&shut),
        };
        let (image, own_end, own_bytes) = (image.clone(), Arc::clone(&end), Arc::clone(&bytes));
        let thread = std::thread::spawn(move || {
            let mut frames = tempfile::tempfile().unwrap();
            frames.write_all(&image.object).unwrap();
            let manifest = Manifest::parse(&image.manifest).unwrap();
            let served = image_transfer::Image {
                digest: image.digest,
                manifest: image.manifest,
                frames,
            };
            let limits = Limits {
                rate,
                ..Limits::default()
            };
            let mut server = ImageServer::new(listener, limits, served, &manifest).unwrap();
            while !own_end.load(Ordering::Relaxed) {
                let now = Instant::now();
                let due = server.due().unwrap_or(now + Duration::from_secs(1));
                let left = due.saturating_duration_since(now);
                let left = left.min(Duration::from_millis(20));
                let mut polled = [PollFd::new(server.as_fd(), PollFlags::POLLIN)];
                poll(&mut polled, PollTimeout::try_from(left).unwrap()).unwrap();
                server.turn(&mut gate).unwrap();
                let sum = server.accounts().map(|(_, account)| account.bytes).sum();
                own_bytes.store(sum, Ordering::Relaxed);
            }
        });
        Server {
            address,
            bytes,
            shut,
            end,
            thread: Some(thread),
        }
    }

    /// Waits until that much has been given out.
    pub(crate) fn gave(&self, bytes: u64) {
        wait("bytes from the server", || {
            self.bytes.load(Ordering::Relaxed) >= bytes
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// Also where a server was a moment ago.
fn listener(address: SocketAddr) -> TcpListener {
    let until = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(error) if Instant::now() > until => panic!("{address}: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Waits for what another process or thread does.
pub(crate) fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !there() {
        assert!(Instant::now() < until, "{what}: did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What is answered to a set-up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    Refused,
}

/// A master on loopback; what it was told comes out of it. Its thread ends with the test's process.
pub(crate) struct Master {
    pub(crate) address: String,
    pub(crate) pin: String,
    told: Receiver<(String, Told)>,
    answer: Arc<Mutex<Answer>>,
}

impl Master {
    pub(crate) fn start(dir: &Path) -> Master {
        let identity: Identity = identity(&dir.join("keys"), "master").unwrap();
        let context = ServerContext::new(&identity, None).unwrap();
        let pin = context.pin().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, told) = channel();
        let answer = Arc::new(Mutex::new(Answer::Done));
        let own = Arc::clone(&answer);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(mut stream) = context.accept(socket.unwrap()) else {
                    continue;
                };
                let mut framer = Framer::new(&xcat_request::Limits::default());
                let mut bytes = [0; 4096];
                let request = loop {
                    match stream.read(&mut bytes) {
                        // An agent that was killed.
                        Ok(0) | Err(_) => break None,
                        Ok(count) => framer.feed(&bytes[..count]).unwrap(),
                    }
                    if let Some(request) = framer.next() {
                        break Some(request);
                    }
                };
                let Some(request) = request else { continue };
                let request = parse(&request, &xcat_request::Limits::default()).unwrap();
                let said = from_request(&request).unwrap();
                let answer = match *own.lock().unwrap() {
                    Answer::Done => done(),
                    Answer::Refused => error("no such claim", 1),
                };
                if sender.send(said).is_err() {
                    return;
                }
                let _ = stream.write_all(answer.as_bytes());
                stream.finish();
            }
        });
        Master {
            address,
            pin,
            told,
            answer,
        }
    }

    pub(crate) fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// What comes next; its nonce is the run's.
    pub(crate) fn next(&self) -> Told {
        let (nonce, told) = self.told.recv_timeout(PATIENCE).expect("a report");
        assert_eq!(nonce, NONCE);
        told
    }

    /// The verdict, whatever set-ups come before it: its status and reason.
    pub(crate) fn verdict(&self) -> (u8, String) {
        loop {
            if let Told::Verdict(verdict) = self.next() {
                return (verdict.status, verdict.reason);
            }
        }
    }

    /// What has come already.
    pub(crate) fn said(&self) -> Option<Told> {
        self.told.try_recv().ok().map(|(_, told)| told)
    }
}

/// A node: a directory with its disks.
pub(crate) struct Node {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) master: Master,
}

impl Node {
    pub(crate) fn new() -> Node {
        let dir = tempfile::tempdir().unwrap();
        let master = Master::start(dir.path());
        Node { dir, master }
    }

    /// A disk of so many MiB that somebody else had: no zero anywhere.
    pub(crate) fn disk(&self, name: &str, mebibytes: usize) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, vec![0xee; mebibytes * MIB]).unwrap();
        path
    }

    /// The agent as genesis starts it: what the boot target handed over is on the kernel line.
    pub(crate) fn agent(&self, order: &Order, servers: &[&Server], disks: &[&Path]) -> Command {
        let servers: Vec<String> = servers.iter().map(|s| s.address.to_string()).collect();
        let order = Digest::of(&order.to_bytes().unwrap());
        let line = format!(
            "quiet xcatd=127.0.0.1:1 nodetools.report={} nodetools.pin={} nodetools.nonce={NONCE} \
             nodetools.order={order} nodetools.images={}\n",
            self.master.address,
            self.master.pin,
            servers.join(","),
        );
        std::fs::create_dir_all(self.dir.path().join("proc")).unwrap();
        std::fs::write(self.dir.path().join("proc/cmdline"), line).unwrap();
        let mut command = Command::new(program());
        command.env_clear().stdin(Stdio::null());
        command
            .arg("--sysroot")
            .arg(self.dir.path())
            .arg("--return");
        for disk in disks {
            command.arg("--device").arg(disk);
        }
        command
    }
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub(crate) fn run(mut command: Command) -> Ran {
    command.output().unwrap().into()
}

/// A program that runs; killed when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Running {
        Running(command.stderr(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn marker(disk: &Path) -> Option<Marker> {
    let mut block = [0; 4096];
    std::fs::File::open(disk)
        .unwrap()
        .read_exact(&mut block)
        .unwrap();
    Marker::from_block(&block)
}

/// True if this is root with what the test needs; without, it says so, and fails where CI is set.
pub(crate) fn have(what: &str, there: bool) -> bool {
    if !there {
        assert!(std::env::var_os("CI").is_none(), "this test needs {what}");
        let _ = writeln!(std::io::stderr(), "left out: this test needs {what}");
    }
    there
}
