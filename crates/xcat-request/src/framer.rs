//! Bytes of a connection to requests.

use std::collections::VecDeque;

use crate::{Error, Limits};

const START: &[u8] = b"<xcatrequest>";
const END: &[u8] = b"</xcatrequest>";
/// xcatd closes a connection when more bytes than this came without [`START`] (spec section 8).
const PATIENCE: usize = 15;

/// Cuts what comes over one connection into requests; any number may follow each other. As an
/// iterator it gives those that are complete (root element included, not yet parsed) and then
/// `None`, until more was fed.
///
/// xcatd's rule holds: each request starts with the plain literal `<xcatrequest>` (white space
/// before it is skipped), no attributes, and ends at the first `</xcatrequest>`. The rule is judged
/// on the bytes, however they were cut by the network.
#[derive(Debug)]
pub struct Framer {
    limit: usize,
    buffer: Vec<u8>,
    /// No [`END`] starts before this offset.
    searched: usize,
    /// White space skipped since the last request; it counts, so that blanks are not endless.
    skipped: usize,
    ready: VecDeque<Vec<u8>>,
    held: usize,
    failed: Option<Error>,
}

impl Framer {
    /// A framer that takes requests of at most `limits.bytes` bytes.
    pub fn new(limits: &Limits) -> Framer {
        Framer {
            limit: limits.bytes,
            buffer: Vec::new(),
            searched: 0,
            skipped: 0,
            ready: VecDeque::new(),
            held: 0,
            failed: None,
        }
    }

    /// Takes the next bytes. After an error the connection is of no use: every further call gives
    /// the same error, and requests that were complete before can still be taken.
    ///
    /// # Errors
    /// [`Error::NotARequest`] when more than 15 bytes came without `<xcatrequest>`;
    /// [`Error::TooLong`] when a request, or requests that nobody took, exceed the limit.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.buffer.extend_from_slice(bytes);
        let result = self.cut();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            self.buffer = Vec::new();
        }
        result
    }

    /// True if a request has begun that has not ended: a peer that closes here has given up.
    pub fn is_inside(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn cut(&mut self) -> Result<(), Error> {
        // Cut from the front only once, however many small requests one read brought.
        let mut from = 0;
        let result = loop {
            let rest = &self.buffer[from..];
            let blanks = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            if blanks > 0 {
                from += blanks;
                self.skipped += blanks;
                continue;
            }
            let Some(start) = find(&rest[..rest.len().min(PATIENCE + 1)], START) else {
                if rest.len() > PATIENCE {
                    break Err(Error::NotARequest);
                }
                break self.within(rest.len());
            };
            let searched = self.searched.max(start + START.len());
            let Some(at) = find(&rest[searched..], END) else {
                // The end may have begun in the last bytes.
                let unfinished = rest.len();
                self.searched = unfinished.saturating_sub(END.len() - 1);
                break self.within(unfinished);
            };
            let length = searched + at + END.len();
            if self.held + length > 2 * self.limit {
                break Err(Error::TooLong(self.limit));
            }
            if let Err(error) = self.within(length) {
                break Err(error);
            }
            self.ready.push_back(rest[..length].to_vec());
            self.held += length;
            from += length;
            self.searched = 0;
            self.skipped = 0;
        };
        self.buffer.drain(..from);
        result
    }

    fn within(&self, length: usize) -> Result<(), Error> {
        if length + self.skipped > self.limit {
            return Err(Error::TooLong(self.limit));
        }
        Ok(())
    }
}

impl Iterator for Framer {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let request = self.ready.pop_front()?;
        self.held -= request.len();
        Some(request)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests;
