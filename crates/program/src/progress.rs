//! One line of progress, redrawn, for people; nothing at all in a pipe or a log.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Redraws at most this often: a storm of answers must not become a storm of escape sequences.
const REDRAW: Duration = Duration::from_millis(100);

/// A progress line on standard error, if that is a terminal.
#[derive(Debug)]
pub struct Progress {
    terminal: bool,
    /// Lines that are on the screen.
    shown: usize,
    last: Option<Instant>,
}

impl Progress {
    /// Looks once whether there is a terminal.
    pub fn new() -> Progress {
        Progress {
            terminal: io::stderr().is_terminal(),
            shown: 0,
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
        self.shown = 1;
        let short: String = text.chars().take(120).collect();
        let _ = write!(io::stderr().lock(), "\r\x1b[K{short}");
    }

    /// Shows several lines (escaped, none wider than [`Progress::size`] says) in place of what was
    /// shown; they are only made when they will be seen.
    pub fn block(&mut self, lines: &mut dyn FnMut() -> Vec<String>) {
        if !self.terminal || self.last.is_some_and(|last| last.elapsed() < REDRAW) {
            return;
        }
        let lines = lines();
        let text = format!("{}{}", self.back(), lines.join("\n"));
        let _ = io::stderr().lock().write_all(text.as_bytes());
        self.last = Some(Instant::now());
        self.shown = lines.len();
    }

    /// Rows and columns of the terminal; 24 and 80 if it does not say.
    pub fn size(&self) -> (usize, usize) {
        let size = rustix::termios::tcgetwinsize(io::stderr());
        match size {
            Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
                (size.ws_row.into(), size.ws_col.into())
            }
            _ => (24, 80),
        }
    }

    /// Takes what was shown away, before anything else is printed.
    pub fn clear(&mut self) {
        if self.shown > 0 {
            let back = self.back();
            self.shown = 0;
            self.last = None;
            let _ = io::stderr().lock().write_all(back.as_bytes());
        }
    }

    /// To the beginning of what is shown, which is gone then.
    fn back(&self) -> String {
        match self.shown {
            0 | 1 => "\r\x1b[J".to_string(),
            lines => format!("\r\x1b[{}A\x1b[J", lines - 1),
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
