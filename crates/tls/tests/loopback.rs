//! Client and server against each other.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::{Authority, serve};
use tls::{ClientContext, Error, Identity, OldSuites, Pin, ServerContext, Stream, Trust, identity};

fn client(trust: Trust, identity: Option<&Identity>) -> ClientContext {
    ClientContext::new(&trust, identity, OldSuites::No).unwrap()
}

fn own(dir: &tempfile::TempDir) -> ServerContext {
    let identity = identity(&dir.path().join("state"), "callbackd").unwrap();
    ServerContext::new(&identity, None).unwrap()
}

/// Reads to the end, then answers.
fn echo(stream: Result<Stream, Error>) -> Result<String, Error> {
    let mut stream = stream?;
    let mut text = String::new();
    let mut byte = [0];
    while stream.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        text.push(byte[0].into());
    }
    stream.write_all(text.as_bytes()).unwrap();
    stream.finish();
    Ok(text)
}

#[test]
fn a_pinned_peer_is_talked_to() {
    let dir = tempfile::tempdir().unwrap();
    let server = own(&dir);
    let pin = server.pin();
    let (socket, thread) = serve(server, echo);
    let mut stream = client(Trust::Pin(pin), None)
        .connect(socket, "127.0.0.1")
        .unwrap();
    assert_eq!(stream.peer_pin(), Some(pin));
    assert_eq!(stream.peer_name(), None);
    let long = "x".repeat(100_000);
    stream.write_all(format!("{long}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    assert_eq!(stream.read_to_string(&mut answer).unwrap(), 100_000);
    assert_eq!(thread.join().unwrap().unwrap(), answer);
}

#[test]
fn another_key_gets_nothing_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("xCAT CA");
    let mine = authority.identity(dir.path(), &["n1"]);
    let theirs = authority.identity(dir.path(), &["mallory"]);
    let server = ServerContext::new(&theirs, Some(&authority.file(dir.path()))).unwrap();
    let found = server.pin();
    // What the server saw of us: its handshake must have failed, so no certificate and no byte.
    let (socket, thread) = serve(server, |stream| stream.err());
    let expected = Pin([7; 32]);
    let error = client(Trust::Pin(expected), Some(&mine)).connect(socket, "master");
    match error.unwrap_err() {
        Error::WrongPin {
            peer,
            expected: e,
            found: f,
        } => {
            assert_eq!((peer.as_str(), e, f), ("master", expected, found));
        }
        other => panic!("{other}"),
    }
    assert!(matches!(
        thread.join().unwrap(),
        Some(Error::Handshake { .. })
    ));
}

#[test]
fn a_certificate_of_1960_is_in_order_and_the_host_name_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("xCAT CA");
    let server = ServerContext::new(&authority.identity(dir.path(), &["mn"]), None).unwrap();
    let (socket, thread) = serve(server, echo);
    let trust = Trust::Authority(authority.file(dir.path()));
    let mut stream = client(trust, None)
        .connect(socket, "other.example")
        .unwrap();
    assert_eq!(stream.peer_name().as_deref(), Some("mn"));
    stream.write_all(b"hello\n").unwrap();
    assert_eq!(thread.join().unwrap().unwrap(), "hello");
}

#[test]
fn another_authority_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Authority::new("xCAT CA").identity(dir.path(), &["mn"]);
    let server = ServerContext::new(&server, None).unwrap();
    let (socket, thread) = serve(server, |stream| stream.is_err());
    let trust = Trust::Authority(Authority::new("xCAT CA").file(dir.path()));
    let error = client(trust, None).connect(socket, "mn").unwrap_err();
    assert!(matches!(error, Error::Untrusted { .. }), "{error}");
    assert!(
        error
            .to_string()
            .starts_with("mn: certificate not accepted: ")
    );
    assert!(thread.join().unwrap());
}

#[test]
fn a_client_is_named_by_a_verified_certificate_only() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("xCAT CA");
    let file = authority.file(dir.path());
    let server = authority.identity(dir.path(), &["mn"]);
    let name = |identity: Option<&Identity>, asks: bool| {
        let context = ServerContext::new(&server, asks.then_some(file.as_path())).unwrap();
        let (socket, thread) = serve(context, |stream| {
            stream.map(|mut stream| {
                let name = stream.peer_name();
                stream.finish();
                name
            })
        });
        let trust = Trust::Authority(file.clone());
        let mut stream = client(trust, identity).connect(socket, "mn").unwrap();
        let _ = stream.read(&mut [0; 8]);
        drop(stream);
        thread.join().unwrap()
    };
    let n1 = authority.identity(dir.path(), &["n1"]);
    assert_eq!(name(Some(&n1), true).unwrap().as_deref(), Some("n1"));
    assert_eq!(name(Some(&n1), false).unwrap(), None);
    assert_eq!(name(None, true).unwrap(), None);
    for names in [["n1/root", ""], ["root", "n1"], ["CN=root", ""]] {
        let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).collect();
        let odd = authority.identity(dir.path(), &names);
        assert_eq!(name(Some(&odd), true).unwrap(), None, "{names:?}");
    }
    let foreign = Authority::new("other CA").identity(dir.path(), &["n2"]);
    assert!(matches!(
        name(Some(&foreign), true),
        Err(Error::Untrusted { .. })
    ));
}

#[test]
fn a_silent_peer_costs_no_more_than_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let start = Instant::now();
    let deadline = start + Duration::from_millis(50);
    let error = client(Trust::Anyone, None).connect_by(socket, "mn", deadline);
    assert!(matches!(error.unwrap_err(), Error::TimedOut { .. }));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_dripping_client_is_cut_off_at_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let context = own(&dir);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let thread = std::thread::spawn(move || {
        context
            .accept_by(accepted, Instant::now() + Duration::from_millis(100))
            .unwrap_err()
    });
    // The head of a record of 16 KiB, then a byte of it whenever 5 ms brought no answer: for a timeout
    // that counts for one read only, each of them would start it anew.
    socket.write_all(&[22, 3, 1, 64, 0]).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    let mut dripped = 0;
    while matches!(socket.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock) {
        dripped += 1;
        assert!(dripped < 2000, "the server is still there");
        if socket.write_all(&[1]).is_err() {
            break;
        }
    }
    assert!(dripped > 1);
    let error = thread.join().unwrap();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
}

#[test]
fn who_does_not_speak_tls_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut socket, thread) = serve(own(&dir), |stream| stream.unwrap_err());
    socket.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let error = thread.join().unwrap();
    assert!(matches!(error, Error::Handshake { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "127.0.0.1: TLS handshake failed: http request"
    );
}

#[test]
fn a_connection_that_breaks_off_is_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, thread) = serve(own(&dir), |stream| {
        let mut stream = stream.unwrap();
        stream.read(&mut [0; 8]).map_err(|error| error.kind())
    });
    let raw = socket.try_clone().unwrap();
    let stream = client(Trust::Anyone, None).connect(socket, "mn").unwrap();
    raw.shutdown(std::net::Shutdown::Both).unwrap();
    let end = thread.join().unwrap();
    assert_eq!(end, Err(ErrorKind::UnexpectedEof));
    drop(stream);
}
