//! The fork itself, and what a child does before anything else.
#![allow(unsafe_code)] // fork, sigaction, _exit: the reason why this crate exists.

use std::io;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

/// Exit status of a child that could not even begin, or could not send its verdict.
pub(crate) const NOT_SAID: i32 = 125;

/// Forks. The child runs `body` on a clean slate and ends with what it returns; it never comes back
/// to the caller's code. The parent gets the pid.
///
/// # Errors
/// If this process has more than one thread (checked in every build: a lock that another thread
/// holds would stay locked in the child for ever), or the system refuses.
pub(crate) fn fork_child(keep: &[RawFd], body: impl FnOnce() -> i32) -> io::Result<Pid> {
    one_thread()?;
    let parent = getpid();
    // A handler of the parent must not run in the child: signal-hook's would write into the pipe
    // that both share.
    let mut before = SigSet::empty();
    sigprocmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut before),
    )?;
    // SAFETY: this process has one thread, so no lock is held that the child could wait for.
    let forked = unsafe { fork() };
    if let Ok(ForkResult::Child) = forked {
        let status = match settle(parent, keep) {
            Ok(()) => body(),
            Err(_) => NOT_SAID,
        };
        leave(status);
    }
    let restored = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    match forked? {
        ForkResult::Parent { child } => {
            restored?;
            Ok(child)
        }
        ForkResult::Child => leave(NOT_SAID),
    }
}

/// Ends this process without running destructors, exit handlers or flushing buffers that are copies
/// of the parent's.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: takes a number; the process is gone afterwards.
    unsafe { libc::_exit(status) }
}

/// Asks the kernel for SIGKILL when the parent dies, and ends at once if it already has.
pub(crate) fn die_with(parent: Pid) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        leave(NOT_SAID);
    }
    Ok(())
}

/// Puts every signal to its default, except: HUP, INT and QUIT stay ignored where the caller ignored
/// them (nohup and a shell's background jobs mean it), and PIPE becomes `pipe`.
pub(crate) fn reset_signals(pipe: libc::sighandler_t) {
    for number in 1..=64 {
        if matches!(number, libc::SIGHUP | libc::SIGINT | libc::SIGQUIT) && is_ignored(number) {
            continue;
        }
        let action = match number {
            libc::SIGPIPE => pipe,
            _ => libc::SIG_DFL,
        };
        // Fails for KILL, STOP and the C library's own two signals, which is as it should be.
        set_action(number, action);
    }
}

/// Throws away what is pending and puts every signal to its default, except that PIPE is ignored, as
/// Rust has it: a reader that left is an error of a write, no death. For a program whose caller may
/// have set them all.
pub(crate) fn forget_signals() {
    for number in 1..=64 {
        // Ignoring is what discards it.
        set_action_by_kernel(number, libc::SIG_IGN);
        if number != libc::SIGPIPE {
            set_action_by_kernel(number, libc::SIG_DFL);
        }
    }
}

/// If whoever started us ignores SIGCHLD (some Perl programs do), the kernel reaps our children by
/// itself and their exit statuses are lost. A handler is left alone: it does no such thing.
pub(crate) fn keep_child_statuses() {
    let Some(action) = action(libc::SIGCHLD) else {
        return;
    };
    if action.sa_sigaction == libc::SIG_IGN || action.sa_flags & libc::SA_NOCLDWAIT != 0 {
        set_action(libc::SIGCHLD, libc::SIG_DFL);
    }
}

/// Refuses if this process has several threads.
fn one_thread() -> io::Result<()> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|error| match error.kind() {
        // Others (no free descriptor, say) keep their number: the caller acts on it.
        io::ErrorKind::NotFound => io::Error::new(
            io::ErrorKind::NotFound,
            "/proc is not mounted: cannot see whether there are other threads",
        ),
        _ => error,
    })?;
    let threads = tasks.count();
    if threads == 1 {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "refused to fork beside other threads ({threads} in this process)"
    )))
}

/// With all signals still blocked: nothing of the parent's may be left when they are let in.
fn settle(parent: Pid, keep: &[RawFd]) -> io::Result<()> {
    reset_signals(libc::SIG_IGN);
    die_with(parent)?;
    crate::descriptors::close_all_but(keep)?;
    // Children hold passwords; a core file must not.
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, 0, hard)?;
    // Where panics unwind (tests), they would run destructors that are copies of the parent's.
    let parents_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        parents_hook(info);
        std::process::abort();
    }));
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
    Ok(())
}

fn is_ignored(number: i32) -> bool {
    action(number).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN)
}

fn action(number: i32) -> Option<libc::sigaction> {
    let mut old = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: changes nothing, and writes one sigaction to memory of that size.
    let result = unsafe { libc::sigaction(number, std::ptr::null(), old.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid sigaction, and so is what the kernel wrote.
    (Errno::result(result).is_ok()).then(|| unsafe { old.assume_init() })
}

/// The C library refuses its own two signals (32 and 33), which a caller can have set all the same.
fn set_action_by_kernel(number: i32, disposition: libc::sighandler_t) {
    // The kernel's form begins with the disposition; no flags, no mask; no form of it is longer.
    let mut new = [0_usize; 20];
    new[0] = disposition;
    // SAFETY: only SIG_DFL and SIG_IGN come here, so no code of ours runs in a signal's context; the
    // kernel reads fewer bytes than there are. It fails for KILL and STOP.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            number,
            new.as_ptr(),
            std::ptr::null_mut::<libc::c_void>(),
            8_usize,
        )
    };
}

fn set_action(number: i32, disposition: libc::sighandler_t) {
    // SAFETY: all zeroes is a valid sigaction: empty mask, no flags.
    let mut new: libc::sigaction = unsafe { std::mem::zeroed() };
    new.sa_sigaction = disposition;
    // SAFETY: only SIG_DFL and SIG_IGN come here, so no code of ours runs in a signal's context.
    unsafe { libc::sigaction(number, &new, std::ptr::null_mut()) };
}
