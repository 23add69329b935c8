#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tls::{ClientContext, OldSuites, Pin, ServerContext, Trust};

use super::{Error, PAUSES, jittered, post};
use crate::response::{done, error};
use crate::{Framer, Limits, Target};

/// A master that answers each connection with the next of these; an empty answer closes without one.
struct Master {
    target: Target,
    pin: Pin,
    thread: JoinHandle<Vec<String>>,
    _dir: tempfile::TempDir,
}

fn master(answers: Vec<String>) -> Master {
    let dir = tempfile::tempdir().unwrap();
    let identity = tls::identity(dir.path(), "master").unwrap();
    let context = ServerContext::new(&identity, None).unwrap();
    let pin = context.pin();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string().parse().unwrap();
    let thread = std::thread::spawn(move || {
        let serve = |answer: &String| request(&context, listener.accept().unwrap().0, answer);
        answers.iter().map(serve).collect()
    });
    Master {
        target,
        pin,
        thread,
        _dir: dir,
    }
}

fn request(context: &ServerContext, socket: TcpStream, answer: &str) -> String {
    let mut stream = context.accept(socket).unwrap();
    let mut framer = Framer::new(&Limits::default());
    let mut bytes = [0; 1000];
    let request = loop {
        let count = stream.read(&mut bytes).unwrap();
        framer.feed(&bytes[..count]).unwrap();
        if let Some(request) = framer.next() {
            break request;
        }
    };
    // Pieces, as the network may cut them.
    for piece in answer.as_bytes().chunks(7) {
        stream.write_all(piece).unwrap();
    }
    stream.finish();
    String::from_utf8(request).unwrap()
}

fn client(trust: Trust) -> ClientContext {
    ClientContext::new(&trust, None, OldSuites::No).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// Nobody listens there: bound, then closed again.
fn nobody() -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string().parse().unwrap()
}

#[test]
fn serverdone_acknowledges() {
    let master = master(vec![done()]);
    let text = format!("<xcatrequest>{}</xcatrequest>", "x".repeat(50_000));
    let context = client(Trust::Pin(master.pin));
    let targets = [nobody(), master.target];
    let mut heard = Vec::new();
    let answer = post(&targets, &context, &text, soon(), |why| {
        heard.push(why.to_string())
    });
    assert_eq!(answer.unwrap().failures(), []);
    assert_eq!(heard.len(), 1);
    assert!(
        heard[0].starts_with(&format!("{}: Connection refused", targets[0])),
        "{heard:?}"
    );
    assert_eq!(master.thread.join().unwrap(), [text]);
}

#[test]
fn busy_and_broken_answers_are_tried_again() {
    let answers = vec![error("busy, try later", 1), String::new(), done()];
    let master = master(answers);
    let mut heard = Vec::new();
    let request = "<xcatrequest></xcatrequest>";
    let start = Instant::now();
    let context = client(Trust::Anyone);
    let answer = post(
        std::slice::from_ref(&master.target),
        &context,
        request,
        soon(),
        |why| heard.push(why.to_string()),
    );
    answer.unwrap();
    // Two pauses, each at least half of 1 s and of 2 s.
    assert!(start.elapsed() >= Duration::from_millis(1500));
    let target = master.target;
    let told = [
        format!("{target}: busy, try later"),
        format!("{target}: closed the connection without an answer"),
    ];
    assert_eq!(heard, told);
    assert_eq!(master.thread.join().unwrap().len(), 3);
}

#[test]
fn another_error_is_final() {
    let master = master(vec![error("Permission denied for request", 1)]);
    let context = client(Trust::Anyone);
    let request = "<xcatrequest></xcatrequest>";
    match post(
        std::slice::from_ref(&master.target),
        &context,
        request,
        soon(),
        |_| {},
    ) {
        Err(Error::Refused { target, text, code }) => {
            assert_eq!((target, code), (master.target, Some(1)));
            assert_eq!(text, "Permission denied for request");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_key_never_sees_the_request() {
    let dir = tempfile::tempdir().unwrap();
    let identity = tls::identity(dir.path(), "other").unwrap();
    let context = ServerContext::new(&identity, None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target: Target = listener.local_addr().unwrap().to_string().parse().unwrap();
    let thread = std::thread::spawn(move || context.accept(listener.accept().unwrap().0).is_err());
    let deadline = Instant::now() + Duration::from_millis(300);
    let context = client(Trust::Pin(Pin([1; 32])));
    let error = post(
        &[target],
        &context,
        "<xcatrequest></xcatrequest>",
        deadline,
        |_| {},
    );
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("not acknowledged in time (attempts: 1): 127.0.0.1: its key has pin"),
        "{error}"
    );
    assert!(thread.join().unwrap());
}

#[test]
fn the_deadline_ends_it() {
    let start = Instant::now();
    let deadline = start + Duration::from_millis(200);
    let context = client(Trust::Anyone);
    let result = post(
        &[nobody()],
        &context,
        "<xcatrequest></xcatrequest>",
        deadline,
        |_| {},
    );
    assert!(
        matches!(result, Err(Error::Unacknowledged { attempts: 1, .. })),
        "{result:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(10));
    let result = post(&[], &context, "", deadline, |_| {});
    assert!(matches!(
        result,
        Err(Error::Unacknowledged { attempts: 0, .. })
    ));
}

#[test]
fn pauses_differ_and_stay_within_bounds() {
    let pauses: Vec<_> = (0..50).map(|_| jittered(PAUSES.1)).collect();
    assert!(
        pauses
            .iter()
            .all(|pause| *pause >= PAUSES.1 / 2 && *pause <= PAUSES.1)
    );
    assert!(pauses.iter().any(|pause| *pause != pauses[0]));
}
