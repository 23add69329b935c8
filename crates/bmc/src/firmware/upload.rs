//! Sending an archive: one request over a connection of its own.
//!
//! Not by the library that does all other requests: an upload takes minutes, may stall, is refused
//! before or in the middle of its body, and must not be complete before its caller agrees. The answer
//! is read with a parser for heads; its bodies are short and bounded.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::Error;
use crate::http::Http;

/// Bytes between two words with the caller.
const PIECE: usize = 256 << 10;
/// Bytes that wait in the socket: the kernel, left to itself, takes megabytes from us that the BMC does
/// not have yet, so that what counts as sent is far from the truth and a slow BMC looks like one that
/// stalls. Less than this costs CPU: more turns for the same bytes.
const WAITING: usize = 2 * PIECE;
/// The end of the body that is only sent with the caller's consent.
const TAIL: usize = 512;
/// How long a server may take to say that it wants the body; many never say it.
const CONTINUE: Duration = Duration::from_secs(3);
/// Longest head, and longest body, of the answer.
const HEAD: usize = 64 << 10;
const BODY: usize = 256 << 10;

/// One upload.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) content_type: &'a str,
    /// Before and after the archive: the other parts of a multipart body.
    pub(crate) before: &'a [u8],
    pub(crate) after: &'a [u8],
    pub(crate) archive: &'a mut std::fs::File,
    pub(crate) size: u64,
}

/// How long an upload may take where.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one piece of the body to get out of the socket.
    pub stall: Duration,
    /// From the last byte to the answer.
    pub accept: Duration,
}

/// What an upload asks its caller on the way.
pub trait Meanwhile {
    /// So many bytes of the archive have been sent.
    fn sent(&mut self, bytes: u64);
    /// Before each piece: may return late, to keep to a rate.
    ///
    /// # Errors
    /// Ends the upload.
    fn may_send(&mut self, bytes: u64) -> io::Result<()>;
    /// Before the last bytes: from here on the BMC may have the whole archive.
    ///
    /// # Errors
    /// Ends the upload, incomplete.
    fn last(&mut self) -> io::Result<()>;
}

/// What came back: status, headers that count, body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
    /// It came before the BMC had the whole archive.
    pub(crate) early: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Before, or apart from, the upload.
    Bmc(Error),
    /// In it; a text.
    Broke(String),
    /// The caller ended it.
    Ended(String),
}

/// Sends it and takes the answer. A refusal that comes early ends the sending.
pub(crate) fn send(
    http: &Http,
    request: Request<'_>,
    patience: Patience,
    meanwhile: &mut dyn Meanwhile,
) -> Result<Answer, Failed> {
    let mut stream = http.stream().map_err(Failed::Bmc)?;
    // From here on each operation has the socket's own limit: a slow upload is no stalled one.
    stream.set_deadline(None);
    setsockopt(&stream, sockopt::SndBuf, &WAITING)
        .map_err(|error| broke("before the upload", &error.into()))?;
    let length = request.size + (request.before.len() + request.after.len()) as u64;
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: xcat-nodetools/{}\r\nAccept: application/json\r\nContent-Type: {}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\nConnection: close\r\n",
        request.method,
        request.path,
        http.host_header(),
        env!("CARGO_PKG_VERSION"),
        request.content_type,
    )
    .into_bytes();
    for (name, value) in http.login_headers() {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    let mut line = Line {
        stream,
        unread: Vec::new(),
    };
    line.send_limit(patience.stall)
        .and_then(|()| line.stream.write_all(&head))
        .map_err(|error| broke("sending the request", &error))?;
    // Said no, or nothing: then the body is sent. An answer at once saves sending it.
    match line.early(CONTINUE) {
        Ok(Some(answer)) => return Ok(answer),
        Ok(None) => {}
        Err(error) => return Err(broke("before the upload", &error)),
    }
    match body(&mut line, request, meanwhile) {
        Ok(Some(answer)) => return Ok(answer),
        Ok(None) => {}
        Err(Failed::Broke(why)) => {
            // Refused in the middle, and the refusal may still be there to read.
            return match line.answer(Duration::from_secs(2)) {
                Ok(answer) if answer.status >= 300 => Ok(answer),
                _ => Err(Failed::Broke(why)),
            };
        }
        Err(other) => return Err(other),
    }
    line.answer(patience.accept)
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Failed::Broke(format!(
                "no answer within {} seconds after the last byte",
                patience.accept.as_secs()
            )),
            _ => broke("waiting for the answer", &error),
        })
}

