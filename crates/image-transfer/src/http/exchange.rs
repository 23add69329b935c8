//! A client's connection: one request at a time, its answer whole, never waiting.

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, connect, getsockopt, send,
    socket, sockopt,
};

/// Longest head of an answer.
const HEAD: usize = 8 << 10;

/// Most headers of an answer.
const HEADERS: usize = 32;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an answer may stop on its way.
const STALL: Duration = Duration::from_secs(5);

/// What is asked, and what may be answered.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The request's bytes.
    pub(crate) request: Vec<u8>,
    /// Longest body of an answer.
    pub(crate) most: usize,
    /// How long the first byte of the answer may take.
    pub(crate) patience: Duration,
}

/// An answer.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// `Frame:`.
    pub(crate) frame: Option<usize>,
    /// `Retry-After:`.
    pub(crate) retry_after: Option<u64>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The other side is not there, or went away.
    Gone(io::Error),
    /// It is silent for too long.
    Silent,
    /// What it sent is no answer.
    Nonsense(&'static str),
}

/// A connection that is made when it is needed.
#[derive(Debug)]
pub(crate) struct Exchange {
    to: SocketAddr,
    from: Option<IpAddr>,
    epoll: Rc<Epoll>,
    token: u64,
    stream: Option<TcpStream>,
    interest: EpollFlags,
    state: State,
}

#[derive(Debug)]
enum State {
    Idle,
    Connecting(Ask, Instant),
    Sending(Ask, usize, Instant),
    Head(Ask, Vec<u8>, Instant),
    Body {
        reply: Reply,
        filled: usize,
        keep: bool,
        moved: Instant,
    },
}

impl Exchange {
    /// Nothing is connected yet. Events come to `epoll` under `token`. `from`: the address to have on
    /// this side, where it must be a certain one.
    pub(crate) fn new(
        to: SocketAddr,
        from: Option<IpAddr>,
        epoll: Rc<Epoll>,
        token: u64,
    ) -> Exchange {
        Exchange {
            to,
            from,
            epoll,
            token,
            stream: None,
            interest: EpollFlags::empty(),
            state: State::Idle,
        }
    }

    /// Nothing is asked.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Asks; the answer comes from [`Exchange::turn`]. What was asked before is forgotten.
    pub(crate) fn ask(&mut self, ask: Ask, now: Instant) {
        if !self.is_idle() {
            self.close();
        }
        self.state = match &self.stream {
            Some(_) => State::Sending(ask, 0, now),
            None => State::Connecting(ask, now),
        };
    }

    /// Which frame the answer is that has begun to come.
    pub(crate) fn frame(&self) -> Option<usize> {
        match &self.state {
            State::Body { reply, .. } => reply.frame,
            _ => None,
        }
    }

