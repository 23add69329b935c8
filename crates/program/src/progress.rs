//! One line of progress, redrawn, for people; nothing at all in a pipe or a log.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Redraws at most this often: a storm of answers must not become a storm of escape sequences.
const REDRAW: Duration = Duration::from_millis(100);

/// A progress line on standard error, if that is a terminal.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    shown: bool,
    last: Option<Instant>,
}

impl Progress {
    /// Looks once whether there is a terminal.
    pub fn new() -> Progress {
        Progress {
            terminal: io::stderr().is_terminal(),
            shown: false,
            last: None,
        }
    }

    /// True if somebody would see it.
    pub fn visible(&self) -> bool {
        self.terminal
    }

    /// Shows `text` (already escaped, one line) in place of what was shown, not oftener than ten
    /// times a second.
    pub fn show(&mut self, text: &str) {
        if !self.terminal || self.last.is_some_and(|last| last.elapsed() < REDRAW) {
            return;
        }
        self.last = Some(Instant::now());
        self.shown = true;
        let short: String = text.chars().take(120).collect();
        let _ = write!(io::stderr().lock(), "\r\x1b[K{short}");
    }

    /// Takes the line away, before anything else is printed.
    pub fn clear(&mut self) {
        if self.shown {
            self.shown = false;
            self.last = None;
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Progress::new()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
