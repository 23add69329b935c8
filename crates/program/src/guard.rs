//! Questions to whoever sits at the terminal: a typing error must not reboot a cluster.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use crate::front::Usage;

/// Passes if `count` is at most `most`; else asks on a terminal, and refuses elsewhere.
pub fn guard(count: usize, most: usize, what: &str) -> Result<(), Usage> {
    if count <= most || ask(&format!("{what} {count} nodes?")) == Some(true) {
        return Ok(());
    }
    Err(Usage(format!(
        "{count} nodes: are more than --max-nodes {most}"
    )))
}

/// Asks a question that is answered by yes or no; anything but yes is no. None: nobody is there to
/// be asked.
pub fn ask(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    let _ = write!(io::stderr().lock(), "{question} [y/N] ");
    // Not through the library's own reader: whoever calls may hold its lock. A terminal gives a line.
    let mut answer = [0; 256];
    let count = nix::unistd::read(io::stdin().as_fd(), &mut answer).unwrap_or(0);
    let answer = answer.get(..count).unwrap_or_default().trim_ascii();
    Some(matches!(answer, b"y" | b"yes"))
}
