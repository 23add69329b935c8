//! `osload serve`: who gets an image, and what happens to those who load it when the server dies, the
//! image is replaced, or one packet of ten is lost.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use disk_image::order::{Order, Wanted, Zero};
use disk_image::{Digest, Manifest, Store, testing};
use image_transfer::{Load, ReadBack, Settings};
use nix::fcntl::{OFlag, open};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use scenarios::links::Links;
use scenarios::{Cluster, parts, program};

const MIB: usize = 1 << 20;
const NONCE: &str = "0123456789abcdef0123456789abcdef";

/// A cluster with an image, an order and claims of this process.
struct World {
    cluster: Cluster,
    store: Store,
    disk: Vec<u8>,
    digest: Digest,
    /// Its reader is the sign that the claims live.
    _fifo: std::os::fd::OwnedFd,
}

impl World {
    fn new(nodes: usize, mebibytes: usize) -> World {
        let cluster = Cluster::new(nodes);
        let state = cluster.path("var/lib/xcat-nodetools");
        let orders = state.join("osload/orders");
        private(&orders);
        let store = Store::open(&state.join("images"), &orders).expect("a store");
        let disk = noise(mebibytes, 1);
        let digest = testing::put(&store, "image", &disk, 1 << 20).expect("an image");
        let wanted = Wanted {
            name: "image".into(),
            manifest: digest,
            disk: None,
        };
        let order = Order::new(NONCE, vec![wanted], Vec::new(), Zero::Nothing, 3600);
        let bytes = order.and_then(|order| order.to_bytes()).expect("an order");
        std::fs::write(orders.join(format!("{NONCE}.json")), bytes).expect("write");
        private(&cluster.run_dir());
        let fifo = cluster.run_dir().join(std::process::id().to_string());
        mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("a FIFO");
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let fifo = open(&fifo, flags, Mode::empty()).expect("a FIFO");
        World {
            cluster,
            store,
            disk,
            digest,
            _fifo: fifo,
        }
    }

    /// This process waits for these nodes, and for no others.
    fn claim(&self, nodes: &[usize]) {
        let host = nix::unistd::gethostname().expect("a name");
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("boot id");
        let reserve = format!(
            "{} {} 4000000000 {NONCE}",
            host.to_string_lossy(),
            boot.trim()
        );
        let rows = nodes.iter().map(|node| {
            let pid = std::process::id().to_string();
            vec![
                format!("n{node}"),
                "osload".into(),
                "waiting".into(),
                pid,
                reserve.clone(),
            ]
        });
        self.cluster
            .restore("taskstate", "#node,command,state,pid,reserve", rows);
    }

    fn serve(&self, args: &[&str]) -> (scenarios::Running, SocketAddr) {
        let digest = self.digest.to_string();
        let mut words = vec!["serve", digest.as_str()];
        words.extend(args);
        let mut server = self.cluster.start("osload", &words);
        let line = server.stdout_line("ready ");
        let address = line.trim().strip_prefix("ready ").expect("an address");
        (server, address.parse().expect("an address"))
    }

    /// Loads the image on a node, in a thread; true if its disk is the image's.
    fn load(&self, node: usize, server: SocketAddr) -> JoinHandle<bool> {
        let (digest, disk) = (self.digest, self.disk.clone());
        let bytes = self.store.manifest_bytes(digest).expect("a manifest");
        std::thread::spawn(move || {
            let manifest = Rc::new(Manifest::parse(&bytes).expect("a manifest"));
            let mut memory = Memory {
                bytes: vec![0; disk.len()],
                manifest: Rc::clone(&manifest),
            };
            let settings = Settings {
                server,
                digest,
                manifest,
                nonce: NONCE.into(),
                listen: Some((Cluster::address(node), 0).into()),
                memory: 40 << 20,
                deadline: Instant::now() + Duration::from_secs(300),
            };
            let mut load = Load::start(settings, &[]).expect("a start");
            while !load.is_complete() {
                let next = load.next(&mut memory, Duration::from_secs(1));
                if let Some(frame) = next.expect("frames") {
                    memory.write(frame.index, &frame.raw);
                    load.written(frame.index);
                }
            }
            load.done(&mut memory);
            memory.bytes == disk
        })
    }

    fn progress(&self) -> String {
        let name = format!("{NONCE}.{}", &self.digest.to_string()[..16]);
        let file = "var/lib/xcat-nodetools/osload/progress";
        std::fs::read_to_string(self.cluster.path(file).join(name)).unwrap_or_default()
    }

    /// How many frames a node has, as osload would read it.
    fn have(&self, node: usize) -> u64 {
        let text = self.progress();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("n{node},")));
        let have = line.and_then(|line| line.split(',').next());
        have.map_or(0, |have| have.parse().expect("a number"))
    }
}

struct Memory {
    bytes: Vec<u8>,
    manifest: Rc<Manifest>,
}

impl Memory {
    fn write(&mut self, index: usize, raw: &[u8]) {
        for (place, piece) in self.manifest.frames()[index].pieces(raw) {
            let place = place as usize;
            self.bytes[place..place + piece.len()].copy_from_slice(piece);
        }
    }
}

impl ReadBack for Memory {
    fn raw(&mut self, index: usize) -> std::io::Result<Vec<u8>> {
        let frame = &self.manifest.frames()[index];
        let parts = frame.extents.iter().map(|extent| {
            let at = frame.offset as usize + extent.offset as usize;
            &self.bytes[at..at + extent.length as usize]
        });
        Ok(parts.collect::<Vec<_>>().concat())
    }
}

