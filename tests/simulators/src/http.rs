//! HTTP/1.1 on a TLS stream, as much as a BMC needs.

use std::io::{self, Read, Write};

use tls::Stream;

use crate::message::{Answer, Body, Request, reason};

/// Longest head of a request.
const HEAD: usize = 64 << 10;

/// One connection's bytes.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: Stream,
    buffer: Vec<u8>,
    left: Left,
}

/// What of the present request's body is still to come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Left {
    Bytes(u64),
    /// In a chunk.
    Chunk(u64),
    /// Before a chunk's size line.
    Size,
}

/// How an answer goes out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manner {
    pub(crate) chunked: bool,
    /// Bytes per real second.
    pub(crate) rate: Option<f64>,
    /// Only so many bytes.
    pub(crate) cut: Option<usize>,
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Wire {
        Wire {
            stream,
            buffer: Vec::new(),
            left: Left::Bytes(0),
        }
    }

    /// The next request; `None` when the peer has closed.
    pub(crate) fn request(&mut self) -> io::Result<Option<Request>> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > HEAD {
                return Err(io::Error::other("the head is too long"));
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let method = words.next().unwrap_or_default().to_string();
        let target = words.next().unwrap_or_default();
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        let trimmed = path.trim_end_matches('/');
        let request = Request {
            method,
            path: if trimmed.is_empty() { "/" } else { trimmed }.to_string(),
            headers,
        };
        let chunked = request
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let length = request.header("content-length").unwrap_or("0");
        self.left = match (chunked, length.parse()) {
            (true, _) => Left::Size,
            (false, Ok(length)) => Left::Bytes(length),
            (false, Err(_)) => return Err(io::Error::other("a length that is no number")),
        };
        Ok(Some(request))
    }

    /// How long the body is, if the client said so.
    pub(crate) fn announced(&self) -> Option<u64> {
        match self.left {
            Left::Bytes(count) => Some(count),
            _ => None,
        }
    }

    /// Some of the present request's body; 0 at its end.
    pub(crate) fn body(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let most = match self.left {
                Left::Bytes(0) => return Ok(0),
                Left::Size => {
                    let size = self.size_line()?;
                    if size == 0 {
                        self.line()?;
                        self.left = Left::Bytes(0);
                    } else {
                        self.left = Left::Chunk(size);
                    }
                    continue;
                }
                Left::Bytes(count) | Left::Chunk(count) => count,
            };
            if self.buffer.is_empty() && self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let count = into
                .len()
                .min(self.buffer.len())
                .min(usize::try_from(most).unwrap_or(usize::MAX));
            into[..count].copy_from_slice(&self.buffer[..count]);
            self.buffer.drain(..count);
            let rest = most - count as u64;
            self.left = match self.left {
                Left::Chunk(_) if rest == 0 => {
                    self.line()?;
                    Left::Size
                }
                Left::Chunk(_) => Left::Chunk(rest),
                _ => Left::Bytes(rest),
            };
            return Ok(count);
        }
    }

    /// The whole body, or `None` if it is longer than `most`.
    pub(crate) fn whole(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let mut whole = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            match self.body(&mut chunk)? {
                0 => return Ok(Some(whole)),
                count => whole.extend_from_slice(&chunk[..count]),
            }
            if whole.len() > most {
                return Ok(None);
            }
        }
    }

    /// Sends an answer. False: it was cut on purpose.
    pub(crate) fn answer(&mut self, answer: &Answer, manner: &Manner) -> io::Result<bool> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if answer.close {
            head.push_str("Connection: close\r\n");
        }
        let bytes = match &answer.body {
            Body::Huge(size) => return self.huge(head, *size),
            Body::Bytes(bytes) => bytes,
        };
        let mut whole;
        if manner.chunked && !bytes.is_empty() {
            whole = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in bytes.chunks(100) {
                whole.extend(format!("{:x}\r\n", chunk.len()).bytes());
                whole.extend_from_slice(chunk);
                whole.extend_from_slice(b"\r\n");
            }
            whole.extend_from_slice(b"0\r\n\r\n");
        } else if answer.status == 204 {
            whole = format!("{head}\r\n").into_bytes();
        } else {
            whole = format!("{head}Content-Length: {}\r\n\r\n", bytes.len()).into_bytes();
            whole.extend_from_slice(bytes);
        }
        let cut = manner.cut.unwrap_or(usize::MAX).min(whole.len());
        match manner.rate {
            Some(rate) if rate > 0.0 => {
                for byte in &whole[..cut] {
                    self.stream.write_all(&[*byte])?;
                    std::thread::sleep(std::time::Duration::from_secs_f64(1.0 / rate));
                }
            }
            _ => self.stream.write_all(&whole[..cut])?,
        }
        Ok(manner.cut.is_none())
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    fn huge(&mut self, head: String, size: u64) -> io::Result<bool> {
        let (open, close) = (b"{\"data\": \"", b"\"}");
        let size = size.max((open.len() + close.len()) as u64);
        self.raw(format!("{head}Content-Length: {size}\r\n\r\n").as_bytes())?;
        self.raw(open)?;
        let mut left = size - (open.len() + close.len()) as u64;
        let block = [b'x'; 16 << 10];
        while left > 0 {
            let count = left.min(block.len() as u64) as usize;
            self.raw(&block[..count])?;
            left -= count as u64;
        }
        self.raw(close)?;
        Ok(true)
    }

    fn size_line(&mut self) -> io::Result<u64> {
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        u64::from_str_radix(digits, 16).map_err(|_| io::Error::other("a chunk without a size"))
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD || self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 << 10];
        let count = match self.stream.read(&mut chunk) {
            // A client that goes without close_notify has gone all the same.
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => 0,
            other => other?,
        };
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(count)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
