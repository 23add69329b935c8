//! What only an ioctl can ask of a block device.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Linux' `BLKRRPART`: `_IO(0x12, 95)`.
const REREAD_PARTITIONS: u32 = 0x125f;

/// Makes the kernel forget the disk's partitions and read its table again.
///
/// # Errors
/// `EBUSY` if a partition is in use, `EINVAL` for what can have no partitions, `ENOTTY` for a file.
pub fn reread_partitions(disk: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument and the kernel writes nowhere.
    let result = unsafe { libc::ioctl(disk.as_raw_fd(), REREAD_PARTITIONS as _) };
    Errno::result(result)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn a_file_has_no_partitions() {
        let file = tempfile::tempfile().unwrap();
        let error = super::reread_partitions(&file).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }
}
