//! One disk image to N nodes, each behind a link of 100 Mbit/s in both directions, the server too:
//! time(N) / time(1), beside plain HTTP (curl), aria2c (BitTorrent) and uftp (multicast).

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use disk_image::order::{Order, Wanted, Zero};
use disk_image::{Digest, Frame, Hasher, Manifest, Partitions, Source};
use scenarios::links::Links;
use scenarios::{parts, program};

use crate::measure;

const MIB: u64 = 1 << 20;

/// Of the disk; every other MiB is a hole.
const SIZE: u64 = 512 * MIB;

/// Of each link, in Mbit/s.
const RATE: u32 = 100;

/// Numbers of nodes.
const NODES: [usize; 4] = [1, 4, 8, 16];

/// Where the others are measured.
const BESIDE: usize = 8;

pub(crate) fn run() {
    if !parts::root() || !parts::have("tc") {
        return;
    }
    let dir = tempfile::Builder::new()
        .prefix("images")
        .tempdir_in("/dev/shm")
        .expect("a directory");
    let prefix = dir.path().join("image");
    let stored = image(&prefix);
    // What checking takes by itself, with the machine as it is.
    let digest = [
        "sha256sum".to_string(),
        prefix.with_extension("frames").display().to_string(),
    ];
    let floor = measure::cost(&digest, dir.path()).cpu / (stored as f64 / 1e9);
    let mut base = None;
    for count in NODES {
        let run = ours(dir.path(), &prefix, count);
        let base = *base.get_or_insert(run.seconds);
        let object = stored as f64;
        println!(
            "image to {count} nodes: {:.2} of one node ({:.1} s): {:.2} times from the server, {:.2} of it in vain, CPU {:.1} s a GB (sha256sum alone: {floor:.1}), {:.0} MiB at most",
            run.seconds / base,
            run.seconds,
            run.from_server / object,
            run.in_vain / object,
            run.cpu / (object / 1e9) / count as f64,
            run.memory
        );
    }
    let base = base.expect("one node");
    let alone = agents(dir.path(), &prefix, 1);
    let several = agents(dir.path(), &prefix, BESIDE);
    println!(
        "osload-agent on {BESIDE} nodes, its disk read back: {:.2} of one node ({:.1} s, {:.1} s), CPU {:.1} s a GB (sha256sum twice: {:.1}), {:.0} MiB at most",
        several.seconds / alone.seconds,
        several.seconds,
        alone.seconds,
        several.cpu / (stored as f64 / 1e9) / BESIDE as f64,
        2.0 * floor,
        several.memory
    );
    let plain_one = plain(dir.path(), &prefix, 1);
    let plain = plain(dir.path(), &prefix, BESIDE);
    println!(
        "plain HTTP (curl) to {BESIDE} nodes: {:.2} of one node ({plain:.1} s, {plain_one:.1} s); one node here: {:.2} of curl's, which neither unpacks nor checks",
        plain / plain_one,
        base / plain_one
    );
    if let Some(seconds) = aria2c(dir.path(), &prefix, BESIDE) {
        println!(
            "aria2c (BitTorrent) to {BESIDE} nodes: {:.2} of one node here ({seconds:.1} s)",
            seconds / base
        );
    }
    if let Some(seconds) = uftp(dir.path(), &prefix, BESIDE) {
        println!(
            "uftp (multicast) to {BESIDE} nodes: {:.2} of one node here ({seconds:.1} s)",
            seconds / base
        );
    }
}

