//! callbackd as a service: exactly one on a host, its socket, its published address.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use fork_worker::confine::Confinement;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
    sockopt,
};
use nix::unistd::User;
use single_server::Held;
use tls::ServerContext;
use xcat_tables::Tables;

use crate::Error;
use crate::listener::{Listener, Service};
use crate::summon;

/// A burst of nodes queues in the kernel; it caps this at net.core.somaxconn.
const QUEUE: i32 = 4_096;

/// The user of connections' children, where a package has made it: no other process is that user.
const OWN: &str = "xcat-nodetools";
/// Else the one that holds nothing.
const NOBODY: &str = "nobody";

/// A callbackd that listens. The lock goes with it.
#[derive(Debug)]
pub struct Running {
    /// To be served.
    pub listener: Listener,
    /// Where it listens.
    pub address: SocketAddr,
    _held: Held,
}

/// Becomes the one callbackd of this host and publishes its address. Where another one runs: with
/// `stand_by`, waits in line for its end, or until that descriptor is readable; else `None` at once.
/// A socket that a service manager `passed` is taken as it is; else `listen_at` says where; else every
/// address, the port of [`summon::port`].
pub fn open(
    service: Service,
    stand_by: Option<BorrowedFd<'_>>,
    passed: Option<TcpListener>,
    listen_at: Option<SocketAddr>,
) -> Result<Option<Running>, Error> {
    // Tables that cannot be used are said now, not to the first node.
    let tables = Tables::open(&service.location)?;
    let kind = summon::kind()?;
    let held = match (kind.try_hold()?, stand_by) {
        (None, Some(interrupt)) => kind.stand_in_line()?.wait(&[interrupt], None)?.held,
        (held, _) => held,
    };
    let Some(held) = held else {
        return Ok(None);
    };
    let socket = match (passed, listen_at) {
        (Some(socket), _) => socket,
        (None, Some(address)) => listening(address)?,
        (None, None) => everywhere(summon::port(&tables)?)?,
    };
    let address = socket
        .local_addr()
        .map_err(|error| Error::Host(error.to_string()))?;
    let context = ServerContext::new(&summon::identity()?, None)?;
    context.rehearse()?;
    let listener = Listener::new(service, socket, context)?;
    held.publish(&address.to_string())?;
    Ok(Some(Running {
        listener,
        address,
        _held: held,
    }))
}

/// Whom connections' children become, with room for one TLS conversation: the user, by default the one
/// that packages make for this and nothing else, or nobody where there is none.
///
/// # Errors
/// If the user does not exist or cannot be looked for.
pub fn confinement(user: Option<&str>) -> Result<Confinement, Error> {
    let look = |name: &str| {
        User::from_name(name).map_err(|why| Error::Host(format!("user {name}: {why}")))
    };
    let (name, found) = match (user, look(OWN)?) {
        (Some(name), _) => (name, look(name)?),
        (None, Some(own)) => (OWN, Some(own)),
        (None, None) => (NOBODY, look(NOBODY)?),
    };
    let user = found.ok_or_else(|| Error::Host(format!("user {name}: does not exist")))?;
    Ok(Confinement {
        user: user.uid.as_raw(),
        group: user.gid.as_raw(),
        cpu: Duration::from_secs(10),
        memory: 64 << 20,
    })
}

/// IPv6 with IPv4 in it, or IPv4 alone where the kernel has no other.
fn everywhere(port: u16) -> Result<TcpListener, Error> {
    listening(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| listening(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))))
}

fn listening(address: SocketAddr) -> Result<TcpListener, Error> {
    let open = || -> nix::Result<TcpListener> {
        let family = if address.is_ipv6() {
            AddressFamily::Inet6
        } else {
            AddressFamily::Inet
        };
        let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        if address.is_ipv6() {
            setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
        }
        bind(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            &SockaddrStorage::from(address),
        )?;
        listen(&socket, Backlog::new(QUEUE)?)?;
        Ok(TcpListener::from(socket))
    };
    open().map_err(|why| Error::Host(format!("{address}: cannot listen: {why}")))
}
