//! Descriptors: pipes that never stand in for a closed standard stream, and closing all the others.
#![allow(unsafe_code)] // close_range and closing by number have no safe form.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Pid, pipe2};

/// A pipe, close-on-exec, both ends above 2. In a process that was started with a standard stream
/// closed, a plain pipe could become "standard error" and get somebody's messages.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((above_2(reader)?, above_2(writer)?))
}

/// The same file at a number above 2.
pub(crate) fn above_2(fd: OwnedFd) -> io::Result<OwnedFd> {
    above(fd, 2)
}

/// The same file at a number above `number`, close-on-exec if it had to move. For descriptors that must
/// not be overwritten when a program gets its standard streams.
///
/// # Errors
/// If no descriptor is free there.
pub fn above(fd: OwnedFd, number: RawFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > number {
        return Ok(fd);
    }
    let moved = fcntl(&fd, FcntlArg::F_DUPFD_CLOEXEC(number + 1))?;
    // SAFETY: fcntl has just made this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}

/// Makes reads and writes return at once. The flag belongs to the open file, so only for files that
/// no other process has.
pub(crate) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Closes everything above 2 but `keep`. Only for a process that owns all its descriptors by number:
/// a child straight after its fork.
pub(crate) fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd > 2).collect();
    keep.sort_unstable();
    keep.dedup();
    let mut first = 3;
    for fd in &keep {
        if *fd > first && !close_range(first, *fd - 1, 0) {
            return close_listed(&keep);
        }
        first = *fd + 1;
    }
    if close_range(first, RawFd::MAX, 0) {
        return Ok(());
    }
    close_listed(&keep)
}

/// True if the kernel has close_range (5.9) and no filter forbids it.
pub(crate) fn close_range(first: RawFd, last: RawFd, flags: libc::c_uint) -> bool {
    // SAFETY: takes numbers only. The callers own what they close.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) == 0 }
}

/// A descriptor that becomes readable when our child `pid` ends; None before kernel 5.3.
pub(crate) fn pidfd(pid: Pid) -> Option<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just made this descriptor, close-on-exec; nobody else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Numbers of the open descriptors above 2.
pub(crate) fn listed() -> io::Result<Vec<RawFd>> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        if let Some(fd) = entry?.file_name().to_str().and_then(|n| n.parse().ok()) {
            open.push(fd);
        }
    }
    // The listing's own descriptor is among them and closed by now.
    open.retain(|fd| *fd > 2);
    Ok(open)
}

fn close_listed(keep: &[RawFd]) -> io::Result<()> {
    for fd in listed()? {
        if keep.binary_search(&fd).is_err() {
            // SAFETY: a child straight after its fork; whatever owned the number in the parent's
            // memory is never used or dropped here. EBADF (the listing's own) does no harm.
            unsafe { libc::close(fd) };
        }
    }
    Ok(())
}