    /// Forgets what was asked, and the connection.
    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.state = State::Idle;
    }

    /// Does what can be done now: an answer, if there is one whole. To be called after
    /// [`Exchange::ask`], on events, and when [`Exchange::due`] has come.
    pub(crate) fn turn(&mut self, now: Instant) -> Option<Result<Reply, Failure>> {
        let state = std::mem::replace(&mut self.state, State::Idle);
        match self.go(state, now) {
            Ok((state, reply)) => {
                self.state = state;
                if reply.is_none() && self.due().is_some_and(|due| due <= now) {
                    self.close();
                    return Some(Err(Failure::Silent));
                }
                match self.watch() {
                    Ok(()) => reply.map(Ok),
                    Err(error) => {
                        self.close();
                        Some(Err(Failure::Gone(error)))
                    }
                }
            }
            Err(failure) => {
                self.close();
                Some(Err(failure))
            }
        }
    }

    /// When an answer is overdue.
    pub(crate) fn due(&self) -> Option<Instant> {
        match &self.state {
            State::Idle => None,
            State::Connecting(_, since) => Some(*since + CONNECT),
            State::Sending(_, _, since) => Some(*since + STALL),
            State::Head(ask, _, since) => Some(*since + ask.patience),
            State::Body { moved, .. } => Some(*moved + STALL),
        }
    }

    fn go(&mut self, mut state: State, now: Instant) -> Result<(State, Option<Reply>), Failure> {
        loop {
            let next = match state {
                State::Idle => {
                    // A server that closes an idle connection, or speaks unasked.
                    let quiet = |mut stream: &TcpStream| matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
                    if self.stream.as_ref().is_some_and(|stream| !quiet(stream)) {
                        self.stream = None;
                    }
                    return Ok((State::Idle, None));
                }
                State::Connecting(ask, since) => {
                    if !self.connected()? {
                        return Ok((State::Connecting(ask, since), None));
                    }
                    State::Sending(ask, 0, now)
                }
                State::Sending(ask, sent, since) => {
                    let stream = self.stream()?;
                    let rest = ask.request.get(sent..).unwrap_or_default();
                    match send(stream.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
                        Ok(count) if sent + count >= ask.request.len() => {
                            State::Head(ask, Vec::new(), now)
                        }
                        Ok(count) => State::Sending(ask, sent + count, now),
                        Err(Errno::EAGAIN) => return Ok((State::Sending(ask, sent, since), None)),
                        Err(Errno::EINTR) => State::Sending(ask, sent, since),
                        Err(error) => return Err(Failure::Gone(error.into())),
                    }
                }
                State::Head(ask, mut head, since) => {
                    let mut bytes = [0; 2 << 10];
                    let Some(count) = read(self.stream()?, &mut bytes)? else {
                        return Ok((State::Head(ask, head, since), None));
                    };
                    head.extend_from_slice(&bytes[..count]);
                    match parse(&head, ask.most)? {
                        None => State::Head(ask, head, since),
                        Some((reply, filled, keep)) => State::Body {
                            reply,
                            filled,
                            keep,
                            moved: now,
                        },
                    }
                }
                State::Body {
                    reply,
                    filled,
                    keep,
                    ..
                } if filled == reply.body.len() => {
                    if !keep {
                        self.stream = None;
                    }
                    return Ok((State::Idle, Some(reply)));
                }
                State::Body {
                    mut reply,
                    filled,
                    keep,
                    moved,
                } => {
                    let rest = reply.body.get_mut(filled..).unwrap_or_default();
                    match read(self.stream()?, rest)? {
                        Some(count) => State::Body {
                            reply,
                            filled: filled + count,
                            keep,
                            moved: now,
                        },
                        None => {
                            let state = State::Body {
                                reply,
                                filled,
                                keep,
                                moved,
                            };
                            return Ok((state, None));
                        }
                    }
                }
            };
            state = next;
        }
    }

    fn stream(&self) -> Result<&TcpStream, Failure> {
        let gone = || Failure::Gone(ErrorKind::NotConnected.into());
        self.stream.as_ref().ok_or_else(gone)
    }

    /// Connects, or looks how far that is.
    fn connected(&mut self) -> Result<bool, Failure> {
        let gone = |error: Errno| Failure::Gone(error.into());
        if let Some(stream) = &self.stream {
            let error = getsockopt(stream, sockopt::SocketError).map_err(gone)?;
            if error != 0 {
                return Err(Failure::Gone(io::Error::from_raw_os_error(error)));
            }
            return Ok(stream.peer_addr().is_ok());
        }
        let family = match self.to {
            SocketAddr::V4(_) => AddressFamily::Inet,
            SocketAddr::V6(_) => AddressFamily::Inet6,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Stream, flags, None).map_err(gone)?;
        if let Some(from) = self.from {
            let from = SockaddrStorage::from(SocketAddr::new(from, 0));
            bind(socket.as_raw_fd(), &from).map_err(gone)?;
        }
        let connected = match connect(socket.as_raw_fd(), &SockaddrStorage::from(self.to)) {
            Ok(()) => true,
            Err(Errno::EINPROGRESS) => false,
            Err(error) => return Err(gone(error)),
        };
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).map_err(Failure::Gone)?;
        self.interest = EpollFlags::EPOLLOUT;
        self.epoll
            .add(&stream, EpollEvent::new(self.interest, self.token))
            .map_err(gone)?;
        self.stream = Some(stream);
        Ok(connected)
    }

    /// Tells the kernel what is waited for.
    fn watch(&mut self) -> io::Result<()> {
        let wanted = match &self.state {
            State::Connecting(..) | State::Sending(..) => EpollFlags::EPOLLOUT,
            State::Idle | State::Head(..) | State::Body { .. } => EpollFlags::EPOLLIN,
        };
        if let Some(stream) = &self.stream
            && wanted != self.interest
        {
            let mut event = EpollEvent::new(wanted, self.token);
            self.epoll.modify(stream, &mut event)?;
            self.interest = wanted;
        }
        Ok(())
    }
}