/// A disk that does not shrink.
fn noise(mebibytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = (0..mebibytes * MIB / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

fn private(path: &std::path::Path) {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).expect("a directory");
}

/// The status of an answer to a node at that address, once it is not "later" any more.
fn status(from: IpAddr, to: SocketAddr, request: &str) -> String {
    let began = Instant::now();
    loop {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a socket");
        let own = SockaddrStorage::from(SocketAddr::new(from, 0));
        bind(fd.as_raw_fd(), &own).expect("bind");
        connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).expect("connect");
        let mut stream = TcpStream::from(fd);
        stream.write_all(request.as_bytes()).expect("ask");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let status = text.split(' ').nth(1).unwrap_or_default().to_string();
        if status != "503" {
            return status;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "still 503");
    }
}

#[test]
fn only_nodes_with_a_claim_and_one_server_at_a_time() {
    let world = World::new(3, 2);
    world.claim(&[1, 2]);
    let (mut server, address) = world.serve(&["--idle", "2"]);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n");
    let manifest = get(&format!("/v1/manifest/{}", world.digest));
    let order = get(&format!("/v1/order/{NONCE}"));
    let other = get(&format!("/v1/order/{}", NONCE.replace('0', "1")));
    let node = |i| IpAddr::V4(Cluster::address(i));
    for (from, request, wanted) in [
        (node(1), &manifest, "200"),
        (node(2), &order, "200"),
        (node(2), &other, "403"),
        (node(3), &manifest, "403"),
        (node(3), &order, "403"),
        ("127.0.0.1".parse().expect("an address"), &manifest, "403"),
    ] {
        assert_eq!(status(from, address, request), wanted, "{from}: {request}");
    }
    // A second one has nothing to do.
    let second = world
        .cluster
        .run("osload", &["serve", &world.digest.to_string()]);
    second.code(0);
    assert_eq!(second.stdout, "");
    // The claim goes over to another node, then there is none.
    world.claim(&[3]);
    let began = Instant::now();
    while status(node(3), address, &manifest) != "200"
        || status(node(1), address, &manifest) != "403"
    {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "the old claims count"
        );
    }
    world.claim(&[]);
    assert_eq!(
        server.stdout_line("ready").trim(),
        format!("ready {address}")
    );
    server.finish().code(0);
}

#[test]
fn killed_in_the_middle_another_one_takes_over() {
    let world = World::new(3, 24);
    world.claim(&[1, 2, 3]);
    let (first, address) = world.serve(&["--rate", "4"]);
    let nodes: Vec<_> = (1..=3).map(|node| world.load(node, address)).collect();
    let began = Instant::now();
    while (1..=3).any(|node| world.have(node) == 0) {
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "{}",
            world.progress()
        );
        std::thread::yield_now();
    }
    assert!(world.have(1) < 24, "nothing is in the middle");
    kill(Pid::from_raw(first.pid() as i32), Signal::SIGKILL).expect("kill");
    drop(first);
    // The image is replaced meanwhile: the run keeps its own.
    let other = noise(3, 7);
    let replaced = testing::put(&world.store, "image", &other, 1 << 20).expect("an image");
    assert_ne!(replaced, world.digest);
    let (_second, again) = world.serve(&[]);
    assert_eq!(again, address);
    for node in nodes {
        assert!(node.join().expect("a node"), "another disk");
    }
    let began = Instant::now();
    while (1..=3).any(|node| world.have(node) < 24) {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{}",
            world.progress()
        );
        std::thread::yield_now();
    }
}

#[test]
fn one_packet_of_ten_is_lost() {
    if !parts::root() || !parts::have("nft") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let prefix = dir.path().join("image");
    let (manifest, object) = testing::image(&noise(8, 3), 1 << 20).expect("an image");
    std::fs::write(prefix.with_extension("json"), manifest).expect("write");
    std::fs::write(prefix.with_extension("frames"), object).expect("write");
    let links = Links::new(4, None);
    for host in 0..4 {
        links.run(
            host,
            "nft 'add table inet loss; add chain inet loss in { type filter hook input priority 0; }; add rule inet loss in numgen random mod 10 == 0 drop'",
        );
    }
    let mut server = links.command(0, program("load_agent"));
    server
        .arg("serve")
        .arg(&prefix)
        .arg(format!("{}:0", Links::address(0)));
    let mut server = server.stdout(Stdio::piped()).spawn().expect("start");
    let ready = line(&mut server);
    let address = ready.trim().strip_prefix("ready ").expect("ready");
    let nodes: Vec<(Child, PathBuf)> = (1..4)
        .map(|host| {
            let file = dir.path().join(format!("disk{host}"));
            let mut command = links.command(host, program("load_agent"));
            command.arg("load").arg(&prefix).arg(address).arg(&file);
            command.arg("peers");
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            (command.spawn().expect("start"), file)
        })
        .collect();
    for (mut node, file) in nodes {
        let said = line(&mut node);
        assert!(said.contains("from_server"), "{said}");
        drop(node.stdin.take());
        assert!(node.wait().expect("wait").success());
        assert!(
            std::fs::read(file).expect("a disk") == noise(8, 3),
            "another disk"
        );
    }
    let _ = server.kill();
    let _ = server.wait();
}

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    let out = child.stdout.take().expect("stdout");
    BufReader::new(out).read_line(&mut line).expect("a line");
    line
}
