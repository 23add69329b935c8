//! A snapshot block server as the one server: qemu-nbd over a qcow2 overlay, and a client that follows
//! its address over fail-overs. Every write that was acknowledged must be there at the end.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use scenarios::{parts, program};

const FAIL_OVERS: u64 = 20;
const BLOCK: usize = 4096;
const BLOCKS: u64 = 2048;
const PATIENCE: Duration = Duration::from_secs(60);

struct Site {
    dir: tempfile::TempDir,
    hosts: Vec<Child>,
    ports: Vec<u16>,
}

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let image = |words: &[&str]| {
            let made = Command::new("qemu-img")
                .args(["create", "-q", "-f", "qcow2"])
                .args(words)
                .status();
            assert!(made.expect("qemu-img").success());
        };
        let (origin, overlay) = (at("origin.qcow2"), at("snapshot.qcow2"));
        let (origin, overlay) = (
            origin.to_str().expect("text"),
            overlay.to_str().expect("text"),
        );
        image(&[origin, "16M"]);
        image(&["-F", "qcow2", "-b", origin, overlay]);
        for name in ["lock", "h0", "h1"] {
            std::fs::create_dir(at(name)).expect("a directory");
        }
        // Free now; nobody else on this machine asks for these.
        let ports: Vec<TcpListener> = (0..2)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
            .collect();
        let ports = ports
            .iter()
            .map(|port| port.local_addr().expect("an address").port())
            .collect();
        let mut site = Site {
            dir,
            hosts: Vec::new(),
            ports,
        };
        assert!(
            site.oneserver(0, &["init", "csnap"])
                .status()
                .expect("init")
                .success()
        );
        site.hosts = (0..2).map(|host| site.start(host)).collect();
        site
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn oneserver(&self, host: usize, words: &[&str]) -> Command {
        let mut command = Command::new(program("oneserver"));
        command.args(words).arg("--lockdir").arg(self.at("lock"));
        command
            .env("NODETOOLS_ROOT", self.at(&format!("h{host}")))
            .stdin(Stdio::null());
        command
    }

    fn start(&self, host: usize) -> Child {
        let port = self.ports[host];
        // qemu-nbd writes its pid when it listens; it is the shell's process, so the signal at the
        // supervisor's death reaches it.
        let text = format!(
            "pid=$1/nbd.{port}.$ONESERVER_EPOCH
             (until test -e $pid; do sleep 0.01; done; echo nbd:127.0.0.1:{port} >&3) &
             exec 3>&-
             exec qemu-nbd --persistent --shared=8 --format=qcow2 --cache=none --bind=127.0.0.1 \\
                 --port={port} --pid-file=$pid $1/snapshot.qcow2"
        );
        let mut command = self.oneserver(host, &["run", "csnap"]);
        command
            .args(["--restarts", "1000", "--", "sh", "-c", &text, "server"])
            .arg(self.dir.path());
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("run")
    }

    /// Epoch and port of the server, if it is ready.
    fn address(&self) -> Option<(u64, u16)> {
        let said = self
            .oneserver(0, &["address", "csnap", "--json"])
            .output()
            .expect("address");
        let event: serde_json::Value = serde_json::from_slice(&said.stdout).ok()?;
        let port = event["address"]
            .as_str()?
            .rsplit_once(':')?
            .1
            .parse()
            .ok()?;
        Some((event["epoch"].as_u64()?, port))
    }

    /// Kills the server, and every other time its supervisor as well.
    fn fail(&mut self, round: u64) {
        for host in 0..2 {
            let path = self.at(&format!(
                "h{host}/var/run/getadapter/oneserver/csnap/server"
            ));
            let Ok(text) = std::fs::read_to_string(path) else {
                continue;
            };
            let pid: i32 = text
                .split(' ')
                .next()
                .and_then(|pid| pid.parse().ok())
                .expect("a pid");
            // What a killed supervisor left may name a process that is gone.
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if !line.starts_with(b"qemu-nbd") {
                continue;
            }
            if round.is_multiple_of(2) {
                let _ = kill(Pid::from_raw(self.hosts[host].id() as i32), Signal::SIGKILL);
                let _ = self.hosts[host].wait();
            }
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            if round.is_multiple_of(2) {
                self.hosts[host] = self.start(host);
            }
            return;
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for host in 0..self.hosts.len() {
            let _ = self
                .oneserver(host, &["stop", "csnap"])
                .stderr(Stdio::null())
                .status();
            let _ = self.hosts[host].kill();
            let _ = self.hosts[host].wait();
        }
    }
}

