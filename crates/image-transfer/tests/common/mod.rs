//! A server with an open gate and nodes, each in a thread with an address of its own (127.9.x.y).
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use disk_image::{Digest, Manifest, testing};
use image_transfer::{
    Account, Error, Gate, Image, ImageServer, Limits, Load, ReadBack, Refusal, Settings, Traffic,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub(crate) const NONCE: &str = "00112233445566778899aabbccddeeff";
pub(crate) const MIB: usize = 1 << 20;

/// An image in memory.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) manifest: Arc<Vec<u8>>,
    pub(crate) object: Arc<Vec<u8>>,
    pub(crate) digest: Digest,
}

impl Disk {
    /// So many MiB that do not shrink, every other one a hole; frames of 1 MiB.
    pub(crate) fn new(mebibytes: usize) -> Disk {
        let mut bytes = vec![0; mebibytes * MIB];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for window in bytes.chunks_mut(2 * MIB) {
            let half = window.len().min(MIB);
            for word in window[..half].chunks_mut(8) {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
            }
        }
        let (manifest, object) = testing::image(&bytes, 1 << 20).unwrap();
        Disk {
            digest: Manifest::digest(&manifest),
            bytes: Arc::new(bytes),
            manifest: Arc::new(manifest),
            object: Arc::new(object),
        }
    }

    pub(crate) fn manifest(&self) -> Manifest {
        Manifest::parse(&self.manifest).unwrap()
    }

    pub(crate) fn image(&self) -> Image {
        let mut frames = tempfile::tempfile().unwrap();
        frames.write_all(&self.object).unwrap();
        Image {
            digest: self.digest,
            manifest: self.manifest.to_vec(),
            frames,
        }
    }
}

/// Lets in all but some.
#[derive(Clone, Default)]
pub(crate) struct Open {
    pub(crate) shut: Arc<Mutex<HashSet<IpAddr>>>,
}

impl Gate for Open {
    fn order(&mut self, peer: IpAddr, nonce: &str) -> Result<Vec<u8>, Refusal> {
        self.run(peer, nonce)?;
        Ok(format!("order of {nonce}").into())
    }

    fn image(&mut self, peer: IpAddr) -> Result<(), Refusal> {
        match self.shut.lock().unwrap().contains(&peer) {
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

/// A server in a thread, ended when dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) accounts: Arc<Mutex<Vec<(IpAddr, Account)>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub(crate) fn new(disk: &Disk) -> Served {
        Served::with(
            disk,
            "127.0.0.1:0".parse().unwrap(),
            Limits::default(),
            Open::default(),
        )
    }

    pub(crate) fn with(disk: &Disk, address: SocketAddr, limits: Limits, mut gate: Open) -> Served {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, accounts) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (disk, own_end, own_accounts) = (disk.clone(), Arc::clone(&end), Arc::clone(&accounts));
        let thread = std::thread::spawn(move || {
            let mut server =
                ImageServer::new(listener, limits, disk.image(), &disk.manifest()).unwrap();
            while !own_end.load(Ordering::Relaxed) {
                let now = Instant::now();
                let due = server.due().unwrap_or(now + Duration::from_secs(1));
                let left = due
                    .saturating_duration_since(now)
                    .min(Duration::from_millis(50));
                let mut polled = [PollFd::new(server.as_fd(), PollFlags::POLLIN)];
                poll(&mut polled, PollTimeout::try_from(left).unwrap()).unwrap();
                server.turn(&mut gate).unwrap();
                *own_accounts.lock().unwrap() = server
                    .accounts()
                    .map(|(address, account)| (address, account.clone()))
                    .collect();
            }
        });
        Served {
            address,
            accounts,
            end,
            thread: Some(thread),
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// The address of a node.
pub(crate) fn node(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 9, 0, number))
}

/// What a node writes to and reads back from.
pub(crate) struct Memory {
    pub(crate) manifest: Rc<Manifest>,
    pub(crate) bytes: Vec<u8>,
    /// How often something was read back.
    pub(crate) read_back: usize,
}

impl Memory {
    pub(crate) fn new(manifest: Rc<Manifest>) -> Memory {
        Memory {
            bytes: vec![0; usize::try_from(manifest.size()).unwrap()],
            manifest,
            read_back: 0,
        }
    }

    pub(crate) fn write(&mut self, index: usize, raw: &[u8]) {
        let frame = &self.manifest.frames()[index];
        for (place, piece) in frame.pieces(raw) {
            let place = usize::try_from(place).unwrap();
            self.bytes[place..place + piece.len()].copy_from_slice(piece);
        }
    }
}

impl ReadBack for Memory {
    fn raw(&mut self, index: usize) -> io::Result<Vec<u8>> {
        self.read_back += 1;
        let frame = &self.manifest.frames()[index];
        let mut raw = Vec::new();
        for extent in &frame.extents {
            let at = usize::try_from(frame.offset).unwrap() + extent.offset as usize;
            raw.extend_from_slice(&self.bytes[at..at + extent.length as usize]);
        }
        Ok(raw)
    }
}

/// How a node is to load.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) node: u8,
    pub(crate) server: SocketAddr,
    pub(crate) peers: bool,
    pub(crate) memory: usize,
    pub(crate) patience: Duration,
    /// After each frame.
    pub(crate) slow: Duration,
    /// Goes on serving peers for so long.
    pub(crate) linger: Duration,
    pub(crate) nonce: String,
}

impl Plan {
    pub(crate) fn new(node: u8, server: SocketAddr) -> Plan {
        Plan {
            node,
            server,
            peers: true,
            memory: 40 * MIB,
            patience: Duration::from_secs(60),
            slow: Duration::ZERO,
            linger: Duration::ZERO,
            nonce: NONCE.into(),
        }
    }

    pub(crate) fn settings(&self, disk: &Disk, manifest: Rc<Manifest>) -> Settings {
        Settings {
            server: self.server,
            digest: disk.digest,
            manifest,
            nonce: self.nonce.clone(),
            listen: self.peers.then(|| SocketAddr::new(node(self.node), 0)),
            memory: self.memory,
            deadline: Instant::now() + self.patience,
        }
    }
}

/// What a node has done.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) same: bool,
    pub(crate) traffic: Traffic,
    pub(crate) read_back: usize,
    pub(crate) time: Duration,
}

/// Loads in a thread.
pub(crate) fn load(disk: &Disk, plan: Plan) -> JoinHandle<Result<Loaded, Error>> {
    let disk = disk.clone();
    std::thread::spawn(move || {
        let began = Instant::now();
        let manifest = Rc::new(disk.manifest());
        let mut memory = Memory::new(Rc::clone(&manifest));
        let mut load = Load::start(plan.settings(&disk, manifest), &[])?;
        while !load.is_complete() {
            if let Some(frame) = load.next(&mut memory, Duration::from_secs(1))? {
                memory.write(frame.index, &frame.raw);
                std::thread::sleep(plan.slow);
                load.written(frame.index);
            }
        }
        let time = began.elapsed();
        load.done(&mut memory);
        let until = Instant::now() + plan.linger;
        while Instant::now() < until {
            load.next(&mut memory, Duration::from_millis(20))?;
        }
        Ok(Loaded {
            same: memory.bytes == *disk.bytes,
            traffic: load.traffic(),
            read_back: memory.read_back,
            time,
        })
    })
}
