//! How a range is read, and what comes out.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::Warning;

/// More names than this are never made, whatever the options say.
pub const HARD_LIMIT: usize = 1_000_000;

/// How a range is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names that are no nodes are missed; otherwise they are taken as they stand.
    pub verify: bool,
    /// More names than this are an error; at most [`HARD_LIMIT`].
    pub max_nodes: usize,
    /// Takes out what [`crate::Names::excluded`] says.
    pub honor_excludenodes: bool,
    /// Names are only texts: groups are not looked up.
    pub generic: bool,
    /// What would be a [`Warning`] is an error.
    pub strict: bool,
    /// What a number alone is put behind; xCAT takes it from `XCAT_NODE_PREFIX`.
    pub prefix: String,
    /// What is put behind a number alone (`XCAT_NODE_SUFFIX`).
    pub suffix: String,
    /// Where `^FILE` is looked for if its name is relative; none: no file may be read.
    pub files: Option<PathBuf>,
}

/// What a range says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// The nodes, bytewise sorted.
    pub nodes: BTreeSet<String>,
    /// What could not be resolved, in order, repeats kept. xCAT's daemon refuses a command for any.
    pub missed: Vec<String>,
    /// Parts whose meaning is an accident of xCAT's, each once; of very many only the first.
    pub warnings: Vec<Warning>,
}

impl Default for Options {
    fn default() -> Options {
        let of = |name, default: &str| std::env::var(name).unwrap_or(default.to_string());
        Options {
            verify: true,
            max_nodes: HARD_LIMIT,
            honor_excludenodes: true,
            generic: false,
            strict: false,
            prefix: of("XCAT_NODE_PREFIX", "node"),
            suffix: of("XCAT_NODE_SUFFIX", ""),
            files: Some(PathBuf::from(".")),
        }
    }
}
