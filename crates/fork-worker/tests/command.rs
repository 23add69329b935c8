//! Other programs, run and started.
#![allow(unsafe_code)] // A descriptor by number.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use fork_worker::command::{Spec, run, start_detached};
use fork_worker::{Crew, Job, Limits, What};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::Signal;
use nix::unistd::pipe;
use support::{LONG, children, descriptors, hang, ignore, is_alive};

fn main() {
    support::run(&[
        ("output_and_status_come_back", output_and_status_come_back),
        (
            "input_is_fed_while_output_is_drained",
            input_is_fed_while_output_is_drained,
        ),
        ("input_need_not_be_read", input_need_not_be_read),
        ("output_is_bounded", output_is_bounded),
        ("what_cannot_be_started", what_cannot_be_started),
        ("the_environment", the_environment),
        (
            "the_group_dies_at_the_deadline",
            the_group_dies_at_the_deadline,
        ),
        ("stubborn_groups_die_as_well", stubborn_groups_die_as_well),
        (
            "an_endless_writer_has_its_deadline",
            an_endless_writer_has_its_deadline,
        ),
        (
            "leftover_processes_delay_nothing",
            leftover_processes_delay_nothing,
        ),
        ("no_descriptor_leaks", no_descriptor_leaks),
        ("signals_are_default", signals_are_default),
        ("closed_standard_streams", closed_standard_streams),
        ("works_beside_a_thread", works_beside_a_thread),
        ("dies_with_us", dies_with_us),
        ("detached_outlives_us", detached_outlives_us),
        ("detached_that_cannot_start", detached_that_cannot_start),
    ]);
}

fn sh(script: &str) -> Spec {
    Spec::new("/bin/sh").args(["-c", script])
}

fn output_and_status_come_back() {
    let before = descriptors();
    let done = run(&sh("echo out; echo err >&2; exit 7")).unwrap();
    assert_eq!(done.status.code(), Some(7));
    assert_eq!(
        (&*done.stdout, &*done.stderr),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert!(!done.timed_out && !done.truncated);
    let done = run(&sh("kill -SEGV $$")).unwrap();
    assert_eq!(done.status.signal(), Some(11));
    // By name, through PATH.
    assert!(run(&Spec::new("true")).unwrap().status.success());
    assert_eq!(descriptors(), before);
    assert_eq!(children(), [0; 0]);
}

fn input_is_fed_while_output_is_drained() {
    // Far more than the pipes hold, in both directions.
    let text = "a line of text\n".repeat(200_000);
    let mut spec = Spec::new("cat").stdin(text.as_str());
    spec.output_limit = text.len();
    let done = run(&spec).unwrap();
    assert_eq!(done.stdout, text.as_bytes());
    assert!(!done.truncated);
    assert_eq!(run(&Spec::new("cat")).unwrap().stdout, b"");
}

fn input_need_not_be_read() {
    let done = run(&Spec::new("true").stdin("x".repeat(1 << 20))).unwrap();
    assert!(done.status.success());
}

fn output_is_bounded() {
    let mut spec = sh("head -c 300000 /dev/zero; echo done >&2");
    spec.output_limit = 1000;
    let done = run(&spec).unwrap();
    assert!(done.status.success() && done.truncated);
    assert_eq!(done.stdout.len(), 1000);
    assert_eq!(done.stderr, b"done\n");
}

fn what_cannot_be_started() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").unwrap();
    let cases = [
        ("/no/such/program".as_ref(), ErrorKind::NotFound),
        ("no-such-program".as_ref(), ErrorKind::NotFound),
        (plain.as_path(), ErrorKind::PermissionDenied),
        (dir.path(), ErrorKind::PermissionDenied),
    ];
    for (program, kind) in cases {
        let error = run(&Spec::new(program)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            error.to_string().contains(program.to_str().unwrap()),
            "{error}"
        );
    }
    let error = run(&Spec::new("true").arg("a\0b")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(children(), [0; 0]);
}

fn the_environment() {
    let mut spec = sh("echo \"$ONE ${PATH-unset}\"").env("ONE", "1");
    spec.env.push(("PATH".into(), None));
    // A shell that finds no PATH makes one up, but does not export it.
    let done = run(&spec).unwrap();
    assert!(done.stdout.starts_with(b"1 "));
    let mut spec = Spec::new("env").env("ONE", "1").env("TWO", "2");
    spec.env_clear = true;
    assert_eq!(run(&spec).unwrap().stdout, b"ONE=1\nTWO=2\n");
}

/// Runs a script that first says its pid and then outstays its time; how long it took.
fn timed_out(script: &str, grace: Duration) -> Duration {
    let mut spec = sh(script).deadline(Duration::from_millis(200));
    spec.grace = grace;
    let started = Instant::now();
    let done = run(&spec).unwrap();
    assert!(done.timed_out, "{done:?}");
    assert!(!done.status.success());
    let group = String::from_utf8(done.stdout).unwrap();
    let group: i32 = group.trim().parse().unwrap();
    // Nobody is left in it, not even a moment later.
    while nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), None).is_ok() {
        assert!(started.elapsed() < LONG, "the group lives on");
        std::thread::yield_now();
    }
    assert_eq!(children(), [0; 0]);
    started.elapsed()
}

fn the_group_dies_at_the_deadline() {
    let took = timed_out("echo $$; sleep 1000 & sleep 1000 & wait", LONG);
    assert!(took < LONG, "TERM did not do");
}

fn stubborn_groups_die_as_well() {
    let grace = Duration::from_millis(100);
    timed_out("trap '' TERM; echo $$; while :; do sleep 1000; done", grace);
    // The leader goes, its helper does not.
    timed_out("(trap '' TERM; exec sleep 1000) & echo $$; wait", grace);
}