/// None: nothing there now.
fn read(mut stream: &TcpStream, into: &mut [u8]) -> Result<Option<usize>, Failure> {
    loop {
        match stream.read(into) {
            Ok(0) => return Err(Failure::Gone(ErrorKind::UnexpectedEof.into())),
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Gone(error)),
        }
    }
}

/// The answer's head, if it is whole: with room for the body, how much of that is there, and whether
/// the connection stays.
fn parse(bytes: &[u8], most: usize) -> Result<Option<(Reply, usize, bool)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let used = match head.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Failure::Nonsense("its head is too long")),
        Err(_) => return Err(Failure::Nonsense("is no HTTP answer")),
    };
    let mut reply = Reply {
        status: head.code.unwrap_or(0),
        ..Reply::default()
    };
    let mut keep = head.version == Some(1);
    let mut length = (reply.status == 204).then_some(0);
    for header in head.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            length = Some(value.parse().unwrap_or(usize::MAX));
        } else if is("transfer-encoding") {
            return Err(Failure::Nonsense("a body in pieces"));
        } else if is("connection") && value.eq_ignore_ascii_case("close") {
            keep = false;
        } else if is("frame") {
            reply.frame = value.parse().ok();
        } else if is("retry-after") {
            reply.retry_after = value.parse().ok();
        }
    }
    let length = length.ok_or(Failure::Nonsense("a body without length"))?;
    let there = bytes.get(used..).unwrap_or_default();
    if length > most {
        return Err(Failure::Nonsense("its body is too long"));
    }
    if there.len() > length {
        return Err(Failure::Nonsense("more than was asked for"));
    }
    reply.body = vec![0; length];
    if let Some(beginning) = reply.body.get_mut(..there.len()) {
        beginning.copy_from_slice(there);
    }
    Ok(Some((reply, there.len(), keep)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::{Failure, parse};

    #[test]
    fn a_head_and_the_beginning_of_its_body() {
        let text = b"HTTP/1.1 200 OK\r\nFrame: 17\r\nContent-Length: 5\r\n\r\nab";
        let (reply, filled, keep) = parse(text, 5).unwrap().unwrap();
        assert_eq!(
            (reply.status, reply.frame, filled, keep),
            (200, Some(17), 2, true)
        );
        assert_eq!(reply.body, b"ab\0\0\0");
        assert!(matches!(parse(text, 4), Err(Failure::Nonsense(_))));
        assert!(parse(b"HTTP/1.1 200 OK\r\nFra", 5).unwrap().is_none());
    }

    #[test]
    fn what_is_no_answer() {
        for text in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        ] {
            assert!(
                matches!(parse(text.as_bytes(), 10), Err(Failure::Nonsense(_))),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..2000), most in 0..4000_usize) {
            let _ = parse(&bytes, most);
        }
    }
}
