//! The two files of a node that xCAT's rflash keeps too: its log, and the lock that keeps two flashes
//! of one node apart.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Appends lines to `/var/log/xcat/rflash/NODE.log`. A log is never a reason to fail.
pub fn log(node: &str, text: &str) {
    let directory = program::paths::under("/var/log/xcat/rflash");
    let _ = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&directory);
    let mut options = OpenOptions::new();
    options
        .create(true)
        .append(true)
        .mode(0o644)
        .custom_flags(nix::libc::O_NOFOLLOW);
    if let Ok(mut file) = options.open(directory.join(format!("{node}.log"))) {
        let _ = file.write_all(format!("{}\n", program::escape(text)).as_bytes());
    }
}

/// The lock of a node; given back when dropped, or when the process ends.
#[derive(Debug)]
pub struct NodeLock(#[allow(dead_code)] File);

/// Takes `/var/lock/xcat/rflash_NODE`, as xCAT's own rflash does: `flock`, without waiting, the pid
/// inside. None if somebody flashes the node now.
///
/// # Errors
/// If the file cannot be made; names it.
pub fn lock(node: &str) -> io::Result<Option<NodeLock>> {
    lock_in(&program::paths::under("/var/lock/xcat"), node)
}

fn lock_in(directory: &Path, node: &str) -> io::Result<Option<NodeLock>> {
    make(directory).map_err(|error| naming(directory, &error))?;
    let path = directory.join(format!("rflash_{node}"));
    take(&path).map_err(|error| naming(&path, &error))
}

fn take(path: &Path) -> io::Result<Option<NodeLock>> {
    let mut options = OpenOptions::new();
    options
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o644)
        .custom_flags(nix::libc::O_NOFOLLOW);
    let mut file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.write_all(std::process::id().to_string().as_bytes())?;
            Ok(Some(NodeLock(file)))
        }
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// `/var/lock` is a link to `/run/lock`, which is not there where nobody has made it since the boot: in a
/// container without an init.
fn make(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o755);
    if let Some(above) = directory.parent()
        && let Ok(target) = std::fs::read_link(above)
    {
        builder.create(above.with_file_name("").join(target))?;
    }
    builder.create(directory)
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::lock_in;

    #[test]
    fn a_lock_behind_a_link_that_leads_nowhere_yet() {
        for target in ["../run/lock", "ROOT/run/lock"] {
            let root = tempfile::tempdir().unwrap();
            let target = target.replace("ROOT", root.path().to_str().unwrap());
            std::fs::create_dir_all(root.path().join("var")).unwrap();
            symlink(target, root.path().join("var/lock")).unwrap();
            let directory = root.path().join("var/lock/xcat");
            let held = lock_in(&directory, "n1").unwrap();
            assert!(held.is_some());
            assert!(lock_in(&directory, "n1").unwrap().is_none());
            assert!(root.path().join("run/lock/xcat/rflash_n1").is_file());
        }
    }

    #[test]
    fn what_cannot_be_made_is_named() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("lock"), "").unwrap();
        let directory = root.path().join("lock/xcat");
        let error = lock_in(&directory, "n1").unwrap_err().to_string();
        assert!(error.contains("lock/xcat: "), "{error}");
    }
}
