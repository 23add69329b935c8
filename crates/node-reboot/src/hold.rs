//! One reboot at a time for each node of this host's runs.
//!
//! A lock of the kernel's on one byte of one file, at an offset made from the node's name: it ends with
//! the process whatever ends that, needs no descriptor per node, and the kernel says whose it is.

use std::fs::File;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use node_report::PrivateDir;

/// In the directory of FIFOs, which is root's alone.
const NAME: &str = "nodereboot.lock";

/// The locks of this process. They belong to the process: it must open the file once only.
#[derive(Debug)]
pub(crate) struct Holds {
    file: File,
}

impl Holds {
    /// Opens the file.
    pub(crate) fn open() -> Result<Holds, String> {
        let directory = PrivateDir::open(&program::paths::run_dir()).map_err(|e| e.to_string())?;
        let file = directory
            .open_file(NAME, OFlag::O_RDWR | OFlag::O_CREAT, 0o600)
            .map_err(|why| directory.error(NAME, why).to_string())?;
        Ok(Holds { file })
    }

    /// Takes a node; else who has it.
    pub(crate) fn take(&self, node: &str) -> Result<(), String> {
        match self.set(node, libc::F_WRLCK) {
            Ok(()) => Ok(()),
            Err(Errno::EACCES | Errno::EAGAIN) => Err(self.holder(node)),
            Err(why) => Err(format!("{NAME}: {why}")),
        }
    }

    /// Gives a node back.
    pub(crate) fn release(&self, node: &str) {
        // It ends with this process in any case.
        let _ = self.set(node, libc::F_UNLCK);
    }

    fn set(&self, node: &str, kind: i32) -> Result<(), Errno> {
        fcntl(self.file.as_fd(), FcntlArg::F_SETLK(&lock(node, kind))).map(drop)
    }

    fn holder(&self, node: &str) -> String {
        let mut lock = lock(node, libc::F_WRLCK);
        match fcntl(self.file.as_fd(), FcntlArg::F_GETLK(&mut lock)) {
            Ok(_) if lock.l_pid > 0 => {
                format!("is being rebooted by process {}", lock.l_pid)
            }
            _ => "is being rebooted by another process".into(),
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // The constants are small; their type differs.
fn lock(node: &str, kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: offset(node),
        l_len: 1,
        l_pid: 0,
    }
}

/// FNV-1a, 62 bits of it: stable between builds, and two names meet once in 10^18.
fn offset(node: &str) -> i64 {
    let hash = node.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    i64::try_from(hash >> 2).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::offset;

    #[test]
    fn offsets_are_the_same_for_ever() {
        // The published value for "a".
        assert_eq!(
            offset("a"),
            0xaf63_dc4c_8601_ec8c_u64 as i64 >> 2 & i64::MAX >> 1
        );
        assert_ne!(offset("n1"), offset("n2"));
        assert!(offset("node1000") >= 0);
    }
}