fn an_endless_writer_has_its_deadline() {
    let spec = Spec::new("yes").deadline(Duration::from_millis(200));
    let done = run(&spec).unwrap();
    assert!(done.timed_out && done.truncated);
    assert_eq!(done.stdout.len(), spec.output_limit);
}

fn leftover_processes_delay_nothing() {
    let started = Instant::now();
    let done = run(&sh("echo $$; sleep 1000 & echo bye")).unwrap();
    assert!(done.status.success() && !done.timed_out);
    assert!(started.elapsed() < Duration::from_secs(30));
    let text = String::from_utf8(done.stdout).unwrap();
    let (group, rest) = text.split_once('\n').unwrap();
    assert_eq!(rest, "bye\n");
    // It is the script's to leave it, and ours to clean up here.
    let group = nix::unistd::Pid::from_raw(group.parse().unwrap());
    nix::sys::signal::killpg(group, Signal::SIGKILL).unwrap();
}

fn no_descriptor_leaks() {
    let (reader, writer) = pipe().unwrap();
    for fd in [&reader, &writer] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    }
    let done = run(&sh("ls /proc/$$/fd")).unwrap();
    // dash opens nothing for -c.
    assert_eq!(
        done.stdout,
        b"0\n1\n2\n",
        "{:?}",
        String::from_utf8_lossy(&done.stdout)
    );
}

fn signals_are_default() {
    for which in [
        Signal::SIGCHLD,
        Signal::SIGPIPE,
        Signal::SIGTERM,
        Signal::SIGUSR1,
    ] {
        ignore(which);
    }
    for which in [Signal::SIGHUP, Signal::SIGINT] {
        ignore(which);
    }
    nix::sys::signal::SigSet::all().thread_block().unwrap();
    let done = run(&Spec::new("grep").args(["Sig[BI]", "/proc/self/status"])).unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let mask = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap() & !(3 << 31)
    };
    assert_eq!(mask("SigBlk:"), 0);
    // HUP and INT as the caller left them; QUIT may be either.
    assert_eq!(mask("SigIgn:") & !4, 0b11);
    let done = run(&sh("kill -PIPE $$")).unwrap();
    assert_eq!(done.status.signal(), Some(13));
}

fn closed_standard_streams() {
    for fd in 0..2 {
        // SAFETY: nothing in this process uses them again.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    let done = run(&sh("cat; echo err >&2").stdin("in")).unwrap();
    assert_eq!((&*done.stdout, &*done.stderr), (&b"in"[..], &b"err\n"[..]));
}

fn works_beside_a_thread() {
    let thread = std::thread::spawn(|| run(&sh("echo thread")).unwrap().stdout);
    assert_eq!(run(&sh("echo main")).unwrap().stdout, b"main\n");
    assert_eq!(thread.join().unwrap(), b"thread\n");
}

fn dies_with_us() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("exec 1<>{0}; echo up; exec sleep 1000", fifo.display());
    let mut crew = Crew::new(Limits::default());
    let job = Job::new(move |_| {
        run(&sh(&script)).map_err(|error| error.to_string())?;
        hang()
    });
    let child = crew.start((), job);
    crew.pump().unwrap();
    let mut fifo = File::open(&fifo).unwrap();
    fifo.read_exact(&mut [0; 3]).unwrap();
    assert!(crew.cancel(child));
    let mut rest = Vec::new();
    // End of file: the sleep, the only writer, is gone.
    fifo.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty());
    let ready = crew.wait(&[], Some(LONG)).unwrap();
    assert!(matches!(ready.events[0].what, What::Ended(Err(_))));
}

fn detached_outlives_us() {
    let (reader, writer) = pipe().unwrap();
    let number = writer.as_raw_fd();
    let mut crew = Crew::new(Limits::default());
    let job = Job::new(|_| {
        let script = "echo \"$GREETING $(pwd) $$\"; exec >/dev/null; exec sleep 1000";
        let args: Vec<OsString> = ["-c", script].map(Into::into).into();
        let env = [("GREETING".into(), "ready".into())];
        let mut ready = start_detached(Path::new("/bin/sh"), &args, &env).unwrap();
        let mut line = String::new();
        ready.read_to_string(&mut line).unwrap();
        assert_eq!(children(), [0; 0], "it is our child");
        Ok(line)
    });
    crew.start((), job.keep(number));
    let end = loop {
        if let Some(event) = crew.wait(&[], Some(LONG)).unwrap().events.pop() {
            break event.what;
        }
    };
    let What::Ended(Ok(line)) = end else {
        panic!("{end:?}")
    };
    // Its parent is gone; it lives, in a session that is not its own to lead.
    let pid: i32 = line
        .strip_prefix("ready / ")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(is_alive(pid));
    let pid = nix::unistd::Pid::from_raw(pid);
    let session = nix::unistd::getsid(Some(pid)).unwrap();
    assert_ne!(session, nix::unistd::getsid(None).unwrap());
    assert_ne!(session, pid);
    drop(writer);
    let mut rest = Vec::new();
    // End of file while it lives: it has no descriptor of ours.
    File::from(reader).read_to_end(&mut rest).unwrap();
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
}

fn detached_that_cannot_start() {
    let error = start_detached(Path::new("/no/such/program"), &[], &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.to_string().starts_with("/no/such/program: "),
        "{error}"
    );
    // One that ends without a word: end of file.
    let mut ready = start_detached(Path::new("/bin/false"), &[], &[]).unwrap();
    let mut text = String::new();
    assert_eq!(ready.read_to_string(&mut text).unwrap(), 0);
    assert_eq!(children(), [0; 0]);
}
