//! curl as the judge.
#![allow(dead_code, clippy::print_stderr)]

use std::net::SocketAddrV4;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
    /// curl's own exit code.
    pub(crate) code: i32,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .headers
            .lines()
            .filter_map(|line| line.split_once(": "));
        lines.find_map(|(one, value)| one.eq_ignore_ascii_case(name).then(|| value.trim()))
    }
}

/// Runs curl with these arguments (`--data`, headers) on a path of a BMC.
pub(crate) fn curl(at: SocketAddrV4, method: &str, path: &str, more: &[&str]) -> Reply {
    let output = Command::new("curl")
        .args(["-sk", "-i", "--http1.1", "--max-time", "20", "-X", method])
        .args(more)
        .arg(format!("https://{at}{path}"))
        .stdin(Stdio::null())
        .output()
        .expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut rest = text.as_str();
    let (mut headers, mut status) = ("", 0);
    // Interim answers come first.
    while let Some((head, tail)) = rest.split_once("\r\n\r\n") {
        (headers, rest) = (head, tail);
        status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0);
        if status != 100 {
            break;
        }
    }
    Reply {
        status,
        headers: headers.to_string(),
        body: rest.to_string(),
        code: output.status.code().unwrap_or(-1),
    }
}

/// A Redfish session's header.
pub(crate) fn session(at: SocketAddrV4, path: &str) -> String {
    let login = r#"{"UserName": "root", "Password": "0penBmc"}"#;
    let reply = curl(at, "POST", path, &["-d", login]);
    assert_eq!(reply.status, 201, "{reply:?}");
    format!(
        "X-Auth-Token: {}",
        reply.header("X-Auth-Token").expect("a token")
    )
}

/// True if curl is here; else says so, and fails under CI.
pub(crate) fn have(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    assert!(
        found || std::env::var_os("CI").is_none(),
        "{program}: is missing, and this is CI"
    );
    if !found {
        eprintln!("skipped: {program} missing");
    }
    found
}

/// True if we are root; else says so, and fails under CI.
pub(crate) fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    assert!(
        root || std::env::var_os("CI").is_none(),
        "root: is missing, and this is CI"
    );
    if !root {
        eprintln!("skipped: root missing");
    }
    root
}
