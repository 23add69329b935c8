//! A node as a tree of files, and a master that answers.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::JoinHandle;

use tls::{Error, Identity, ServerContext};
use xcat_request::{Element, Framer, Limits, parse};

/// The program; `FINDADAPTER_AGENT` names one for another processor, behind an emulator.
pub(crate) fn program() -> PathBuf {
    let other = std::env::var_os("FINDADAPTER_AGENT").map(PathBuf::from);
    other.unwrap_or_else(|| env!("CARGO_BIN_EXE_findadapter-agent").into())
}

/// Seconds in which at least one attempt is made: an emulator takes some for the first one.
pub(crate) fn short() -> &'static str {
    match std::env::var_os("FINDADAPTER_AGENT") {
        Some(_) => "30",
        None => "2",
    }
}

/// A node: one network card, and what else a test puts there.
pub(crate) struct Node(pub(crate) tempfile::TempDir);

impl Node {
    pub(crate) fn new() -> Node {
        let node = Node(tempfile::tempdir().unwrap());
        let device = "sys/devices/pci0000:00/0000:00:01.0/0000:0c:00.0";
        node.file(&format!("{device}/vendor"), "0x19a2\n");
        node.file(&format!("{device}/device"), "0x0710\n");
        node.file(&format!("{device}/class"), "0x020000\n");
        let interface = format!("{device}/net/eno1");
        node.file(&format!("{interface}/address"), "34:40:b5:be:6a:80\n");
        node.file(&format!("{interface}/type"), "1\n");
        node.file(&format!("{interface}/ifindex"), "2\n");
        node.file(&format!("{interface}/operstate"), "up\n");
        node.file(
            &format!("{interface}/uevent"),
            "INTERFACE=eno1\nIFINDEX=2\n",
        );
        let link = |target: &str, path: &str| {
            let path = node.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        };
        link("../../../0000:0c:00.0", &format!("{interface}/device"));
        link(
            &format!("../../{interface}").replace("sys/", ""),
            "sys/class/net/eno1",
        );
        link(
            &format!("../../../{device}").replace("sys/", ""),
            "sys/bus/pci/devices/0000:0c:00.0",
        );
        node
    }

    pub(crate) fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The program on this node, with nothing in its environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .env_clear()
            .arg("--sysroot")
            .arg(self.0.path())
            .args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// What a master saw on one connection.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) peer: Option<String>,
    pub(crate) request: Element,
}

/// A master on loopback.
pub(crate) struct Master {
    pub(crate) address: String,
    pub(crate) pin: String,
    thread: JoinHandle<Vec<Result<Seen, Error>>>,
}

impl Master {
    /// Gives each connection the next of these answers.
    pub(crate) fn start(identity: &Identity, clients: Option<&Path>, answers: &[String]) -> Master {
        let context = ServerContext::new(identity, clients).unwrap();
        let pin = context.pin().to_string();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answers = answers.to_vec();
        let thread = std::thread::spawn(move || {
            let one = |answer: &String| serve(&context, &listener, answer);
            answers.iter().map(one).collect()
        });
        Master {
            address,
            pin,
            thread,
        }
    }

    pub(crate) fn seen(self) -> Vec<Result<Seen, Error>> {
        self.thread.join().unwrap()
    }

    pub(crate) fn saw(self) -> Seen {
        self.seen().pop().unwrap().unwrap()
    }
}

fn serve(context: &ServerContext, listener: &TcpListener, answer: &str) -> Result<Seen, Error> {
    let mut stream = context.accept(listener.accept().unwrap().0)?;
    let mut framer = Framer::new(&Limits::default());
    let mut bytes = [0; 4096];
    let request = loop {
        let count = stream.read(&mut bytes).unwrap();
        assert_ne!(count, 0, "closed without a request");
        framer.feed(&bytes[..count]).unwrap();
        if let Some(request) = framer.next() {
            break parse(&request, &Limits::default()).unwrap();
        }
    };
    stream.write_all(answer.as_bytes()).unwrap();
    let peer = stream.peer_name();
    stream.finish();
    Ok(Seen { peer, request })
}
