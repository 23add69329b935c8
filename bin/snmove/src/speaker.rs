//! What is said, and where.

use anyhow::Context;
use program::{Output, complain, escape};
use service_node_move::Said;

use crate::NAME;

/// Standard output, and what is left out.
pub(crate) struct Speaker {
    pub(crate) out: Output,
    verbose: bool,
}

impl Speaker {
    pub(crate) fn new(verbose: bool) -> Speaker {
        Speaker {
            out: Output::new(),
            verbose,
        }
    }

    /// What a step has to say.
    pub(crate) fn say(&mut self, said: Said) {
        match said {
            Said::Info(text) => self.out.line(&escape(&text)),
            Said::Failed(text) => complain(NAME, &text),
            Said::Remark(text) if self.verbose => complain(NAME, &text),
            Said::Remark(_) => {}
        }
    }

    /// All of it is out.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        self.out.finish().context("standard output")
    }
}

/// As a noderange.
pub(crate) fn fold(nodes: &[String]) -> String {
    noderange::fold(nodes.iter().map(String::as_str))
}
