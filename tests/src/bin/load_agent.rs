//! Both ends of image-transfer alone: no tables, no disk, no claim.
//!
//! `load_agent serve PREFIX ADDRESS:PORT [RATE]` serves the image in PREFIX.json and PREFIX.frames, and the
//! order in PREFIX.order, to everybody, and prints `ready ADDRESS:PORT`.
//!
//! `load_agent load PREFIX SERVER FILE peers|alone` writes it into FILE, reads that back, prints one line
//! of JSON and goes on handing frames on until its standard input ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use disk_image::Manifest;
use image_transfer::{Gate, Image, ImageServer, Limits, Load, ReadBack, Refusal, Settings};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{UsageWho, getrusage};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", prefix, address] => serve(prefix, address, None),
        ["serve", prefix, address, rate] => serve(prefix, address, rate.parse().ok()),
        ["load", prefix, server, file, how] => load(prefix, server, file, *how == "peers"),
        _ => panic!("usage: see the source"),
    }
}

/// The order, if there is one.
struct Anybody(Option<Vec<u8>>);

impl Gate for Anybody {
    fn order(&mut self, _: IpAddr, _: &str) -> Result<Vec<u8>, Refusal> {
        let order = self.0.clone();
        order.ok_or_else(|| Refusal::Missing("there is no order".into()))
    }

    fn image(&mut self, _: IpAddr) -> Result<(), Refusal> {
        Ok(())
    }

    fn run(&mut self, _: IpAddr, _: &str) -> Result<(), Refusal> {
        Ok(())
    }
}

fn serve(prefix: &str, address: &str, rate: Option<u64>) {
    let (bytes, manifest) = manifest(prefix);
    let image = Image {
        digest: Manifest::digest(&bytes),
        manifest: bytes,
        frames: File::open(format!("{prefix}.frames")).expect("frames"),
    };
    let listener = TcpListener::bind(address).expect("an address");
    let limits = Limits {
        rate,
        ..Limits::default()
    };
    let mut server = ImageServer::new(listener, limits, image, &manifest).expect("a server");
    let mut gate = Anybody(std::fs::read(format!("{prefix}.order")).ok());
    println!("ready {}", server.address().expect("an address"));
    loop {
        let now = Instant::now();
        let due = server.due().unwrap_or(now + Duration::from_secs(60));
        let left = due.saturating_duration_since(now) + Duration::from_millis(1);
        let mut polled = [PollFd::new(server.as_fd(), PollFlags::POLLIN)];
        poll(&mut polled, PollTimeout::try_from(left).expect("short")).expect("poll");
        server.turn(&mut gate).expect("a turn");
    }
}

struct Disk {
    file: File,
    manifest: Rc<Manifest>,
}

impl ReadBack for Disk {
    fn raw(&mut self, index: usize) -> io::Result<Vec<u8>> {
        let frame = &self.manifest.frames()[index];
        let mut raw = vec![0; frame.raw() as usize];
        let mut at = 0;
        for extent in &frame.extents {
            let end = at + extent.length as usize;
            let place = frame.offset + u64::from(extent.offset);
            self.file.read_exact_at(&mut raw[at..end], place)?;
            at = end;
        }
        Ok(raw)
    }
}

fn load(prefix: &str, server: &str, file: &str, peers: bool) {
    let began = Instant::now();
    let (bytes, manifest) = manifest(prefix);
    let manifest = Rc::new(manifest);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(file)
        .expect("a file");
    file.set_len(manifest.size()).expect("a length");
    let mut disk = Disk {
        file,
        manifest: Rc::clone(&manifest),
    };
    let settings = Settings {
        server: server.parse().expect("an address"),
        digest: Manifest::digest(&bytes),
        manifest: Rc::clone(&manifest),
        nonce: "00".repeat(16),
        listen: peers.then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
        memory: 40 << 20,
        deadline: Instant::now() + Duration::from_secs(1800),
    };
    let mut load = Load::start(settings, &[]).expect("a start");
    while !load.is_complete() {
        let next = load.next(&mut disk, Duration::from_secs(10));
        if let Some(received) = next.expect("a frame") {
            let frame = &manifest.frames()[received.index];
            for (place, piece) in frame.pieces(&received.raw) {
                disk.file.write_all_at(piece, place).expect("write");
            }
            load.written(received.index);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("getrusage");
    let cpu = [usage.user_time(), usage.system_time()]
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6);
    let traffic = load.traffic();
    let said = serde_json::json!({
        "seconds": seconds,
        "user": cpu[0],
        "system": cpu[1],
        "mebibytes": usage.max_rss() as f64 / 1024.0,
        "from_server": traffic.from_server,
        "from_peers": traffic.from_peers,
        "to_peers": traffic.to_peers,
        "in_vain": traffic.in_vain,
    });
    println!("{said}");
    io::stdout().flush().expect("stdout");
    // As an agent does that reads its disk back: peers are served between two frames.
    for (index, frame) in manifest.frames().iter().enumerate() {
        frame
            .check(&disk.raw(index).expect("read back"))
            .expect("what was written");
        load.next(&mut disk, Duration::ZERO).expect("a turn");
    }
    load.done(&mut disk);
    loop {
        let stdin = io::stdin();
        let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if poll(&mut polled, PollTimeout::ZERO).expect("poll") > 0 {
            return;
        }
        load.next(&mut disk, Duration::from_millis(50))
            .expect("a turn");
    }
}

fn manifest(prefix: &str) -> (Vec<u8>, Manifest) {
    let bytes = std::fs::read(format!("{prefix}.json")).expect("a manifest");
    let manifest = Manifest::parse(&bytes).expect("a manifest");
    (bytes, manifest)
}
