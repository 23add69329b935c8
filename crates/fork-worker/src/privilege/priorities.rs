//! How the kernel treats this process beside others.
#![allow(unsafe_code)] // setpriority, sched_setscheduler and setitimer have no safe form.

use std::io;

use nix::errno::Errno;

/// Nice value, scheduling class, and how readily the kernel kills it for memory.
pub(super) fn reset() -> io::Result<()> {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is this process; the parameters outlive the call.
    Errno::result(unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &param) })?;
    // SAFETY: takes numbers only; 0 is this process.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 0) })?;
    // Best effort: a container's root may not undo what a service manager set.
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    Ok(())
}

/// Timers survive exec; the last one to ring would be an unexplained death.
pub(super) fn stop_timers() -> io::Result<()> {
    for which in [libc::ITIMER_REAL, libc::ITIMER_VIRTUAL, libc::ITIMER_PROF] {
        // SAFETY: all zeroes is a valid value, and means "off".
        let off: libc::itimerval = unsafe { std::mem::zeroed() };
        // SAFETY: the value outlives the call; the old one is not asked for.
        Errno::result(unsafe { libc::setitimer(which, &off, std::ptr::null_mut()) })?;
    }
    Ok(())
}
