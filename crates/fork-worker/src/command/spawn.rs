//! fork and exec, with nothing in between that allocates, locks or could run the parent's code.
#![allow(unsafe_code)] // fork, dup2, execve.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::fstat;
use nix::unistd::{Pid, getpid, getresgid, getresuid};

use super::image::{Image, Pointers};
use crate::child::{die_with, keep_child_statuses, leave, reset_signals};
use crate::descriptors::{above, close_range, listed, pipe};

/// Where the new process belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Our child, leader of a group of its own, killed when we die.
    Group,
    /// Nobody's child, in a session of its own, in `/`. The pid is that of a process in between, which
    /// ends at once.
    Detached,
    /// Our child, in a session of its own, whatever becomes of us; with root's ids if wanted.
    Session {
        /// Real, effective and saved ids, and no other groups.
        root: bool,
    },
}

/// What to start, with which descriptors, and where.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// The program.
    pub(crate) image: &'a Image,
    /// Become 0 to 2, and must be above those.
    pub(crate) streams: [BorrowedFd<'a>; 3],
    /// Becomes 3, and must be above 2.
    pub(crate) fourth: Option<BorrowedFd<'a>>,
    /// Go along under their own numbers, which must be above 3.
    pub(crate) heirlooms: &'a [BorrowedFd<'a>],
    /// Where it belongs.
    pub(crate) place: Place,
}

/// Starts the program; returns once it runs.
pub(crate) fn spawn(start: Start<'_>) -> io::Result<Pid> {
    spawn_noted(start, None)
}

/// As [`spawn`]; but the program begins only when `note` has returned, and never if this process dies
/// before that.
pub(crate) fn spawn_noted(start: Start<'_>, note: Option<&mut dyn FnMut(Pid)>) -> io::Result<Pid> {
    keep_child_statuses();
    let gate = note.is_some().then(pipe).transpose()?;
    let (failure, report) = pipe()?;
    // Not 3: the fourth stream would take its place.
    let report = above(report, 3)?;
    let heirlooms = start.heirlooms.iter().map(heirloom);
    let heirlooms = heirlooms.collect::<io::Result<Vec<_>>>()?;
    // For kernels without close_range: the list is made here, because there nothing may allocate.
    let others = listed().unwrap_or_default();
    let plan = Plan {
        image: start.image,
        pointers: start.image.pointers(),
        streams: start.streams.map(|stream| stream.as_raw_fd()),
        fourth: start.fourth.map(|stream| stream.as_raw_fd()),
        heirlooms,
        others,
        report: report.as_raw_fd(),
        gate: gate
            .as_ref()
            .map(|(reader, writer)| (reader.as_raw_fd(), writer.as_raw_fd())),
        parent: getpid(),
        place: start.place,
    };
    let mut before = SigSet::empty();
    sigprocmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut before),
    )?;
    // SAFETY: the child only makes calls that are safe in a signal handler, then executes or ends.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        become_it(&plan);
    }
    let forked = Errno::result(pid);
    let restored = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    let child = Pid::from_raw(forked?);
    drop(report);
    // Our copy of its end stays open: with no reader left, a child that failed before would be a SIGPIPE.
    if let (Some((_reader, writer)), Some(note)) = (gate, note) {
        note(child);
        // If it is gone already, the report below says why.
        let _ = nix::unistd::write(writer, &[0]);
    }
    // End of file: exec has closed it. Four bytes: the error number.
    let mut number = Vec::new();
    let read = File::from(failure).take(4).read_to_end(&mut number);
    let failed = match (read, <[u8; 4]>::try_from(number)) {
        (Err(error), _) => Some(error),
        (_, Ok(number)) => Some(io::Error::from_raw_os_error(i32::from_ne_bytes(number))),
        _ => restored.err().map(io::Error::from),
    };
    match failed {
        None => Ok(child),
        Some(error) => {
            let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
            let _ = reap(child);
            Err(error)
        }
    }
}

