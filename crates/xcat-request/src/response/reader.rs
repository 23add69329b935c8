//! The client's side: bytes of a connection to one answer.

use crate::{Element, Error, Limits, parse};

const END: &[u8] = b"</xcatresponse>";

/// What the server said, up to `serverdone`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Every document, in order, `xcatresponse` at the root.
    pub documents: Vec<Element>,
}

/// One `<error>` of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its text.
    pub text: String,
    /// The `<errorcode>` beside it, if it is a number.
    pub code: Option<i32>,
}

impl Answer {
    /// The errors in it, those of single nodes included; none means that the server did it.
    pub fn failures(&self) -> Vec<Failure> {
        let nodes = self.documents.iter().flat_map(|one| one.all("node"));
        self.documents
            .iter()
            .chain(nodes)
            .flat_map(|place| {
                let code = place
                    .text_of("errorcode")
                    .and_then(|n| n.trim().parse().ok());
                place.all("error").map(move |error| Failure {
                    text: error.text.clone(),
                    code,
                })
            })
            .collect()
    }

    /// The first text of that name in the documents or their nodes (`destiny`, `data`).
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let nodes = self.documents.iter().flat_map(|one| one.all("node"));
        self.documents
            .iter()
            .chain(nodes)
            .find_map(|place| place.text_of(name))
    }
}

/// Collects one answer.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    buffer: Vec<u8>,
    searched: usize,
    taken: usize,
    elements: usize,
    answer: Answer,
    done: bool,
}

impl Reader {
    /// A reader of one answer, of at most `limits.bytes` bytes and `limits.elements` documents in all.
    pub fn new(limits: &Limits) -> Reader {
        Reader {
            limits: limits.clone(),
            buffer: Vec::new(),
            searched: 0,
            taken: 0,
            elements: 0,
            answer: Answer::default(),
            done: false,
        }
    }

    /// Takes the next bytes; true when `serverdone` has come. What comes after it is not looked at.
    ///
    /// # Errors
    /// A document that is not one, or too much of it. The connection is of no use then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        if self.done {
            return Ok(true);
        }
        self.taken = self.taken.saturating_add(bytes.len());
        if self.taken > self.limits.bytes {
            return Err(Error::TooLong(self.limits.bytes));
        }
        self.buffer.extend_from_slice(bytes);
        let mut from = 0;
        while let Some(end) = self.next_end(from) {
            let document = parse(&self.buffer[from..end], &self.limits)?;
            self.elements += 1;
            if self.elements > self.limits.elements {
                return Err(Error::TooMany(self.limits.elements));
            }
            from = end;
            self.searched = end;
            self.done = document.child("serverdone").is_some();
            self.answer.documents.push(document);
            if self.done {
                break;
            }
        }
        self.searched = self.buffer.len().saturating_sub(END.len() - 1).max(from) - from;
        self.buffer.drain(..from);
        Ok(self.done)
    }

    /// The answer, if its end has come.
    pub fn answer(self) -> Option<Answer> {
        self.done.then_some(self.answer)
    }

    fn next_end(&self, from: usize) -> Option<usize> {
        let start = self.searched.max(from);
        let at = self.buffer[start..]
            .windows(END.len())
            .position(|window| window == END)?;
        Some(start + at + END.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Failure, Reader};
    use crate::response::{destiny, done, error, node_data};
    use crate::{Error, Limits};

    fn read(text: &str) -> Option<super::Answer> {
        let mut reader = Reader::new(&Limits::default());
        for byte in text.as_bytes() {
            reader.feed(&[*byte]).unwrap();
        }
        reader.answer()
    }

    #[test]
    fn an_answer_ends_with_serverdone_only() {
        let text = node_data("n1", &[("destiny", "boot")]);
        assert_eq!(read(&text), None);
        let answer = read(&(text + &done())).unwrap();
        assert_eq!(answer.documents.len(), 2);
        assert_eq!(answer.text_of("destiny"), Some("boot"));
        assert_eq!(answer.failures(), []);
    }

    #[test]
    fn bytes_at_once_or_one_by_one_are_the_same() {
        let text = destiny("n1", "runcmd=getadapter", &[]) + "anything after it";
        let mut reader = Reader::new(&Limits::default());
        assert!(reader.feed(text.as_bytes()).unwrap());
        assert_eq!(reader.answer(), read(&text));
    }

    #[test]
    fn errors_carry_their_code() {
        let answer = read(&error("busy, try later", 1)).unwrap();
        let failure = Failure {
            text: "busy, try later".into(),
            code: Some(1),
        };
        assert_eq!(answer.failures(), [failure]);
    }

    #[test]
    fn an_endless_answer_is_refused() {
        let mut reader = Reader::new(&Limits::default());
        let block = vec![b'a'; 65_536];
        let error = (0..17).find_map(|_| reader.feed(&block).err());
        assert_eq!(error, Some(Error::TooLong(1 << 20)));
    }
}
