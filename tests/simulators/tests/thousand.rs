//! One process for a thousand BMCs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    missing_docs
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use simulators::{Bmcs, Config, Flavour, Nodes};
use tls::{ClientContext, OldSuites, Trust};

#[test]
fn a_thousand_at_once() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let mut config = Config::of(Flavour::Bmcweb2026, 1000, Ipv4Addr::new(127, 9, 16, 1));
    config.groups[0].port = 8443;
    config.nodes = Some(Nodes {
        first: Ipv4Addr::new(127, 9, 32, 1),
        port: 2222,
        ..Nodes::default()
    });
    let started = Instant::now();
    let bmcs = Bmcs::start(config);
    let ready = started.elapsed();
    let idle = pss(bmcs.pid());

    let context = ClientContext::new(&Trust::Anyone, None, OldSuites::No).unwrap();
    let started = Instant::now();
    let mut streams: Vec<tls::Stream> = (0..1000)
        .map(|i| {
            let socket = TcpStream::connect(bmcs.address(i)).unwrap();
            context.connect(socket, "bmc").unwrap()
        })
        .collect();
    for stream in &mut streams {
        stream
            .write_all(b"GET /redfish/v1 HTTP/1.1\r\nHost: bmc\r\n\r\n")
            .unwrap();
    }
    for stream in &mut streams {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(bytes[..count].starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    let busy = pss(bmcs.pid());
    eprintln!(
        "1,000 BMCs and nodes: ready in {:.2} s, {idle} kB; 1,000 TLS connections with an answer each: {:.2} s, {busy} kB",
        ready.as_secs_f64(),
        started.elapsed().as_secs_f64(),
    );
    // Far above what was measured, and far below what would hurt.
    assert!(ready < Duration::from_secs(20), "ready in {ready:?}");
    assert!(busy < 400_000, "{busy} kB");
    assert_eq!(bmcs.counts()["200 GET /redfish/v1"], 1000);
}

#[test]
fn it_ends_with_its_input_and_when_told() {
    let mut config = Config::of(Flavour::Bmcweb2026, 1, Ipv4Addr::new(127, 9, 8, 1));
    config.groups[0].port = 8443;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    std::fs::write(&file, serde_json::to_vec(&config).unwrap()).unwrap();
    for by_quit in [false, true] {
        let control = dir.path().join(format!("control{by_quit}"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_bmc-simulator"))
            .args([&file, &control])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 6];
        child.stdout.take().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(&line, b"ready\n");
        if by_quit {
            let mut control = std::os::unix::net::UnixStream::connect(&control).unwrap();
            control
                .write_all(b"{\"ask\": \"nonsense\"}\n{\"ask\": \"quit\"}\n")
                .unwrap();
            let mut said = String::new();
            control.read_to_string(&mut said).unwrap();
            assert!(said.contains("not understood"), "{said}");
        } else {
            drop(child.stdin.take());
        }
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    let taken = std::net::TcpListener::bind("127.9.8.1:8443").unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_bmc-simulator"))
        .args([&file, &dir.path().join("third")])
        .stdin(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("127.9.8.1:8443: "));
    drop(taken);
}

/// Proportional set size in kB.
fn pss(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