/// A connection: the old way of naming the export, then simple requests.
struct Nbd(TcpStream);

impl Nbd {
    fn connect(port: u16) -> std::io::Result<Nbd> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        let mut greeting = [0; 18];
        stream.read_exact(&mut greeting)?;
        assert_eq!(&greeting[..16], b"NBDMAGICIHAVEOPT");
        // Fixed new style, no zeroes; option 1 with an empty name.
        let mut words = 3_u32.to_be_bytes().to_vec();
        words.extend(b"IHAVEOPT\0\0\0\x01\0\0\0\0");
        stream.write_all(&words)?;
        stream.read_exact(&mut [0; 10])?;
        Ok(Nbd(stream))
    }

    fn request(
        &mut self,
        kind: u16,
        offset: u64,
        length: usize,
        data: &[u8],
    ) -> std::io::Result<Vec<u8>> {
        let mut words = 0x2560_9513_u32.to_be_bytes().to_vec();
        words.extend(0_u16.to_be_bytes());
        words.extend(kind.to_be_bytes());
        words.extend(7_u64.to_be_bytes());
        words.extend(offset.to_be_bytes());
        words.extend((length as u32).to_be_bytes());
        words.extend(data);
        self.0.write_all(&words)?;
        let mut reply = [0; 16];
        self.0.read_exact(&mut reply)?;
        if reply[..8] != [0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0] {
            return Err(std::io::Error::other(format!("{reply:?}")));
        }
        let mut answer = vec![0; if kind == 0 { length } else { 0 }];
        self.0.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// On the disk when it returns.
    fn write(&mut self, block: u64, data: &[u8]) -> std::io::Result<()> {
        self.request(1, block * BLOCK as u64, BLOCK, data)?;
        self.request(3, 0, 0, &[]).map(drop)
    }

    fn read(&mut self, block: u64) -> std::io::Result<Vec<u8>> {
        self.request(0, block * BLOCK as u64, BLOCK, &[])
    }
}

fn content(block: u64, version: u64) -> Vec<u8> {
    let word = [block.to_be_bytes(), version.to_be_bytes()].concat();
    word.iter().copied().cycle().take(BLOCK).collect()
}

#[test]
fn twenty_fail_overs_and_no_acknowledged_write_is_lost() {
    if !parts::have("qemu-nbd") || !parts::have("qemu-img") {
        return;
    }
    let mut site = Site::new();
    let mut acknowledged = std::collections::BTreeMap::new();
    let mut connection: Option<Nbd> = None;
    let (mut epoch, mut rounds, mut version, mut here) = (0, 0, 0_u64, 0_u64);
    let mut since = Instant::now();
    while rounds < FAIL_OVERS || here < 50 {
        assert!(
            since.elapsed() < PATIENCE,
            "no server for a minute, after {rounds} fail-overs"
        );
        let Some(nbd) = &mut connection else {
            if let Some((newer, port)) = site.address() {
                assert!(newer >= epoch, "epoch {newer} after {epoch}");
                connection = Nbd::connect(port).ok();
                epoch = newer;
                here = 0;
            }
            continue;
        };
        version += 1;
        let block = version * 7919 % BLOCKS;
        match nbd.write(block, &content(block, version)) {
            Ok(()) => {
                acknowledged.insert(block, version);
                since = Instant::now();
                here += 1;
            }
            // Not acknowledged: either content is right for that block, so it is written again.
            Err(_) => {
                connection = None;
                version -= 1;
            }
        }
        if here == 50 && rounds < FAIL_OVERS {
            site.fail(rounds);
            rounds += 1;
            here = 0;
        }
    }
    let nbd = connection.as_mut().expect("a connection");
    for (block, version) in &acknowledged {
        let found = nbd.read(*block).expect("read");
        assert!(
            found == content(*block, *version),
            "block {block}: version {version} is not there"
        );
    }
    eprintln!("{rounds} fail-overs, {version} writes acknowledged, epoch {epoch}");
    assert!(epoch > FAIL_OVERS);
}
