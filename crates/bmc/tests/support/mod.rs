//! BMCs to talk to: a TLS server that answers as a test likes, and settings for short tempers.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bmc::{Certificates, Kind, Limits, Secret, Settings, Target};
use simulators::real::{IpmiSim, within};
use tls::ServerContext;

pub const PASSWORD: &str = "p 'ss\"w$rd;&";

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

/// Where `ipmi_sim` listens, and its login.
pub fn ipmi(sim: &IpmiSim) -> Target {
    Target {
        password: Secret::new(IpmiSim::PASSWORD),
        ..target(sim.address, Kind::Ipmi)
    }
}
