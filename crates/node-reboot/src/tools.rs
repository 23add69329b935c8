//! Programs of the system that we call, from fixed places: never from the caller's PATH.

use std::path::PathBuf;

/// Where they are looked for.
const PLACES: [&str; 5] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];

/// The program of that name; one below `NODETOOLS_ROOT` comes first.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let own = PLACES
        .iter()
        .map(|place| program::paths::under(&format!("{place}/{name}")));
    let system = PLACES
        .iter()
        .map(|place| PathBuf::from(format!("{place}/{name}")));
    own.chain(system).find(|path| path.is_file())
}
