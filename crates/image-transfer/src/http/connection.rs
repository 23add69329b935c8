//! A connection to the server: reads requests, sends answers, as far as that goes without waiting.

use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::sendfile::sendfile;
use nix::sys::socket::{MsgFlags, send};

use super::bucket::Bucket;
use super::request::Request;
use super::response::{Body, Response};

/// Bytes of one connection in a row; then the others have their turn.
const TURN: usize = 256 << 10;

/// The most that is read ahead: one request of the greatest kind.
const INPUT: usize = 24 << 10;

/// Longest body that goes out with its head.
const SHORT: usize = 8 << 10;

/// A peer's connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: IpAddr,
    /// One too many: its request is read, and it is told to come later.
    pub(super) surplus: bool,
    pub(super) input: Vec<u8>,
    pub(super) state: State,
    pub(super) interest: EpollFlags,
}

/// What it does.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing or a part of a request has come, since then.
    Reading(Instant),
    /// Waits for a slot.
    Queued(Request),
    /// Waits for something to happen, until then.
    Held(Request, Instant),
    /// Is being answered.
    Sending(Sending),
    /// Is to be dropped.
    Closed,
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Sending {
    head: Vec<u8>,
    head_sent: usize,
    body: Body,
    sent: u64,
    keep: bool,
    /// When the peer last took something.
    pub(super) moved: Instant,
    /// The shared rate is used up.
    pub(super) throttled: bool,
}

/// How far sending has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// There is more to send.
    Part,
    /// That was all; the connection stays open.
    All,
    /// The connection has ended.
    End,
}

impl Connection {
    /// Reads what has come. False: the peer is gone.
    pub(super) fn read(&mut self) -> bool {
        let mut bytes = [0; 8 << 10];
        while self.input.len() < INPUT {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Begins to answer.
    pub(super) fn answer(&mut self, response: Response, keep: bool, now: Instant) {
        let keep = keep && !response.close && !self.surplus;
        let mut head = response.head(keep);
        let body = match response.body {
            // A short answer is one packet.
            Body::Bytes(bytes) if bytes.len() <= SHORT => {
                head.extend_from_slice(&bytes);
                Body::empty()
            }
            body => body,
        };
        self.state = State::Sending(Sending {
            head,
            head_sent: 0,
            body,
            sent: 0,
            keep,
            moved: now,
            throttled: false,
        });
    }

    /// What to wait for.
    pub(super) fn wanted(&self) -> EpollFlags {
        match &self.state {
            State::Reading(_) => EpollFlags::EPOLLIN,
            State::Sending(sending) if !sending.throttled => EpollFlags::EPOLLOUT,
            State::Queued(_) | State::Held(..) => EpollFlags::EPOLLRDHUP,
            State::Sending(_) | State::Closed => EpollFlags::empty(),
        }
    }
}

impl Sending {
    /// Sends what goes without waiting; `count` hears of the body's bytes.
    pub(super) fn push(
        &mut self,
        stream: &TcpStream,
        bucket: &mut Bucket,
        now: Instant,
        count: &mut dyn FnMut(u64),
    ) -> Sent {
        match self.go(stream, bucket, now, count) {
            Ok(true) if self.keep => Sent::All,
            Ok(true) => Sent::End,
            Ok(false) => Sent::Part,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Sent::Part,
            Err(_) => Sent::End,
        }
    }

    fn go(
        &mut self,
        stream: &TcpStream,
        bucket: &mut Bucket,
        now: Instant,
        count: &mut dyn FnMut(u64),
    ) -> io::Result<bool> {
        self.throttled = false;
        while self.head_sent < self.head.len() {
            let rest = self.head.get(self.head_sent..).unwrap_or_default();
            self.head_sent += transmit(stream, rest)?;
            self.moved = now;
        }
        let mut left = TURN;
        while self.sent < self.body.len() {
            if left == 0 {
                return Ok(false);
            }
            let piece = usize::try_from(self.body.len() - self.sent)
                .unwrap_or(usize::MAX)
                .min(left);
            let piece = bucket.allows(piece, now);
            if piece == 0 {
                self.throttled = true;
                return Ok(false);
            }
            let done = self.piece(stream, piece)?;
            bucket.take(done);
            self.sent += done as u64;
            self.moved = now;
            left -= done.min(left);
            count(done as u64);
        }
        Ok(true)
    }

    fn piece(&self, stream: &TcpStream, most: usize) -> io::Result<usize> {
        match &self.body {
            Body::Bytes(bytes) => {
                let at = usize::try_from(self.sent).unwrap_or(usize::MAX);
                let rest = bytes.get(at..).unwrap_or_default();
                let rest = rest.get(..most).unwrap_or(rest);
                transmit(stream, rest)
            }
            Body::File(file, span) => {
                let at = span.at.saturating_add(self.sent);
                let mut at = i64::try_from(at).map_err(|_| ErrorKind::InvalidInput)?;
                match sendfile(stream, &**file, Some(&mut at), most) {
                    // The file is shorter than it was: nothing true can be sent.
                    Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                    Ok(count) => Ok(count),
                    Err(Errno::EINTR) => Err(ErrorKind::WouldBlock.into()),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}

/// One send that raises no SIGPIPE.
fn transmit(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match send(stream.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}
