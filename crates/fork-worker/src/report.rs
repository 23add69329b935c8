//! The child's side of its pipes.

use std::fs::File;
use std::io::{self, Read, Write};

use crate::wire;

/// Longest answer that a child reads.
const ANSWER_LIMIT: usize = 1 << 20;

/// How a job speaks to its parent while it runs. Its return value is the verdict.
#[derive(Debug)]
pub struct Report {
    out: File,
    answers: File,
    line_limit: usize,
    read_ahead: Vec<u8>,
}

impl Report {
    pub(crate) fn new(out: File, answers: File, line_limit: usize) -> Report {
        Report {
            out,
            answers,
            line_limit,
            read_ahead: Vec::new(),
        }
    }

    /// Sends a line of information, which the parent gets as [`What::Line`](crate::What::Line).
    ///
    /// # Errors
    /// `InvalidInput` if the text has a line end or is longer than the job's line limit; else what
    /// writing to the pipe said, which means that the parent no longer listens.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        if text.contains('\n') {
            return Err(invalid("a report line must not contain a line end"));
        }
        if text.len() > self.line_limit {
            return Err(invalid("a report line is longer than allowed"));
        }
        self.out.write_all(&wire::encode(wire::LINE, text))
    }

    /// Sends a line, then waits for the parent's [`Crew::reply`](crate::Crew::reply).
    ///
    /// # Errors
    /// As [`Report::line`]; `UnexpectedEof` if the parent will not answer any more; `InvalidData` if
    /// the answer is longer than 1 MiB.
    pub fn ask(&mut self, text: &str) -> io::Result<String> {
        self.line(text)?;
        let mut chunk = [0; 4096];
        loop {
            if let Some(end) = self.read_ahead.iter().position(|byte| *byte == b'\n') {
                let rest = self.read_ahead.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.read_ahead, rest);
                line.pop();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.read_ahead.len() > ANSWER_LIMIT {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the parent's answer is too long",
                ));
            }
            match self.answers.read(&mut chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.read_ahead.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends the verdict; the exit status that goes with it, or None if it could not be sent.
    pub(crate) fn verdict(&mut self, verdict: &Result<String, String>) -> Option<i32> {
        let (kind, text, status) = match verdict {
            Ok(text) if text.len() > self.line_limit => {
                // Cut, a result would be another result.
                let why = format!(
                    "result of {} bytes exceeds the limit of {}",
                    text.len(),
                    self.line_limit
                );
                (wire::BAD, why, 1)
            }
            Ok(text) => (wire::GOOD, text.clone(), 0),
            Err(why) => (wire::BAD, why.clone(), 1),
        };
        let text = wire::one_line(&text, self.line_limit);
        let sent = self.out.write_all(&wire::encode(kind, &text));
        sent.is_ok().then_some(status)
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}
