//! `--max-nodes`: a typing error must not reboot a cluster.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::front::Usage;

/// Passes if `count` is at most `most`; else asks on a terminal, and refuses elsewhere.
pub fn guard(count: usize, most: usize, what: &str) -> Result<(), Usage> {
    if count <= most {
        return Ok(());
    }
    let refusal = Usage(format!("{count} nodes: are more than --max-nodes {most}"));
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(refusal);
    }
    let _ = write!(io::stderr().lock(), "{what} {count} nodes? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "yes") {
        Ok(())
    } else {
        Err(refusal)
    }
}
