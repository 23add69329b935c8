//! BMCs to talk to: a TLS server that answers as a test likes, and settings for short tempers.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bmc::{Certificates, Kind, Limits, Secret, Settings, Target};
use tls::ServerContext;

pub const PASSWORD: &str = "p 'ss\"w$rd;&";

/// True if `program` can be started; else says so, and fails under CI.
pub fn have(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v -- \"$0\" >/dev/null", program])
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    assert!(
        found || std::env::var_os("CI").is_none(),
        "{program}: is missing, and this is CI"
    );
    if !found {
        eprintln!("skipped: {program} missing");
    }
    found
}

/// The private Python environment that scripts/setup makes.
pub fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin")
}

pub fn target(address: SocketAddr, kind: Kind) -> Target {
    Target {
        node: "n1".to_string(),
        address,
        host: address.ip().to_string(),
        user: "root".to_string(),
        password: Secret::new(PASSWORD),
        kind,
    }
}

/// A second for each request, two repetitions.
pub fn limits() -> Limits {
    Limits {
        connect: Duration::from_secs(2),
        request: Duration::from_secs(2),
        retries: 2,
        total: Duration::from_secs(20),
    }
}

pub fn insecure() -> Settings {
    Settings::new(Certificates::Insecure, BTreeSet::new(), limits()).unwrap()
}

pub fn pinning(dir: &Path, accept_new: bool) -> Settings {
    let settings = Settings::new(
        Certificates::FirstSeen { accept_new },
        BTreeSet::new(),
        limits(),
    );
    settings.unwrap().with_pins(dir.join("pins"))
}

/// A request as the server got it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `METHOD /path`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// What the server does.
pub enum Reply {
    /// Status, further headers (each with its end of line), body.
    Say(u16, String, String),
    /// These bytes as they are, then the connection breaks off without a word.
    Break(Vec<u8>),
}

pub fn say(status: u16, body: &str) -> Reply {
    Reply::Say(status, String::new(), body.to_string())
}

/// A TLS server on a port of its own; threads, until the process ends.
pub struct Server {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn start(dir: &Path, answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        let identity = tls::identity(dir, "server").unwrap();
        let context = ServerContext::new(&identity, None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (context, log, answer) =
                    (context.clone(), Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    if let Ok(stream) = context.accept(socket.unwrap()) {
                        serve(stream, &log, &*answer);
                    }
                });
            }
        });
        Server { address, asked }
    }

    pub fn target(&self) -> Target {
        target(self.address, Kind::Redfish)
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The request lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

fn serve(stream: tls::Stream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Reply) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if !matches!(stream.read_line(&mut line), Ok(1..)) {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_string()),
            }
        }
        let headers: Vec<(String, String)> = head[1..]
            .iter()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_string()))
            .collect();
        let mut asked = Asked {
            line: head[0].trim_end_matches(" HTTP/1.1").to_string(),
            headers,
            body: String::new(),
        };
        let length = asked.header("content-length").map(|n| n.parse().unwrap());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).unwrap();
        asked.body = String::from_utf8(body).unwrap();
        log.lock().unwrap().push(asked.clone());
        match answer(&asked) {
            Reply::Say(status, headers, body) => {
                let text = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n{body}",
                    if status == 204 { 0 } else { body.len() }
                );
                if stream.get_mut().write_all(text.as_bytes()).is_err() {
                    return;
                }
            }
            Reply::Break(bytes) => {
                let _ = stream.get_mut().write_all(&bytes);
                return;
            }
        }
    }
}

/// A Redfish BMC as it should be, on which a test may put something else.
pub fn good(asked: &Asked) -> Reply {
    const SYSTEM: &str = r##"{"Id": "1", "PowerState": "On", "Boot": {"BootSourceOverrideTarget": "Pxe",
        "BootSourceOverrideEnabled": "Once"}, "Actions": {"#ComputerSystem.Reset": {"target": "/r/reset"}}}"##;
    match asked.line.as_str() {
        "GET /redfish/v1" => say(
            200,
            r#"{"RedfishVersion": "1.6.0", "Systems": {"@odata.id": "/r/systems"},
                "Links": {"Sessions": {"@odata.id": "/r/sessions"}}}"#,
        ),
        "POST /r/sessions" => Reply::Say(
            201,
            "X-Auth-Token: T\r\nLocation: https://192.0.2.1/r/sessions/7\r\n".to_string(),
            "{}".to_string(),
        ),
        "DELETE /r/sessions/7" => say(204, ""),
        "GET /r/systems" => say(200, r#"{"Members": [{"@odata.id": "/r/systems/1"}]}"#),
        "GET /r/systems/1" => say(200, SYSTEM),
        "PATCH /r/systems/1" => say(204, ""),
        "POST /r/reset" => say(204, ""),
        _ => say(404, "{}"),
    }
}

