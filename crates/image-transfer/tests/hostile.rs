//! Peers and clients that mean no good, servers that die, nodes that are slow.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Disk, MIB, Open, Plan, Served, load, node};
use image_transfer::{Error, Limits, document};

fn slow(rate: usize) -> Limits {
    Limits {
        rate: Some(rate as u64),
        ..Limits::default()
    }
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Sends bytes and reads until the connection ends or so many bytes have come.
fn ask(address: SocketAddr, bytes: &[u8], most: usize) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match stream.read(&mut answer[filled..]) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    String::from_utf8_lossy(&answer[..filled]).into_owned()
}

fn get(address: SocketAddr, path: &str, header: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\n{header}Connection: close\r\n\r\n");
    ask(address, request.as_bytes(), 1 << 20)
}

#[test]
fn every_refusal_has_its_status() {
    let disk = Disk::new(4);
    let gate = Open::default();
    let server = Served::with(&disk, anywhere(), Limits::default(), gate.clone());
    let (at, image, size) = (server.address, disk.digest, disk.object.len());
    let frames = format!("/v1/frames/{image}");
    let expect = |answer: String, status: &str| {
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {answer}"
        );
    };
    let range = |range: &str| get(at, &frames, &format!("Range: bytes={range}\r\n"));
    let part = range("10-19");
    expect(part.clone(), "206");
    assert!(part.contains(&format!("Content-Range: bytes 10-19/{size}\r\n")));
    assert!(part.contains("Content-Length: 10\r\n"));
    let beyond = range(&format!("{size}-"));
    expect(beyond.clone(), "416");
    assert!(beyond.contains(&format!("Content-Range: bytes */{size}\r\n")));
    expect(get(at, "/etc/passwd", ""), "404");
    expect(get(at, "/v1/manifest/00", ""), "404");
    let other = Disk::new(2).digest;
    expect(get(at, &format!("/v1/frames/{other}"), ""), "404");
    expect(get(at, &format!("/v1/have/{image}"), ""), "404");
    expect(get(at, &format!("/v1/pick/{image}"), ""), "405");
    expect(
        get(at, &format!("/v1/order/{}", "ab".repeat(16)), ""),
        "403",
    );
    let post = |kind: &str, body: &str| {
        let length = body.len();
        let text = format!(
            "POST /v1/{kind}/{image} HTTP/1.1\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        ask(at, text.as_bytes(), 4096)
    };
    expect(post("pick", r#"{"of":[2]}"#), "400");
    expect(post("pick", r#"{"of":[]}"#), "400");
    expect(post("pick", r#"{"of":[-1]}"#), "400");
    expect(
        post(
            "progress",
            r#"{"nonce":"ff","port":1,"have":1,"done":false}"#,
        ),
        "403",
    );
    expect(
        ask(
            at,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            4096,
        ),
        "400",
    );
    expect(ask(at, b"DELETE / HTTP/1.1\r\n\r\n", 4096), "501");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(8000));
    expect(ask(at, long.as_bytes(), 4096), "431");
    gate.shut
        .lock()
        .unwrap()
        .insert("127.0.0.1".parse().unwrap());
    expect(get(at, &frames, ""), "403");
    expect(get(at, &format!("/v1/manifest/{image}"), ""), "403");
}

#[test]
fn who_never_ends_its_request_is_told_so_and_keeps_nobody_waiting() {
    let disk = Disk::new(4);
    let limits = Limits {
        request: Duration::from_secs(1),
        per_address: 64,
        ..Limits::default()
    };
    let server = Served::with(&disk, anywhere(), limits, Open::default());
    // Byte after byte, for ever.
    let lorises: Vec<_> = (0..32)
        .map(|_| {
            let address = server.address;
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_millis(50)))
                    .unwrap();
                let mut answer = Vec::new();
                let began = Instant::now();
                while began.elapsed() < Duration::from_secs(60) {
                    let _ = stream.write_all(b"G");
                    let mut bytes = [0; 512];
                    match stream.read(&mut bytes) {
                        Ok(0) => break,
                        Ok(count) => answer.extend_from_slice(&bytes[..count]),
                        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                        Err(_) => {}
                    }
                }
                String::from_utf8_lossy(&answer).into_owned()
            })
        })
        .collect();
    let loaded = load(&disk, Plan::new(1, server.address))
        .join()
        .unwrap()
        .unwrap();
    assert!(loaded.same);
    for loris in lorises {
        let answer = loris.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[test]
fn one_address_cannot_take_all_connections() {
    let disk = Disk::new(4);
    let limits = Limits {
        per_address: 4,
        ..Limits::default()
    };
    let server = Served::with(&disk, anywhere(), limits, Open::default());
    let idle: Vec<TcpStream> = (0..4)
        .map(|_| TcpStream::connect(server.address).unwrap())
        .collect();
    let answer = get(server.address, &format!("/v1/manifest/{}", disk.digest), "");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("Retry-After: "));
    // Another address is served.
    let loaded = load(&disk, Plan::new(2, server.address))
        .join()
        .unwrap()
        .unwrap();
    assert!(loaded.same);
    drop(idle);
}

#[test]
fn the_server_dies_and_another_one_takes_over() {
    let disk = Disk::new(32);
    let first = Served::with(&disk, anywhere(), slow(4 * MIB), Open::default());
    let address = first.address;
    let nodes: Vec<_> = (1..=3)
        .map(|number| load(&disk, Plan::new(number, address)))
        .collect();
    // In the middle of it: something has been taken, not all.
    while first
        .accounts
        .lock()
        .unwrap()
        .iter()
        .all(|(_, one)| one.have < 2)
    {
        std::thread::yield_now();
    }
    drop(first);
    let _second = Served::with(&disk, address, Limits::default(), Open::default());
    for node in nodes {
        assert!(node.join().unwrap().unwrap().same);
    }
}

#[test]
fn a_slow_node_holds_nobody_up() {
    let disk = Disk::new(32);
    let server = Served::with(&disk, anywhere(), slow(16 * MIB), Open::default());
    let lame = Plan {
        slow: Duration::from_millis(500),
        patience: Duration::from_secs(300),
        ..Plan::new(9, server.address)
    };
    let lame = load(&disk, lame);
    let fast: Vec<_> = (1..=3)
        .map(|number| load(&disk, Plan::new(number, server.address)))
        .collect();
    let fast: Vec<_> = fast
        .into_iter()
        .map(|node| node.join().unwrap().unwrap())
        .collect();
    let lame = lame.join().unwrap().unwrap();
    assert!(lame.same);
    for node in fast {
        assert!(node.same && node.time < lame.time, "{node:?} {lame:?}");
    }
}

/// A peer that says it has everything and gives something else.
fn liar(disk: &Disk, number: u8, server: SocketAddr, asked: Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind((node(number), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let count = u32::try_from(disk.manifest().frames().len()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let asked = Arc::clone(&asked);
            std::thread::spawn(move || {
                let mut stream = stream.unwrap();
                let mut bytes = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
                    let body = if text.contains("after=0") {
                        (0..count).flat_map(u32::to_le_bytes).collect()
                    } else if text.contains("/v1/have/") {
                        // Nothing new, ever.
                        std::thread::sleep(Duration::from_secs(30));
                        Vec::new()
                    } else {
                        asked.fetch_add(1, Ordering::Relaxed);
                        vec![0x28; 1000]
                    };
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                    if stream
                        .write_all(&[head.into_bytes(), body].concat())
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
    });
    // It is a node of the run, as far as the server knows.
    let (image, port) = (disk.digest, address.port());
    std::thread::spawn(move || {
        loop {
            let body = format!(
                r#"{{"nonce":"{}","port":{port},"have":{count},"done":true}}"#,
                common::NONCE
            );
            let request = format!(
                "POST /v1/progress/{image} HTTP/1.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let socket = std::net::SocketAddr::new(node(number), 0);
            let Some(mut stream) = connect_from(socket, server) else {
                return;
            };
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read(&mut [0; 4096]);
            std::thread::sleep(Duration::from_millis(500));
        }
    });
    address
}

fn connect_from(from: SocketAddr, to: SocketAddr) -> Option<TcpStream> {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket,
    };
    use std::os::fd::AsRawFd;
    let fd = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    bind(fd.as_raw_fd(), &SockaddrStorage::from(from)).unwrap();
    connect(fd.as_raw_fd(), &SockaddrStorage::from(to)).ok()?;
    Some(TcpStream::from(fd))
}

#[test]
fn a_peer_that_lies_is_not_asked_again() {
    let disk = Disk::new(32);
    let server = Served::with(&disk, anywhere(), slow(4 * MIB), Open::default());
    let asked = Arc::new(AtomicUsize::new(0));
    liar(&disk, 66, server.address, Arc::clone(&asked));
    while server.accounts.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    let nodes: Vec<_> = (1..=3)
        .map(|number| load(&disk, Plan::new(number, server.address)))
        .collect();
    for node in nodes {
        assert!(node.join().unwrap().unwrap().same);
    }
    let asked = asked.load(Ordering::Relaxed);
    // Each of the three once, or twice where both were on their way.
    assert!((1..=3).contains(&asked), "{asked}");
}

#[test]
fn a_peer_serves_its_own_run_and_whom_the_server_names() {
    let disk = Disk::new(8);
    let server = Served::new(&disk);
    let plan = Plan {
        linger: Duration::from_secs(8),
        ..Plan::new(1, server.address)
    };
    let one = load(&disk, plan);
    // Its port, as the server tells it to another node of the run.
    let request = |nonce: &str| {
        let body = format!(r#"{{"nonce":"{nonce}","port":1,"have":0,"done":false}}"#);
        format!(
            "POST /v1/progress/{} HTTP/1.1\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            disk.digest,
            body.len()
        )
    };
    let told = |from: IpAddr| {
        let mut stream = connect_from(SocketAddr::new(from, 0), server.address).unwrap();
        stream.write_all(request(common::NONCE).as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (_, json) = text.split_once("\r\n\r\n").unwrap();
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        value["peers"][0]
            .as_str()
            .map(|text| text.parse::<SocketAddr>().unwrap())
    };
    let began = Instant::now();
    let peer = loop {
        if let Some(peer) = told(node(2)) {
            break peer;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "no peer");
    };
    assert_eq!(peer.ip(), node(1));
    let ask = |from: IpAddr, run: &str| {
        let mut stream = connect_from(SocketAddr::new(from, 0), peer).unwrap();
        let text = format!(
            "GET /v1/frame/{}/0 HTTP/1.1\r\nRun: {run}\r\nConnection: close\r\n\r\n",
            disk.digest
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes[..bytes.len().min(12)]).into_owned()
    };
    let run = &disk_image::Digest::of(common::NONCE.as_bytes()).to_string()[..16];
    assert_eq!(ask(node(2), "0011223344556677"), "HTTP/1.1 403");
    assert_eq!(ask(node(3), run), "HTTP/1.1 403", "not named as a peer");
    // It learns of node 2 when it next speaks with the server.
    while ask(node(2), run) != "HTTP/1.1 200" {
        assert!(began.elapsed() < Duration::from_secs(30), "never served");
        told(node(2));
    }
    assert!(one.join().unwrap().unwrap().same);
}

#[test]
fn damage_on_the_server_is_an_error_and_names_it() {
    let mut disk = Disk::new(4);
    let mut object = disk.object.to_vec();
    let middle = object.len() - 1000;
    object[middle] ^= 1;
    disk.object = Arc::new(object);
    let server = Served::new(&disk);
    let error = load(&disk, Plan::new(1, server.address))
        .join()
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(&error, Error::Damaged { why, .. } if why.contains("frame at byte 2097152")),
        "{error}"
    );
}

#[test]
fn no_server_until_the_deadline() {
    let disk = Disk::new(2);
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let plan = Plan {
        patience: Duration::from_secs(1),
        ..Plan::new(1, nobody)
    };
    let error = load(&disk, plan).join().unwrap().unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
    let until = Instant::now() + Duration::from_secs(1);
    let error = document(nobody, "/v1/order/ab", &disk.digest, 100, until).unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
}

#[test]
fn a_document_is_what_its_digest_says() {
    let disk = Disk::new(2);
    let server = Served::new(&disk);
    let until = Instant::now() + Duration::from_secs(60);
    let path = format!("/v1/manifest/{}", disk.digest);
    let manifest = document(server.address, &path, &disk.digest, 1 << 20, until).unwrap();
    assert_eq!(manifest, *disk.manifest);
    let other = disk_image::Digest::of(b"other");
    let error = document(server.address, &path, &other, 1 << 20, until).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}
