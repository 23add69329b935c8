//! Bytes of the network: read with limits, waited for with limits.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::time::Duration;

/// How long one answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How often a datagram is sent.
const TRIES: usize = 3;
/// No answer of ours is longer: one packet.
const LARGEST: usize = 2048;

/// The bytes at a place, if they are all there.
pub(crate) fn bytes<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Sends a datagram, a few times, and returns the first answer that `read` takes; with who sent it.
///
/// # Errors
/// No such answer.
pub(crate) fn exchange<T>(
    server: Ipv4Addr,
    port: u16,
    question: &[u8],
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<(T, UdpSocket, SocketAddrV4), String> {
    let fail = |error: io::Error| error.to_string();
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(fail)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(fail)?;
    let mut packet = [0; LARGEST];
    for _ in 0..TRIES {
        socket.send_to(question, (server, port)).map_err(fail)?;
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            let std::net::SocketAddr::V4(from) = from else {
                continue;
            };
            if *from.ip() != server {
                continue;
            }
            if let Some(answer) = packet.get(..length).and_then(&read) {
                return Ok((answer, socket, from));
            }
        }
    }
    Err("no answer".to_string())
}

/// Connects, sends, and returns the first bytes of the answer; nothing sent: nothing read.
///
/// # Errors
/// What the system says.
pub(crate) fn call(server: Ipv4Addr, port: u16, question: &[u8]) -> Result<Vec<u8>, String> {
    let work = || -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&(server, port).into(), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut answer = Vec::new();
        if !question.is_empty() {
            stream.write_all(question)?;
            let mut packet = [0; LARGEST];
            let length = stream.read(&mut packet)?;
            answer.extend_from_slice(packet.get(..length).unwrap_or_default());
        }
        Ok(answer)
    };
    work().map_err(said)
}

/// What is to be said of an error.
pub(crate) fn said(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".to_string(),
        _ => error.to_string(),
    }
}
