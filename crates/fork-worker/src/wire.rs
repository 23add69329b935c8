//! The report as bytes: lines, the last one a verdict.
//!
//! The first byte of a line is its kind: `i` information, `+` good verdict, `-` bad verdict. Nothing
//! follows a verdict.

/// A line of information.
pub(crate) const LINE: u8 = b'i';
/// The last line: done.
pub(crate) const GOOD: u8 = b'+';
/// The last line: failed.
pub(crate) const BAD: u8 = b'-';

/// Why a report is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A limit was exceeded.
    TooLong,
    /// No report looks like this.
    Garbled,
}

/// Reads a report from a child that may be hostile.
#[derive(Debug)]
pub(crate) struct Decoder {
    pending: Vec<u8>,
    line_limit: usize,
    left: usize,
    verdict: Option<Result<String, String>>,
}

impl Decoder {
    /// Limits in bytes: of one line's text, and of the whole report.
    pub(crate) fn new(line_limit: usize, total_limit: usize) -> Decoder {
        Decoder {
            pending: Vec::new(),
            // The kind is not part of the text.
            line_limit: line_limit.saturating_add(1),
            left: total_limit,
            verdict: None,
        }
    }

    /// Takes bytes as they came; the lines that they complete go to `lines`.
    pub(crate) fn feed(&mut self, bytes: &[u8], lines: &mut Vec<String>) -> Result<(), Broken> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(Broken::TooLong)?;
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            if self.verdict.is_some() && !part.is_empty() {
                return Err(Broken::Garbled);
            }
            if self.pending.len() + part.len() > self.line_limit {
                return Err(Broken::TooLong);
            }
            self.pending.extend_from_slice(part);
            // What follows the last line end is not yet a line.
            if parts.peek().is_some() {
                let line = std::mem::take(&mut self.pending);
                self.line(&line, lines)?;
            }
        }
        Ok(())
    }

    /// The verdict, once the report has ended. None if there was none, or not a whole one.
    pub(crate) fn verdict(&mut self) -> Option<Result<String, String>> {
        self.verdict.take()
    }

    fn line(&mut self, line: &[u8], lines: &mut Vec<String>) -> Result<(), Broken> {
        let (kind, text) = line.split_first().ok_or(Broken::Garbled)?;
        if self.verdict.is_some() {
            return Err(Broken::Garbled);
        }
        let text = String::from_utf8_lossy(text).into_owned();
        match *kind {
            LINE => lines.push(text),
            GOOD => self.verdict = Some(Ok(text)),
            BAD => self.verdict = Some(Err(text)),
            _ => return Err(Broken::Garbled),
        }
        Ok(())
    }
}

/// A line as it goes over the pipe. The caller has seen to it that `text` has no line end.
pub(crate) fn encode(kind: u8, text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() + 2);
    bytes.push(kind);
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(b'\n');
    bytes
}

/// Text of a verdict on one line: line ends become `\n`, and what exceeds the limit is cut.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = text.trim_end_matches('\n').replace('\n', "\\n");
    if line.len() > limit {
        let end = (0..=limit).rev().find(|at| line.is_char_boundary(*at));
        line.truncate(end.unwrap_or(0));
    }
    line
}
