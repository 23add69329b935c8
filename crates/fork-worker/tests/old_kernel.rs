//! Kernels without close_range (before 5.9) and pidfd_open (before 5.3): a filter answers ENOSYS.
#![allow(unsafe_code)] // Installing the filter.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::time::{Duration, Instant};

use fork_worker::Job;
use fork_worker::command::{Spec, run};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::prctl;
use support::{descriptors, outcome};

fn main() {
    support::run(&[
        ("children_hold_nothing", children_hold_nothing),
        ("programs_get_nothing", programs_get_nothing),
        (
            "ends_and_deadlines_of_programs",
            ends_and_deadlines_of_programs,
        ),
    ]);
}

/// From now on this process lives on an old kernel.
fn age() {
    let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap(),
        jt,
        jf,
        k,
    };
    let number = |call: libc::c_long| u32::try_from(call).unwrap();
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let answer = libc::BPF_RET | libc::BPF_K;
    let mut filter = [
        // The call's number is the first word.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(equal, 1, 0, number(libc::SYS_close_range)),
        step(equal, 0, 1, number(libc::SYS_pidfd_open)),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).unwrap(),
        filter: filter.as_mut_ptr(),
    };
    prctl::set_no_new_privs().unwrap();
    // SAFETY: the program and its steps live through the call, which copies them.
    let done = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    Errno::result(done).unwrap();
    // SAFETY: takes numbers only.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 1000, 1000, 0) };
    assert_eq!(
        Errno::result(closed),
        Err(Errno::ENOSYS),
        "the filter does not work"
    );
}

/// Open for everybody who forks or executes.
fn careless() -> File {
    let file = File::open("/dev/null").unwrap();
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    file
}

fn children_hold_nothing() {
    age();
    let _files = [careless(), careless()];
    let end = outcome(Job::new(|_| Ok(descriptors().len().to_string())));
    // 0, 1, 2 and two pipes.
    assert_eq!(end, Ok("5".into()));
}

fn programs_get_nothing() {
    age();
    let _files = [careless(), careless()];
    let done = run(&Spec::new("/bin/sh").args(["-c", "ls /proc/$$/fd"])).unwrap();
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "0\n1\n2\n");
}

fn ends_and_deadlines_of_programs() {
    age();
    // Its pipes are closed long before its end, which nothing announces.
    let started = Instant::now();
    let script = "exec >/dev/null 2>&1 </dev/null; sleep 0.2; exit 3";
    let done = run(&Spec::new("/bin/sh").args(["-c", script])).unwrap();
    assert_eq!(done.status.code(), Some(3));
    assert!(started.elapsed() < Duration::from_secs(10));
    let spec = Spec::new("sleep")
        .arg("1000")
        .deadline(Duration::from_millis(100));
    assert!(run(&spec).unwrap().timed_out);
}
