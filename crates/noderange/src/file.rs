//! A file of names.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// The text of a regular file of at most `limit` bytes. A FIFO would hang, a device may do anything:
/// neither is opened, nor waited for if it takes the file's place.
pub(crate) fn read(path: &Path, limit: usize) -> Result<String, String> {
    const IRREGULAR: &str = "not a regular file";
    let text = |error: std::io::Error| error.to_string();
    if !path.metadata().map_err(text)?.is_file() {
        return Err(IRREGULAR.into());
    }
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)
        .map_err(text)?;
    if !file.metadata().map_err(text)?.is_file() {
        return Err(IRREGULAR.into());
    }
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(text)?;
    if bytes.len() > limit {
        return Err(format!("longer than {limit} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "not text".into())
}
