//! The site's word before anything reboots, flashes or writes (design section 6).
//!
//! Executables in a directory (`/etc/xcat-nodetools/veto.d`) are asked in bytewise order of their
//! names. Each gets the program and the action as arguments, the nodes on standard input, one a line,
//! and prints `node: reason` for those that must be left alone. A hook that cannot be run, fails or
//! speaks nonsense vetoes everything: what was to protect nodes must not fail open.

mod hook;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long one hook may take.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Why nothing at all may be done.
#[derive(Debug)]
pub enum VetoError {
    /// The directory cannot be read, or others may write to it.
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A hook failed.
    Hook {
        /// The hook.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// A node name that cannot stand on a line.
    Node(String),
}

/// Asks every hook in `dir` about `action` (of `program`) on `nodes`. The answer has the nodes that
/// must not be touched, each with the first reason given and the name of the hook that gave it. A
/// missing or empty directory, or an empty list, has nothing to ask.
///
/// Names that begin with a dot are skipped; any other entry must be an executable file.
///
/// # Errors
/// Each means: touch no node.
pub fn consult(
    dir: &Path,
    program: &str,
    action: &str,
    nodes: &[String],
) -> Result<BTreeMap<String, String>, VetoError> {
    consult_within(dir, program, action, nodes, DEADLINE)
}

/// [`consult`] with another deadline for each hook.
///
/// # Errors
/// As [`consult`].
pub fn consult_within(
    dir: &Path,
    program: &str,
    action: &str,
    nodes: &[String],
    deadline: Duration,
) -> Result<BTreeMap<String, String>, VetoError> {
    if let Some(node) = nodes.iter().find(|node| !fits_a_line(node)) {
        return Err(VetoError::Node(node.clone()));
    }
    let mut vetoed = BTreeMap::new();
    if nodes.is_empty() {
        return Ok(vetoed);
    }
    let names = hooks(dir).map_err(|error| VetoError::Directory {
        path: dir.to_owned(),
        why: error.to_string(),
    })?;
    for name in names {
        let path = dir.join(&name);
        let answer = hook::ask(&path, [program, action], nodes, deadline);
        let answer = answer.map_err(|why| VetoError::Hook { path, why })?;
        for (node, reason) in answer {
            let reason = format!("{reason} ({})", name.display());
            vetoed.entry(node).or_insert(reason);
        }
    }
    Ok(vetoed)
}

impl fmt::Display for VetoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VetoError::Directory { path, why } | VetoError::Hook { path, why } => {
                write!(f, "{}: {why}", path.display())
            }
            VetoError::Node(node) => write!(f, "{node}: not a node name that a veto hook can read"),
        }
    }
}

impl std::error::Error for VetoError {}

/// Names in the directory, in bytewise order.
fn hooks(dir: &Path) -> io::Result<Vec<OsString>> {
    let meta = match std::fs::metadata(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    // Who can take a hook away can lift its veto.
    hook::only_ours_to_write(&meta).map_err(io::Error::other)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !name.as_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort_unstable_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
    Ok(names)
}

fn fits_a_line(node: &str) -> bool {
    !node.is_empty() && !node.contains(['\n', ':']) && node.trim() == node
}
