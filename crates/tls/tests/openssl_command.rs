//! Against the `openssl` command, which is what stock nodes use.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use support::Authority;
use tls::{ClientContext, Error, Identity, OldSuites, Pin, ServerContext, Stream, Trust, identity};

const REQUEST: &str = "<xcatrequest>\n<command>getdestiny</command>\n</xcatrequest>\n";

/// `openssl s_client` with the request on its standard input, as the node's scripts call it; our
/// server reads until `</xcatrequest>` and answers.
fn s_client(
    dir: &tempfile::TempDir,
    options: &[&str],
) -> (String, Result<(), std::io::ErrorKind>, String) {
    let context = ServerContext::new(&identity(dir.path(), "callbackd").unwrap(), None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let request = dir.path().join("request.xml");
    std::fs::write(&request, REQUEST).unwrap();
    let client = Command::new("openssl")
        .args(["s_client", "-connect", &address])
        .args(options)
        .stdin(std::fs::File::open(&request).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stream = context.accept(listener.accept().unwrap().0).unwrap();
    let text = read_request(&mut stream);
    let written = stream.write_all(b"<xcatresponse>\n</xcatresponse>\n");
    stream.finish();
    drop(stream);
    let output = client.wait_with_output().unwrap();
    (
        text,
        written.map_err(|e| e.kind()),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

fn read_request(stream: &mut Stream) -> String {
    let mut text = Vec::new();
    let mut bytes = [0; 1024];
    while !text.ends_with(b"</xcatrequest>\n") {
        let count = stream.read(&mut bytes).unwrap();
        assert_ne!(count, 0, "the request ended early");
        text.extend_from_slice(&bytes[..count]);
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_quiet_s_client_gets_the_answer_and_ends_when_we_close() {
    let dir = tempfile::tempdir().unwrap();
    let (request, written, answer) = s_client(&dir, &["-quiet"]);
    assert_eq!(request, REQUEST);
    assert_eq!(written, Ok(()));
    assert_eq!(answer, "<xcatresponse>\n</xcatresponse>\n");
}

#[test]
fn a_sender_that_does_not_wait_is_heard_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        // The stock getadapter script: ends at the end of its input.
        let (request, _, _) = s_client(&dir, &[version]);
        assert_eq!(request, REQUEST);
    }
}

/// `openssl s_server` that sends what it gets on standard input.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(identity: &Identity, options: &[&str]) -> Server {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert"])
            .arg(&identity.certificate)
            .arg("-key")
            .arg(&identity.key)
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_string))
            .expect("s_server says where it listens");
        Server { child, address }
    }

    fn connect(&self, context: &ClientContext) -> Result<Stream, Error> {
        context.connect(TcpStream::connect(&self.address).unwrap(), "bmc1")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_pin_is_what_the_command_prints() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Authority::new("CA").identity(dir.path(), &["mn"]);
    let script =
        "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform der | sha256sum";
    let output = Command::new("sh")
        .args(["-c", script])
        .arg(&identity.certificate)
        .output()
        .unwrap();
    let pin: Pin = String::from_utf8(output.stdout).unwrap()[..64]
        .parse()
        .unwrap();
    assert_eq!(ServerContext::new(&identity, None).unwrap().pin(), pin);

    let mut server = Server::start(&identity, &[]);
    let context = ClientContext::new(&Trust::Pin(pin), None, OldSuites::No).unwrap();
    let mut stream = server.connect(&context).unwrap();
    server
        .child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(b"hello\n")
        .unwrap();
    let mut bytes = [0; 6];
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello\n");
}

#[test]
fn an_old_bmc_is_reached_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Authority::new("CA").identity(dir.path(), &["bmc"]);
    let old = ["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"];
    let connect = |suites| {
        let server = Server::start(&identity, &old);
        let context = ClientContext::new(&Trust::Anyone, None, suites).unwrap();
        server.connect(&context).map(|_| ())
    };
    let error = connect(OldSuites::No).unwrap_err();
    assert!(matches!(error, Error::Handshake { .. }), "{error}");
    connect(OldSuites::Yes).unwrap();
}

#[test]
fn our_server_takes_nothing_older_than_tls_1_2() {
    let dir = tempfile::tempdir().unwrap();
    let context = ServerContext::new(&identity(dir.path(), "callbackd").unwrap(), None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut client = Command::new("openssl")
        .args([
            "s_client",
            "-tls1_1",
            "-cipher",
            "ALL:@SECLEVEL=0",
            "-connect",
            &address,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let error = context.accept(listener.accept().unwrap().0).unwrap_err();
    assert!(matches!(error, Error::Handshake { .. }), "{error}");
    assert!(!client.wait().unwrap().success());
}