/// A program that runs until this value goes.
pub struct Running(pub std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tries until it works, for programs that say nowhere that they are ready.
#[track_caller]
pub fn within<T>(limit: Duration, mut what: impl FnMut() -> Option<T>) -> T {
    let until = std::time::Instant::now() + limit;
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(std::time::Instant::now() < until, "not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until two reads in a row say this.
#[track_caller]
pub fn settles(client: &mut bmc::Client, wanted: &bmc::PowerState) {
    let mut before = client.power().unwrap();
    within(Duration::from_secs(20), || {
        let now = client.power().unwrap();
        let settled = bmc::PowerState::settled(wanted, &before, &now);
        before = now;
        settled.then_some(())
    });
}

/// A port of loopback that is free now.
pub fn free_port(udp: bool) -> u16 {
    match udp {
        true => std::net::UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr(),
        false => TcpListener::bind("127.0.0.1:0").unwrap().local_addr(),
    }
    .unwrap()
    .port()
}

/// `ipmi_sim`, a real IPMI server; a script of ours is its chassis, and keeps its state in files.
pub struct IpmiSim {
    _running: Running,
    dir: tempfile::TempDir,
    pub address: SocketAddr,
}

/// `ipmi_sim` cuts its configuration at spaces and knows no way to quote a quote.
pub const IPMI_PASSWORD: &str = "p'w$(rd);&`*\\";

impl IpmiSim {
    pub fn start() -> Option<IpmiSim> {
        if !have("ipmi_sim") || !have("ipmitool") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let port = free_port(true);
        let chassis = at.join("chassis");
        let script = "#!/bin/sh\ncd \"${0%/*}\" || exit 1\necho \"$2 $3 $4\" >>log\ncase \"$2 $3\" in\n\
            'get power') echo \"power:$(cat power)\" ;;\n'get boot') echo \"boot:$(cat boot)\" ;;\n\
            'set power') echo \"$4\" >power ;;\n'set boot') echo \"$4\" >boot ;;\nesac\n";
        for (name, text) in [("power", "0"), ("boot", "default"), ("log", "")] {
            std::fs::write(at.join(name), text).unwrap();
        }
        // Another process writes it: a descriptor of ours, open for writing, could be held by a child
        // that another test forks just then, and the script not be run.
        let mut shell = Command::new("/bin/sh")
            .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
            .arg(&chassis)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        assert!(shell.wait().unwrap().success());
        let lan = format!(
            "name \"bmc1\"\nset_working_mc 0x20\n startlan 1\n addr 127.0.0.1 {port}\n priv_limit admin\n\
             allowed_auths_admin none md2 md5 straight\n guid a123456789abcdefa123456789abcdef\n endlan\n\
             chassis_control \"{} 0x20\"\n user 2 true \"root\" \"{IPMI_PASSWORD}\" admin 10 none md2 md5 straight\n",
            chassis.display()
        );
        std::fs::write(at.join("lan.conf"), lan).unwrap();
        let commands = "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
            sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n";
        std::fs::write(at.join("commands"), commands).unwrap();
        let running = Command::new("ipmi_sim")
            .args(["-n", "-c"])
            .arg(at.join("lan.conf"))
            .arg("-f")
            .arg(at.join("commands"))
            .arg("-s")
            .arg(at.join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let sim = IpmiSim {
            _running: Running(running),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            dir,
        };
        // It listens once the port is taken.
        within(Duration::from_secs(10), || {
            std::net::UdpSocket::bind(sim.address)
                .is_err()
                .then_some(())
        });
        Some(sim)
    }

    pub fn target(&self) -> Target {
        Target {
            password: Secret::new(IPMI_PASSWORD),
            ..target(self.address, Kind::Ipmi)
        }
    }

    /// What its chassis was told so far, without questions.
    pub fn told(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
        log.lines()
            .filter(|line| line.starts_with("set "))
            .map(String::from)
            .collect()
    }
}