/// Makes the image; how long its object is.
fn image(prefix: &Path) -> u64 {
    let mut random = File::open("/dev/urandom").expect("random bytes");
    let mut object = File::create(prefix.with_extension("frames")).expect("frames");
    let (mut frames, mut at, mut whole) = (Vec::new(), 0, Hasher::new());
    let mut window = vec![0; MIB as usize];
    for offset in (0..SIZE).step_by(2 * MIB as usize) {
        random.read_exact(&mut window).expect("random bytes");
        whole.update(&window);
        whole.zeros(MIB);
        let packed = Frame::pack(offset, &window, at, 3).expect("a frame");
        let (frame, stored) = packed.expect("no zeros");
        object.write_all(&stored).expect("write");
        at += stored.len() as u64;
        frames.push(frame);
    }
    let digest = whole.finish();
    let source = Source {
        format: "raw".into(),
        size: SIZE,
        digest,
    };
    let manifest = Manifest::new(
        SIZE,
        MIB as u32,
        digest,
        source,
        Partitions::default(),
        frames,
    );
    let bytes = manifest.and_then(|manifest| manifest.to_bytes());
    std::fs::write(prefix.with_extension("json"), bytes.expect("a manifest")).expect("write");
    at
}

struct Run {
    /// Until the last node had all.
    seconds: f64,
    from_server: f64,
    in_vain: f64,
    /// Of all nodes.
    cpu: f64,
    /// The most of one node, in MiB.
    memory: f64,
}

fn ours(dir: &Path, prefix: &Path, count: usize) -> Run {
    let links = Links::new(count + 1, Some(RATE));
    let (_server, address) = serve(&links, prefix);
    let began = Instant::now();
    let nodes: Vec<(Child, PathBuf)> = (1..=count)
        .map(|number| {
            let file = dir.join(format!("disk{number}"));
            let mut command = links.command(number, program("load_agent"));
            command.arg("load").arg(prefix).arg(&address).arg(&file);
            command
                .arg("peers")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            (command.spawn().expect("start"), file)
        })
        .collect();
    let mut run = Run {
        seconds: 0.0,
        from_server: 0.0,
        in_vain: 0.0,
        cpu: 0.0,
        memory: 0.0,
    };
    let mut nodes: Vec<(Ended, PathBuf, BufReader<_>)> = nodes
        .into_iter()
        .map(|(mut child, file)| {
            let out = BufReader::new(child.stdout.take().expect("stdout"));
            (Ended(child), file, out)
        })
        .collect();
    for (_, _, out) in &mut nodes {
        let mut line = String::new();
        out.read_line(&mut line).expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let number = |key: &str| said[key].as_f64().expect("a number");
        run.from_server += number("from_server");
        run.in_vain += number("in_vain");
        run.cpu += number("user") + number("system");
        run.memory = run.memory.max(number("mebibytes"));
        run.seconds = began.elapsed().as_secs_f64();
    }
    for (mut node, file, _) in nodes {
        drop(node.0.stdin.take());
        assert!(node.0.wait().expect("wait").success());
        std::fs::remove_file(file).expect("remove");
    }
    run
}

/// The real agent, writing into files.
fn agents(dir: &Path, prefix: &Path, count: usize) -> Run {
    let manifest = std::fs::read(prefix.with_extension("json")).expect("a manifest");
    let nonce = "ab".repeat(16);
    let wanted = Wanted {
        name: "image".into(),
        manifest: Manifest::digest(&manifest),
        disk: None,
    };
    let order = Order::new(&nonce, vec![wanted], Vec::new(), Zero::Nothing, 3600);
    let order = order.and_then(|order| order.to_bytes()).expect("an order");
    std::fs::write(prefix.with_extension("order"), &order).expect("write");
    let links = Links::new(count + 1, Some(RATE));
    let (_server, address) = serve(&links, prefix);
    let file = |number: usize| dir.join(format!("disk{number}"));
    let began = Instant::now();
    let mut nodes: Vec<Ended> = (1..=count)
        .map(|number| {
            let disk = File::create(file(number)).expect("a file");
            disk.set_len(SIZE).expect("a length");
            let own = std::env::current_exe().expect("own path");
            let mut command = links.command(number, own);
            command.arg(measure::ALONE).arg(program("osload-agent"));
            command.args(["--no-report", "--return", "--foreground", "--nonce", &nonce]);
            command.args(["--images", &address, "--order"]);
            command.arg(Digest::of(&order).to_string());
            command.arg("--device").arg(file(number));
            command.stderr(Stdio::null());
            Ended(command.stdout(Stdio::piped()).spawn().expect("start"))
        })
        .collect();
    let mut run = Run {
        seconds: 0.0,
        from_server: 0.0,
        in_vain: 0.0,
        cpu: 0.0,
        memory: 0.0,
    };
    for node in &mut nodes {
        let mut said = String::new();
        let out = node.0.stdout.as_mut().expect("stdout");
        out.read_to_string(&mut said).expect("what it took");
        assert!(
            node.0.wait().expect("wait").success(),
            "osload-agent failed"
        );
        let mut words = said.split_whitespace().map(|word| word.parse::<f64>());
        let mut next = || words.next().expect("two words").expect("a number");
        run.cpu += next();
        run.memory = run.memory.max(next());
        run.seconds = began.elapsed().as_secs_f64();
    }
    for number in 1..=count {
        std::fs::remove_file(file(number)).expect("remove");
    }
    run
}