/// Sends the body; an early answer ends it.
fn body(
    line: &mut Line,
    request: Request<'_>,
    meanwhile: &mut dyn Meanwhile,
) -> Result<Option<Answer>, Failed> {
    let ended = |error: io::Error| Failed::Ended(error.to_string());
    line.push(request.before, meanwhile)?;
    // What was read last waits at the beginning until more has been read: the very end is never sent
    // unasked.
    let mut buffer = vec![0; TAIL + PIECE];
    let mut held = 0;
    let mut left = request.size;
    loop {
        let take = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let filled = held + take;
        request
            .archive
            .read_exact(buffer.get_mut(held..filled).unwrap_or_default())
            .map_err(|error| Failed::Ended(format!("the archive: {error}")))?;
        left -= take as u64;
        let keep = TAIL.min(filled);
        let (go, stay) = buffer
            .get(..filled)
            .unwrap_or_default()
            .split_at(filled - keep);
        line.push(go, meanwhile)?;
        meanwhile.sent(request.size - left - keep as u64);
        if left == 0 {
            let rest = [stay, request.after].concat();
            meanwhile.last().map_err(ended)?;
            line.push(&rest, meanwhile)?;
            meanwhile.sent(request.size);
            return Ok(None);
        }
        buffer.copy_within(filled - keep..filled, 0);
        held = keep;
        if let Some(answer) = line
            .early(Duration::ZERO)
            .map_err(|error| broke("in the middle of the upload", &error))?
        {
            return Ok(Some(answer));
        }
    }
}

/// One connection, with what was read beyond a head.
struct Line {
    stream: tls::Stream,
    unread: Vec<u8>,
}

impl Line {
    fn send_limit(&self, limit: Duration) -> io::Result<()> {
        Ok(setsockopt(
            &self.stream,
            sockopt::SendTimeout,
            &timeval(limit),
        )?)
    }

    fn receive_limit(&self, limit: Duration) -> io::Result<()> {
        Ok(setsockopt(
            &self.stream,
            sockopt::ReceiveTimeout,
            &timeval(limit),
        )?)
    }

