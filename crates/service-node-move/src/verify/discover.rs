//! All DISCOVERs at once, as a relay: the servers answer to port 67 of this host.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};

use super::dhcp::{self, Offer};

/// The port of servers and relays.
const PORT: u16 = 67;
/// How often a question is sent, and how long its answers are waited for.
const TRIES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(2);
/// Sent before answers are read: they fit into any receive buffer.
const BURST: usize = 64;

/// One question.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) node: String,
    pub(crate) mac: [u8; 6],
    pub(crate) server: Ipv4Addr,
    pub(crate) subnet: Option<Ipv4Addr>,
}

/// Asks, and returns the offers in the order of the questions.
///
/// # Errors
/// Port 67 cannot be had: not root, or a DHCP server of this host that shares it with nobody.
pub(crate) fn discover(asks: &[Ask]) -> io::Result<Vec<Option<Offer>>> {
    let mut offers = vec![None; asks.len()];
    // By the address of ours that faces the server; none faces it: it cannot be asked.
    let mut relays: BTreeMap<Ipv4Addr, Vec<usize>> = BTreeMap::new();
    for (at, ask) in asks.iter().enumerate() {
        if let Some(relay) = facing(ask.server) {
            relays.entry(relay).or_default().push(at);
        }
    }
    let base = first_id()?;
    for (relay, mine) in relays {
        let socket = listen(relay)?;
        for _ in 0..TRIES {
            let open: Vec<usize> = mine
                .iter()
                .copied()
                .filter(|at| offers[*at].is_none())
                .collect();
            if open.is_empty() {
                break;
            }
            for burst in open.chunks(BURST) {
                for at in burst {
                    let ask = &asks[*at];
                    let packet = dhcp::discover(id_of(base, *at), ask.mac, relay, ask.subnet);
                    // One that cannot be sent has no answer.
                    let _ = socket.send_to(&packet, (ask.server, PORT));
                }
                receive(&socket, asks, base, burst, &mut offers)?;
            }
        }
    }
    Ok(offers)
}

/// Takes offers until all of the burst are there, or time is up.
fn receive(
    socket: &UdpSocket,
    asks: &[Ask],
    base: u32,
    burst: &[usize],
    offers: &mut [Option<Offer>],
) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut packet = [0; 2048];
    while burst.iter().any(|at| offers[*at].is_none()) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        let Ok((length, _)) = socket.recv_from(&mut packet) else {
            break;
        };
        let Some(offer) = packet.get(..length).and_then(dhcp::offer) else {
            continue;
        };
        let at = offer.id.wrapping_sub(base) as usize;
        // Numbers that are hard to guess, and the MAC: an answer to our question.
        if asks.get(at).is_some_and(|ask| ask.mac == offer.mac) {
            offers[at] = Some(offer);
        }
    }
    Ok(())
}

fn id_of(base: u32, at: usize) -> u32 {
    base.wrapping_add(u32::try_from(at).unwrap_or(u32::MAX))
}

fn first_id() -> io::Result<u32> {
    let mut bytes = [0; 4];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}

/// Our address on the way to the server. Nothing is sent.
fn facing(server: Ipv4Addr) -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((server, PORT)).ok()?;
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(address) => Some(address),
        std::net::IpAddr::V6(_) => None,
    }
}

/// Bound to one address: closer than a DHCP server of this host that is bound to all of them, and beside it.
fn listen(relay: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    bind(
        socket.as_raw_fd(),
        &SockaddrIn::from(SocketAddrV4::new(relay, PORT)),
    )?;
    Ok(UdpSocket::from(socket))
}
