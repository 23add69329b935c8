//! `--stdin`: who speaks, and the streams.

use std::io::{self, ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{SockaddrStorage, getpeername};
use node_report::{Place, Speaker};
use program::{complain, exit};
use xcat_tables::Tables;

use crate::args::Args;

/// Silence that ends the conversation, and how long it may take in all.
const SILENCE: Duration = Duration::from_secs(15);
const IN_ALL: Duration = Duration::from_secs(30);

pub(crate) fn serve(args: &Args, tables: Tables) -> anyhow::Result<u8> {
    let speaker = speaker(args)?;
    let place = Place::open(tables)?;
    let mut streams = Streams {
        until: Instant::now() + IN_ALL,
    };
    let trouble = node_report::once(&place, speaker, &mut streams, &mut getadapter)?;
    Ok(match trouble {
        None => exit::DONE,
        Some(why) => {
            complain(crate::NAME, &why);
            exit::NOTHING
        }
    })
}

/// The option, else the socket's peer, else what the program in front says. Behind a TLS front the
/// socket is loopback or nameless, and the front's word counts.
fn speaker(args: &Args) -> anyhow::Result<Speaker> {
    if let Some(peer) = args.peer {
        return Ok(Speaker::Peer(peer.to_canonical()));
    }
    let told = ["REMOTE_HOST", "SOCAT_PEERADDR"]
        .iter()
        .find_map(std::env::var_os);
    let socket = socket_peer();
    match (socket, told) {
        (Some(Some(peer)), _) if !peer.is_loopback() => Ok(Speaker::Peer(peer)),
        (_, Some(text)) => {
            let text = text.to_string_lossy();
            let bare = text.trim_start_matches('[').trim_end_matches(']');
            let peer: IpAddr = bare
                .parse()
                .with_context(|| format!("{}: is no address of a peer", program::escape(&text)))?;
            Ok(Speaker::Peer(peer.to_canonical()))
        }
        (Some(Some(peer)), None) => Ok(Speaker::Peer(peer)),
        (Some(None), None) => {
            anyhow::bail!("standard input: is a socket without a name; --peer says whose")
        }
        (None, None) => Ok(Speaker::Local),
    }
}

/// `None`: no socket. `Some(None)`: one without an address.
fn socket_peer() -> Option<Option<IpAddr>> {
    match getpeername::<SockaddrStorage>(0) {
        Ok(address) => {
            let v4 = address
                .as_sockaddr_in()
                .map(|address| IpAddr::V4(address.ip()));
            Some(v4.or_else(|| {
                address
                    .as_sockaddr_in6()
                    .map(|address| IpAddr::V6(address.ip()).to_canonical())
            }))
        }
        Err(nix::errno::Errno::ENOTCONN) => Some(None),
        Err(_) => None,
    }
}

/// Standard input and output as one stream with the limits of a connection.
struct Streams {
    until: Instant,
}

impl Read for Streams {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self
            .until
            .saturating_duration_since(Instant::now())
            .min(SILENCE);
        let stdin = io::stdin();
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) => Err(ErrorKind::TimedOut.into()),
            Ok(_) => Ok(nix::unistd::read(stdin.as_fd(), buffer)?),
            Err(why) => Err(why.into()),
        }
    }
}

impl Write for Streams {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// A user's new request: the program beside this one does it.
fn getadapter(noderange: &str, arguments: &[String]) -> io::Result<Vec<String>> {
    let program = std::env::current_exe()?.with_file_name("getadapter");
    // After `--` no noderange can be an option; the options come before it.
    let output = Command::new(program)
        .args(arguments)
        .arg("--")
        .arg(noderange)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    Ok(text.lines().map(String::from).collect())
}
