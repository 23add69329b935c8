//! Descriptors that came through exec.
//!
//! A number in an argument or a variable proves nothing: it may be closed, read-only, or name what
//! this program has opened itself in the meantime. These functions are for the first lines of main,
//! before anything else is opened.
#![allow(unsafe_code)] // Taking a descriptor over by its number is what this module is for.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::{FileStat, SFlag, fstat};

/// Takes over a descriptor to write to: `--status-fd N` and the like. It is close-on-exec from now
/// on. Of 1 and 2, which stay what they are, a duplicate is returned.
///
/// # Errors
/// `InvalidInput`, with the number, if it is 0 or negative, not open, not for writing, close-on-exec
/// already (so it was opened here, or adopted before), or neither pipe, regular file, socket nor
/// character device.
pub fn adopt_writable(fd: RawFd) -> io::Result<OwnedFd> {
    let (borrowed, stat, flags) = look(fd)?;
    let access = flags & OFlag::O_ACCMODE;
    if flags.contains(OFlag::O_PATH) || (access != OFlag::O_WRONLY && access != OFlag::O_RDWR) {
        return refuse(fd, "is not open for writing");
    }
    match kind(&stat) {
        SFlag::S_IFIFO | SFlag::S_IFREG | SFlag::S_IFSOCK | SFlag::S_IFCHR => {}
        _ => return refuse(fd, "is no pipe, file, socket or terminal"),
    }
    take(fd, borrowed)
}

/// Takes over the pipe of a caller with less privilege (design section 7): a FIFO, for writing only,
/// that belongs to user `owner`. The descriptor is close-on-exec from now on.
///
/// # Errors
/// As [`adopt_writable`]; also for 1 and 2.
pub fn adopt_pipe(fd: RawFd, owner: u32) -> io::Result<OwnedFd> {
    if fd <= 2 {
        return refuse(fd, "is a standard stream");
    }
    let (borrowed, stat, flags) = look(fd)?;
    if kind(&stat) != SFlag::S_IFIFO {
        return refuse(fd, "is no pipe");
    }
    if flags & OFlag::O_ACCMODE != OFlag::O_WRONLY || flags.contains(OFlag::O_PATH) {
        return refuse(fd, "is not the writing end of a pipe");
    }
    if stat.st_uid != owner {
        return refuse(fd, "belongs to somebody else");
    }
    take(fd, borrowed)
}

/// Takes over the pipe whose number a variable holds, to a number of its own: the old one is closed
/// again, and the variable is gone from our environment, so that no child finds either. `None`: there
/// is no such variable.
///
/// # Errors
/// `InvalidInput` if the value is not exactly a number from 3 on, or the variable stands there more
/// than once; else as [`adopt_pipe`]. The variable is gone in any case.
pub fn adopt_pipe_of(variable: &str, owner: u32) -> io::Result<Option<OwnedFd>> {
    let values = std::env::vars_os().filter(|(name, _)| name == variable);
    let values: Vec<_> = values.map(|(_, value)| value).collect();
    // SAFETY: for the first lines of main: this program has one thread yet.
    unsafe { std::env::remove_var(variable) };
    let number = match &values[..] {
        [] => return Ok(None),
        [value] => value.to_str().and_then(number),
        _ => None,
    };
    let Some(number) = number else {
        let what = format!("{variable}: is no number of a descriptor");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    };
    let pipe = adopt_pipe(number, owner)?;
    pipe.try_clone().map(Some)
}

/// Digits alone, without a leading zero, above the standard streams.
fn number(text: &str) -> Option<RawFd> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|number| plain && *number > 2)
}

/// Takes over the listening socket that a service manager passes (descriptor 3, `LISTEN_PID` and
/// `LISTEN_FDS`, as sd_listen_fds(3) has it). `None`: none was passed to this process.
///
/// # Errors
/// `InvalidInput` if more than one descriptor was passed, or what was passed does not listen.
pub fn adopt_listener() -> io::Result<Option<TcpListener>> {
    const FIRST: RawFd = 3;
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(None);
    }
    match number("LISTEN_FDS") {
        None | Some(0) => return Ok(None),
        Some(1) => {}
        Some(_) => return refuse(FIRST, "is not the only one that was passed"),
    }
    let (borrowed, stat, _) = look(FIRST)?;
    let listens = kind(&stat) == SFlag::S_IFSOCK
        && getsockopt(&borrowed, sockopt::AcceptConn).unwrap_or(false);
    if !listens {
        return refuse(FIRST, "is no listening socket");
    }
    take(FIRST, borrowed).map(|fd| Some(TcpListener::from(fd)))
}

/// Opens `/dev/null` on those of 0 to 2 that are closed. Otherwise the next file that is opened
/// becomes "standard error" and gets our messages.
///
/// # Errors
/// If `/dev/null` cannot be opened.
pub fn open_standard_streams() -> io::Result<()> {
    loop {
        let null = OwnedFd::from(
            std::fs::File::options()
                .read(true)
                .write(true)
                .open("/dev/null")?,
        );
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        let fd = null.as_raw_fd();
        // The number is a standard stream now, and those are never closed.
        std::mem::forget(null);
        // SAFETY: just opened, and open for the rest of this process' life.
        let null = unsafe { BorrowedFd::borrow_raw(fd) };
        fcntl(null, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
}

type Found = (BorrowedFd<'static>, FileStat, OFlag);

fn look(fd: RawFd) -> io::Result<Found> {
    if fd <= 0 {
        return refuse(fd, "is not a number of a descriptor to write to");
    }
    // SAFETY: the next call finds out whether it is open; while this borrow lives nothing is closed.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let Ok(flags) = fcntl(borrowed, FcntlArg::F_GETFL) else {
        return refuse(fd, "is not open");
    };
    Ok((borrowed, fstat(borrowed)?, OFlag::from_bits_retain(flags)))
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits())
}

fn take(fd: RawFd, borrowed: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    if fd <= 2 {
        return borrowed.try_clone_to_owned();
    }
    let flags = FdFlag::from_bits_retain(fcntl(borrowed, FcntlArg::F_GETFD)?);
    if flags.contains(FdFlag::FD_CLOEXEC) {
        return refuse(fd, "was not inherited");
    }
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: open, and without close-on-exec, which everything has that this program opens: so it
    // came through exec and has no owner here. A second adoption is refused by the same test.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn refuse<T>(fd: RawFd, why: &str) -> io::Result<T> {
    let what = format!("descriptor {fd} {why}");
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}