/// The server on host 0.
fn serve(links: &Links, prefix: &Path) -> (Ended, String) {
    let mut command = links.command(0, program("load_agent"));
    command
        .arg("serve")
        .arg(prefix)
        .arg(format!("{}:0", Links::address(0)));
    let mut server = command.stdout(Stdio::piped()).spawn().expect("start");
    let mut line = String::new();
    let out = server.stdout.take().expect("stdout");
    BufReader::new(out).read_line(&mut line).expect("ready");
    let address = line.trim().strip_prefix("ready ").expect("ready");
    (Ended(server), address.into())
}

fn plain(dir: &Path, prefix: &Path, count: usize) -> f64 {
    let links = Links::new(count + 1, Some(RATE));
    let (_server, address) = serve(&links, prefix);
    let manifest = std::fs::read(prefix.with_extension("json")).expect("a manifest");
    let url = format!("http://{address}/v1/frames/{}", Manifest::digest(&manifest));
    let curl = |number: usize| {
        let mut command = links.command(number, "curl");
        command.args(["-sSf", &url, "-o"]);
        command.arg(dir.join(format!("object{number}")));
        command
    };
    let seconds = together((1..=count).map(curl));
    for number in 1..=count {
        std::fs::remove_file(dir.join(format!("object{number}"))).expect("remove");
    }
    seconds
}

