//! The two files of a node that xCAT's rflash keeps too: its log, and the lock that keeps two flashes
//! of one node apart.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

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
/// If the file cannot be made.
pub fn lock(node: &str) -> io::Result<Option<NodeLock>> {
    let directory = program::paths::under("/var/lock/xcat");
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&directory)?;
    let path: PathBuf = directory.join(format!("rflash_{node}"));
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