/// Waits for this child and takes its raw wait status.
pub(crate) fn reap(child: Pid) -> io::Result<i32> {
    loop {
        let mut status = 0;
        // SAFETY: writes one int to memory of that size.
        let result = unsafe { libc::waitpid(child.as_raw(), &mut status, 0) };
        match Errno::result(result) {
            Ok(_) => return Ok(status),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// All that the child needs, made before the fork.
struct Plan<'a> {
    image: &'a Image,
    pointers: Pointers<'a>,
    streams: [RawFd; 3],
    fourth: Option<RawFd>,
    heirlooms: Vec<Heirloom>,
    others: Vec<RawFd>,
    report: RawFd,
    /// Where the parent says that it may go on, and the parent's end of that.
    gate: Option<(RawFd, RawFd)>,
    parent: Pid,
    place: Place,
}

/// A descriptor that goes along, and which file it is.
struct Heirloom {
    number: RawFd,
    file: (u64, u64),
}

fn heirloom(fd: &BorrowedFd<'_>) -> io::Result<Heirloom> {
    let number = fd.as_raw_fd();
    if number <= 3 {
        let why = format!("descriptor {number} is too low to be inherited under its own number");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let stat = fstat(fd)?;
    Ok(Heirloom {
        number,
        file: (stat.st_dev, stat.st_ino),
    })
}

fn become_it(plan: &Plan<'_>) -> ! {
    let Err(error) = try_to_become(plan);
    let number = (error as i32).to_ne_bytes();
    // SAFETY: four bytes from an array of four. Nothing is left to do if it fails.
    unsafe { libc::write(plan.report, number.as_ptr().cast(), number.len()) };
    leave(127)
}

fn try_to_become(plan: &Plan<'_>) -> Result<std::convert::Infallible, Errno> {
    reset_signals(libc::SIG_DFL);
    match plan.place {
        Place::Group => {
            // SAFETY: takes numbers only.
            Errno::result(unsafe { libc::setpgid(0, 0) })?;
            die_with(plan.parent).map_err(|_| Errno::last())?;
        }
        Place::Detached => detach()?,
        Place::Session { root } => {
            // SAFETY: takes nothing.
            Errno::result(unsafe { libc::setsid() })?;
            if root {
                become_root()?;
            }
        }
    }
    if let Some((reader, writer)) = plan.gate {
        wait_at(reader, writer)?;
    }
    for (number, stream) in (0..).zip(plan.streams) {
        // SAFETY: takes numbers only; the streams are above 2, so none is overwritten before its turn.
        Errno::result(unsafe { libc::dup2(stream, number) })?;
    }
    if !close_range(3, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC) {
        for fd in &plan.others {
            // SAFETY: takes numbers only. EBADF is the listing's own descriptor.
            unsafe { libc::fcntl(*fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    if let Some(fourth) = plan.fourth {
        // After that: dup2 onto itself changes nothing, so the flag is cleared by hand.
        // SAFETY: takes numbers only; the streams are in their places, and the report is not 3.
        Errno::result(unsafe { libc::dup2(fourth, 3) })?;
        // SAFETY: takes numbers only.
        Errno::result(unsafe { libc::fcntl(3, libc::F_SETFD, 0) })?;
    }
    for heirloom in &plan.heirlooms {
        // A lock that was overwritten by some dup2 above would be let go without a word.
        // SAFETY: only for this call; whether it is open is what the call finds out.
        let stat = fstat(unsafe { BorrowedFd::borrow_raw(heirloom.number) })?;
        if (stat.st_dev, stat.st_ino) != heirloom.file {
            return Err(Errno::EBADF);
        }
        // SAFETY: takes numbers only.
        Errno::result(unsafe { libc::fcntl(heirloom.number, libc::F_SETFD, 0) })?;
    }
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    // SAFETY: three valid pointers; both arrays end with a null and outlive the call.
    unsafe {
        libc::execve(
            plan.image.path.as_ptr(),
            plan.pointers.args.as_ptr(),
            plan.pointers.env.as_ptr(),
        )
    };
    Err(Errno::last())
}

/// Waits for the parent's word. End of file, for which our own copy of its end must go first: it died.
fn wait_at(reader: RawFd, writer: RawFd) -> Result<(), Errno> {
    let mut word = 0_u8;
    // SAFETY: takes a number only.
    unsafe { libc::close(writer) };
    // SAFETY: one byte into one byte. No signal interrupts: all are blocked.
    match Errno::result(unsafe { libc::read(reader, (&raw mut word).cast(), 1) })? {
        0 => Err(Errno::ECHILD),
        _ => Ok(()),
    }
}

/// By the kernel's own calls: the C library's would look for other threads to change.
fn become_root() -> Result<(), Errno> {
    // SAFETY: takes numbers, and no list.
    Errno::result(unsafe {
        libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>())
    })?;
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresgid, 0, 0, 0) })?;
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::syscall(libc::SYS_setresuid, 0, 0, 0) })?;
    let (users, groups) = (getresuid()?, getresgid()?);
    let ids = [users.real, users.effective, users.saved];
    let groups = [groups.real, groups.effective, groups.saved];
    match ids.iter().all(|id| id.is_root()) && groups.iter().all(|id| id.as_raw() == 0) {
        true => Ok(()),
        false => Err(Errno::EPERM),
    }
}

/// The second fork: a session's leader could get a terminal, and its child is nobody's.
fn detach() -> Result<(), Errno> {
    // SAFETY: takes nothing.
    Errno::result(unsafe { libc::setsid() })?;
    // SAFETY: as the first fork.
    match Errno::result(unsafe { libc::fork() })? {
        // SAFETY: a path that ends with a null.
        0 => Errno::result(unsafe { libc::chdir(c"/".as_ptr()) }).map(drop),
        _ => leave(0),
    }
}