/// One seeder; a tracker that knows everybody.
fn aria2c(dir: &Path, prefix: &Path, count: usize) -> Option<f64> {
    if !parts::have("aria2c") || !parts::have("python3") {
        return None;
    }
    let links = Links::new(count + 1, Some(RATE));
    let torrent = dir.join("torrent");
    let tracker = format!("http://{}:6969/announce", Links::address(0));
    let made = Command::new("python3")
        .args(["-c", TORRENT])
        .arg(prefix.with_extension("frames"))
        .arg(&torrent)
        .arg(&tracker)
        .status();
    assert!(made.expect("python3").success());
    let peers: Vec<u8> = (0..=count)
        .flat_map(|number| [&Links::address(number).octets()[..], &[0x1a, 0xe1]].concat())
        .collect();
    let mut body = format!("d8:intervali5e5:peers{}:", peers.len()).into_bytes();
    body.extend(peers);
    body.push(b'e');
    let answer = dir.join("announce");
    std::fs::write(&answer, body).expect("write");
    let mut tracker = links.command(0, "python3");
    tracker
        .args(["-c", TRACKER])
        .arg(&answer)
        .stdout(Stdio::piped());
    let mut tracker = Ended(tracker.spawn().expect("start"));
    let mut line = String::new();
    BufReader::new(tracker.0.stdout.take().expect("stdout"))
        .read_line(&mut line)
        .expect("ready");
    let node = |number: usize, seed: bool| {
        let mut command = links.command(number, "aria2c");
        command.args([
            "--no-conf",
            "--listen-port=6881",
            "--enable-dht=false",
            "--bt-enable-lpd=false",
            "--enable-peer-exchange=true",
            "--file-allocation=none",
            "--bt-max-peers=50",
            "--quiet",
            "--allow-overwrite=true",
        ]);
        match seed {
            true => command
                .args(["--seed-ratio=0.0", "--check-integrity=true", "--dir"])
                .arg(dir),
            false => command
                .args([
                    "--seed-ratio=0.0",
                    "--on-bt-download-complete=/bin/true",
                    "--dir",
                ])
                .arg(dir.join(format!("torrent{number}"))),
        };
        command.arg(&torrent).stdout(Stdio::null());
        command
    };
    let _seeder = Ended(node(0, true).spawn().expect("start"));
    let size = std::fs::metadata(prefix.with_extension("frames"))
        .expect("frames")
        .len();
    let began = Instant::now();
    let nodes: Vec<Ended> = (1..=count)
        .map(|number| Ended(node(number, false).spawn().expect("start")))
        .collect();
    // It is whole when its control file is gone.
    for number in 1..=count {
        let file = dir.join(format!("torrent{number}/image.frames"));
        let control = dir.join(format!("torrent{number}/image.frames.aria2"));
        while !std::fs::metadata(&file).is_ok_and(|meta| meta.len() == size) || control.exists() {
            assert!(
                began.elapsed() < Duration::from_secs(600),
                "aria2c does not end"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    drop(nodes);
    for number in 1..=count {
        std::fs::remove_dir_all(dir.join(format!("torrent{number}"))).expect("remove");
    }
    Some(seconds)
}

/// Multicast, at nine tenths of the link's rate.
fn uftp(dir: &Path, prefix: &Path, count: usize) -> Option<f64> {
    if !parts::have("uftp") || !parts::have("uftpd") {
        return None;
    }
    let links = Links::new(count + 1, Some(RATE));
    let _receivers: Vec<Ended> = (1..=count)
        .map(|number| {
            let place = dir.join(format!("uftp{number}"));
            std::fs::create_dir(&place).expect("a directory");
            let mut command = links.command(number, "uftpd");
            command.args(["-d", "-I", "eth0", "-D"]).arg(place);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            Ended(command.spawn().expect("start"))
        })
        .collect();
    let mut send = links.command(0, "uftp");
    let kilobits = RATE * 900;
    send.args(["-I", "eth0", "-R", &kilobits.to_string()])
        .arg(prefix.with_extension("frames"));
    send.stdout(Stdio::null()).stderr(Stdio::null());
    let seconds = together([send].into_iter());
    let size = |path: PathBuf| std::fs::metadata(path).map_or(0, |meta| meta.len());
    let wanted = size(prefix.with_extension("frames"));
    let whole = (1..=count)
        .filter(|number| size(dir.join(format!("uftp{number}/image.frames"))) == wanted)
        .count();
    for number in 1..=count {
        let _ = std::fs::remove_dir_all(dir.join(format!("uftp{number}")));
    }
    if whole < count {
        println!("uftp: only {whole} of {count} nodes have the whole file");
    }
    Some(seconds)
}

/// Until the last of them has ended well.
fn together(commands: impl Iterator<Item = Command>) -> f64 {
    let began = Instant::now();
    let mut started: Vec<Ended> = commands
        .map(|mut command| Ended(command.stdin(Stdio::null()).spawn().expect("start")))
        .collect();
    for one in &mut started {
        let status = one.0.wait().expect("wait");
        assert!(status.success(), "{status}");
    }
    began.elapsed().as_secs_f64()
}

/// A child that ends with us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const TORRENT: &str = r#"
import hashlib, os, sys
path, torrent, tracker = sys.argv[1:]
pieces = b""
with open(path, "rb") as file:
    while piece := file.read(1 << 20):
        pieces += hashlib.sha1(piece).digest()
name = os.path.basename(path).encode()
info = b"d6:lengthi%de4:name%d:%s12:piece lengthi%de6:pieces%d:%se" % (
    os.path.getsize(path), len(name), name, 1 << 20, len(pieces), pieces)
with open(torrent, "wb") as file:
    file.write(b"d8:announce%d:%s4:info%se" % (len(tracker), tracker.encode(), info))
"#;

const TRACKER: &str = r#"
import http.server, sys
body = open(sys.argv[1], "rb").read()
class Tracker(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("", 6969), Tracker)
print("ready", flush=True)
server.serve_forever()
"#;
