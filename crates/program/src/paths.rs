//! Where files live. `NODETOOLS_ROOT` puts a directory in front of all of them, for demonstrations,
//! tests and chroots; a privileged entry never passes it on.

use std::path::{Path, PathBuf};

/// The directory of all FIFOs: one per waiting process, named by its pid.
pub fn run_dir() -> PathBuf {
    under("/var/run/getadapter")
}

/// What must survive a reboot: spool, pins, journals, the listener's key.
pub fn state_dir() -> PathBuf {
    under("/var/lib/xcat-nodetools")
}

/// A site's own programs for us: the veto hooks.
pub fn config_dir() -> PathBuf {
    under("/etc/xcat-nodetools")
}

/// What a site sets once for all programs; see [`crate::Site`].
pub fn site_file() -> PathBuf {
    under("/etc/xcat-nodetools.conf")
}

/// `path` (absolute) under `NODETOOLS_ROOT`, or as it is.
pub fn under(path: &str) -> PathBuf {
    match std::env::var_os("NODETOOLS_ROOT") {
        Some(root) if !root.is_empty() => Path::new(&root).join(path.trim_start_matches('/')),
        _ => PathBuf::from(path),
    }
}

/// xCAT's installation directory (`XCATROOT`, else `/opt/xcat`).
pub fn xcat_root() -> PathBuf {
    std::env::var_os("XCATROOT")
        .filter(|root| !root.is_empty())
        .map_or_else(|| PathBuf::from("/opt/xcat"), PathBuf::from)
}

/// One of xCAT's own commands, if xCAT is installed: `bin`, then `sbin` under its root. Never taken
/// from PATH, where a program of ours may have the same name.
pub fn xcat_command(name: &str) -> Option<PathBuf> {
    let root = xcat_root();
    ["bin", "sbin"]
        .iter()
        .map(|dir| root.join(dir).join(name))
        .find(|path| path.is_file())
}