    fn push(&mut self, bytes: &[u8], meanwhile: &mut dyn Meanwhile) -> Result<(), Failed> {
        if bytes.is_empty() {
            return Ok(());
        }
        meanwhile
            .may_send(bytes.len() as u64)
            .map_err(|error| Failed::Ended(error.to_string()))?;
        self.stream
            .write_all(bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    Failed::Broke("upload stalled: the BMC takes no more bytes".to_string())
                }
                _ => broke("in the middle of the upload", &error),
            })
    }

    /// An answer, if one comes within `wait`. Interim answers (100) end the wait.
    fn early(&mut self, wait: Duration) -> io::Result<Option<Answer>> {
        let until = Instant::now() + wait;
        loop {
            if let Some((status, _, length)) = head(&self.unread)? {
                if status >= 200 {
                    let answer = self.answer(Duration::from_secs(5))?;
                    return Ok(Some(Answer {
                        early: true,
                        ..answer
                    }));
                }
                // Some send a `Content-Length` with it; an interim answer has no body all the same.
                self.unread.drain(..length);
                return Ok(None);
            }
            let left = until.saturating_duration_since(Instant::now());
            if !self.readable(left)? {
                return Ok(None);
            }
            // Readable may mean a record without data: a short wait, then it is asked again.
            self.receive_limit(Duration::from_millis(20))?;
            match self.more() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if left.is_zero() {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn readable(&self, wait: Duration) -> io::Result<bool> {
        if self.stream.pending() > 0 {
            return Ok(true);
        }
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
        loop {
            match poll(&mut fds, timeout) {
                Ok(found) => return Ok(found > 0),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 8192];
        match self.stream.read(&mut chunk)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.unread
                    .extend_from_slice(chunk.get(..count).unwrap_or_default());
                Ok(())
            }
        }
    }

    /// The final answer, all of it within `limit`.
    fn answer(&mut self, limit: Duration) -> io::Result<Answer> {
        let until = Instant::now() + limit;
        let (status, fields, length) = loop {
            match head(&self.unread)? {
                Some((100..=199, _, length)) => drop(self.unread.drain(..length)),
                Some(found) => break found,
                None => self.more_until(until)?,
            }
        };
        self.unread.drain(..length);
        let location = fields.location;
        let body = match (status, fields.chunked, fields.length) {
            (204 | 304, _, _) => Vec::new(),
            (_, true, _) => self.chunks(until)?,
            (_, false, Some(length)) => {
                let length = usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= BODY)
                    .ok_or_else(too_long)?;
                while self.unread.len() < length {
                    match self.more_until(until) {
                        Ok(()) => {}
                        // The status is what counts; a text that broke off is no text.
                        Err(_) if status >= 300 => break,
                        Err(error) => return Err(error),
                    }
                }
                self.unread.truncate(length);
                std::mem::take(&mut self.unread)
            }
            (_, false, None) => {
                while self.more_until(until).is_ok() {
                    if self.unread.len() > BODY {
                        return Err(too_long());
                    }
                }
                std::mem::take(&mut self.unread)
            }
        };
        Ok(Answer {
            status,
            location,
            body,
            early: false,
        })
    }

    fn more_until(&mut self, until: Instant) -> io::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.receive_limit(left)?;
        self.more()
    }

    fn chunks(&mut self, until: Instant) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let (at, size) = loop {
                match httparse::parse_chunk_size(&self.unread).map_err(|_| nonsense())? {
                    httparse::Status::Complete(found) => break found,
                    httparse::Status::Partial if self.unread.len() > 1024 => return Err(nonsense()),
                    httparse::Status::Partial => self.more_until(until)?,
                }
            };
            if size == 0 {
                return Ok(body);
            }
            let size = usize::try_from(size)
                .ok()
                .filter(|size| body.len() + size <= BODY)
                .ok_or_else(too_long)?;
            while self.unread.len() < at + size + 2 {
                self.more_until(until)?;
            }
            body.extend_from_slice(self.unread.get(at..at + size).unwrap_or_default());
            self.unread.drain(..at + size + 2);
        }
    }
}

struct Fields {
    length: Option<u64>,
    chunked: bool,
    location: Option<String>,
}

/// A whole head at the beginning of the bytes: status, fields, its length.
fn head(bytes: &[u8]) -> io::Result<Option<(u16, Fields, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes).map_err(|_| nonsense())? {
        httparse::Status::Partial if bytes.len() > HEAD => Err(too_long()),
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            let status = response.code.ok_or_else(nonsense)?;
            let field = |name: &str| {
                let found = response
                    .headers
                    .iter()
                    .find(|header| header.name.eq_ignore_ascii_case(name));
                found.and_then(|header| std::str::from_utf8(header.value).ok())
            };
            let fields = Fields {
                length: field("content-length").and_then(|text| text.trim().parse().ok()),
                chunked: field("transfer-encoding")
                    .is_some_and(|text| text.to_ascii_lowercase().contains("chunked")),
                location: field("location").map(String::from),
            };
            Ok(Some((status, fields, length)))
        }
    }
}

fn timeval(limit: Duration) -> TimeVal {
    // Zero would mean: no limit.
    let micros = i64::try_from(limit.as_micros())
        .unwrap_or(i64::MAX)
        .max(1000);
    TimeVal::microseconds(micros)
}

fn broke(where_: &str, error: &io::Error) -> Failed {
    Failed::Broke(format!("connection broke off {where_}: {error}"))
}

fn nonsense() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP")
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the answer is too long")
}
