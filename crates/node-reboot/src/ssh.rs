//! Whether ssh ports answer, for many hosts in one loop.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, getsockopt, socket, sockopt,
};

/// Most connections under way at once: below the usual limit of 1,024 descriptors, with room for the
/// caller's.
const AT_ONCE: usize = 512;

/// The nodes whose ssh port took a connection within `timeout` of the attempt; each comes with the
/// address and port to try. No more than that is said or read there. With many silent hosts the whole
/// takes `timeout` for every 512 of them. Genesis runs an ssh server too.
///
/// # Errors
/// What the system says when no socket can be made or polled; a host that cannot be reached is simply
/// one that does not answer.
pub fn answers_ssh(
    addresses: &[(String, SocketAddr)],
    timeout: Duration,
) -> io::Result<BTreeSet<String>> {
    let targets: Vec<SocketAddr> = addresses.iter().map(|(_, address)| *address).collect();
    let answered = answers(&targets, timeout)?;
    let nodes = addresses.iter().zip(answered);
    Ok(nodes
        .filter(|(_, answered)| *answered)
        .map(|((node, _), _)| node.clone())
        .collect())
}

/// A connection under way.
struct Attempt {
    index: usize,
    socket: OwnedFd,
    until: Instant,
}

fn answers(targets: &[SocketAddr], timeout: Duration) -> io::Result<Vec<bool>> {
    let mut answered = vec![false; targets.len()];
    let mut next = 0;
    let mut under_way: Vec<Attempt> = Vec::new();
    while next < targets.len() || !under_way.is_empty() {
        while next < targets.len() && under_way.len() < AT_ONCE {
            match begin(&targets[next]) {
                Ok(Begun::Done(answer)) => answered[next] = answer,
                Ok(Begun::UnderWay(socket)) => under_way.push(Attempt {
                    index: next,
                    socket,
                    until: Instant::now() + timeout,
                }),
                // No descriptor left: those under way give theirs back.
                Err(Errno::EMFILE | Errno::ENFILE) if !under_way.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
            next += 1;
        }
        settle(&mut under_way, &mut answered)?;
    }
    Ok(answered)
}

enum Begun {
    Done(bool),
    UnderWay(OwnedFd),
}

fn begin(target: &SocketAddr) -> nix::Result<Begun> {
    let family = match target {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = match socket(family, SockType::Stream, flags, None) {
        // A kernel without IPv6 reaches no IPv6 host.
        Err(Errno::EAFNOSUPPORT) => return Ok(Begun::Done(false)),
        made => made?,
    };
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(*target)) {
        Ok(()) => Ok(Begun::Done(true)),
        Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(Begun::UnderWay(socket)),
        Err(_) => Ok(Begun::Done(false)),
    }
}

/// Waits until at least one attempt ends or is out of time, and takes out all that did.
fn settle(under_way: &mut Vec<Attempt>, answered: &mut [bool]) -> io::Result<()> {
    let Some(first) = under_way.iter().map(|attempt| attempt.until).min() else {
        return Ok(());
    };
    let mut polled: Vec<PollFd> = under_way
        .iter()
        .map(|attempt| PollFd::new(attempt.socket.as_fd(), PollFlags::POLLOUT))
        .collect();
    match poll(&mut polled, until(first)) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ended: Vec<bool> = polled.iter().map(|fd| fd.any().unwrap_or(false)).collect();
    let now = Instant::now();
    let mut at = 0;
    under_way.retain(|attempt| {
        let done = ended[at];
        at += 1;
        if done {
            answered[attempt.index] =
                matches!(getsockopt(&attempt.socket, sockopt::SocketError), Ok(0));
        }
        !done && now < attempt.until
    });
    Ok(())
}

/// Rounded up, so that the wait never ends just before the moment.
fn until(moment: Instant) -> PollTimeout {
    let left = moment.saturating_duration_since(Instant::now());
    let millis = left.as_micros().div_ceil(1000);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[test]
    fn an_open_port_answers_and_a_closed_one_does_not() {
        let (_held, open) = listener();
        let closed = listener().1;
        let answers = answers(&[closed, open, closed], Duration::from_secs(20)).unwrap();
        assert_eq!(answers, [false, true, false]);
    }

    #[test]
    fn nodes_that_answer_are_named() {
        let (_held, open) = listener();
        let closed = listener().1;
        let nodes = [("n1".to_string(), open), ("n2".to_string(), closed)];
        let named = answers_ssh(&nodes, Duration::from_secs(20)).unwrap();
        assert_eq!(named, BTreeSet::from(["n1".to_string()]));
        assert!(answers_ssh(&[], Duration::from_secs(1)).unwrap().is_empty());
    }

    #[test]
    fn more_than_fit_at_once_are_all_asked() {
        let (_held, open) = listener();
        let closed = listener().1;
        let targets: Vec<SocketAddr> = (0..AT_ONCE * 2 + 7)
            .map(|n| if n % 9 == 0 { open } else { closed })
            .collect();
        let answers = answers(&targets, Duration::from_secs(20)).unwrap();
        for (n, answer) in answers.iter().enumerate() {
            assert_eq!(*answer, n % 9 == 0, "{n}");
        }
    }

    #[test]
    fn a_silent_host_costs_the_timeout_and_no_more() {
        // A listener whose queue is full takes no further connection and refuses none.
        let (full, address) = full_listener();
        let start = Instant::now();
        let answers = answers(&[address], Duration::from_millis(200)).unwrap();
        assert_eq!(answers, [false]);
        assert!(start.elapsed() >= Duration::from_millis(200));
        drop(full);
    }

    fn full_listener() -> ((OwnedFd, Vec<OwnedFd>), SocketAddr) {
        use nix::sys::socket::{Backlog, SockaddrIn, bind, getsockname, listen};
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let server = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
        bind(server.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
        listen(&server, Backlog::new(0).unwrap()).unwrap();
        let name: SockaddrIn = getsockname(server.as_raw_fd()).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], name.port()));
        let mut held = Vec::new();
        // The kernel queues a few more than asked for; fill until one stays under way.
        for _ in 0..64 {
            if let Begun::UnderWay(attempt) = begin(&address).unwrap() {
                let mut fds = [PollFd::new(attempt.as_fd(), PollFlags::POLLOUT)];
                let done = poll(&mut fds, PollTimeout::from(50u16)).unwrap();
                held.push(attempt);
                if done == 0 {
                    return ((server, held), address);
                }
            }
        }
        panic!("the listener's queue never filled");
    }
}
