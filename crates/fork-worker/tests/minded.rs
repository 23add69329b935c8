//! Servers: programs that are watched for as long as they run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::exit,
    clippy::print_stdout
)]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::{Duration, Instant};

use fork_worker::command::{Minded, Spec, mind};
use fork_worker::{Orphans, above};
use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;
use support::{LONG, children, is_alive};

fn main() {
    support::run(&[
        ("heirlooms_go_along", heirlooms_go_along),
        ("low_numbers_are_refused", low_numbers_are_refused),
        ("its_end_is_an_event", its_end_is_an_event),
        ("signals_reach_its_group", signals_reach_its_group),
        ("dropped_it_is_gone", dropped_it_is_gone),
        ("nobody_gets_away", nobody_gets_away),
        (
            "what_was_not_noted_never_begins",
            what_was_not_noted_never_begins,
        ),
    ]);
}

fn shell(text: &str) -> Spec {
    Spec::new("sh").args(["-c", text])
}

/// Minded, and ended with us; nobody notes its number.
fn started(text: &str) -> Minded {
    mind(&shell(text), None, &[], true, &mut |_| ()).unwrap()
}

fn end_of(minded: &mut Minded) -> std::process::ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = minded.ended().unwrap() {
            return status;
        }
        assert!(started.elapsed() < LONG);
        std::thread::yield_now();
    }
}

fn heirlooms_go_along() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let writer = above(writer.into(), 40).unwrap();
    let number = writer.as_raw_fd();
    assert!(number > 40);
    let not_meant = above(File::open("/dev/null").unwrap().into(), 30).unwrap();
    let text = format!(
        "exec 9>/proc/self/fd/{number}; (echo three >&3; ls /proc/self/fd) | tr '\\n' ' ' >&9"
    );
    let (mut three, third) = std::io::pipe().unwrap();
    let third = above(third.into(), 3).unwrap();
    let mut minded = mind(
        &shell(&text),
        Some(third.as_fd()),
        &[writer.as_fd()],
        true,
        &mut |_| (),
    )
    .unwrap();
    drop(third);
    assert!(end_of(&mut minded).success());
    drop(writer);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    let numbers: Vec<&str> = said.split(' ').collect();
    assert!(numbers.contains(&number.to_string().as_str()), "{said}");
    assert!(!numbers.contains(&not_meant.as_raw_fd().to_string().as_str()));
    let mut said = String::new();
    three.read_to_string(&mut said).unwrap();
    assert_eq!(said, "three\n");
}

fn low_numbers_are_refused() {
    let low = File::open("/dev/null").unwrap();
    assert!(low.as_raw_fd() <= 3, "{low:?}");
    let refused = mind(&shell("true"), None, &[low.as_fd()], true, &mut |_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    let missing = mind(&Spec::new("/no/such/program"), None, &[], true, &mut |_| ()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(children(), [0; 0]);
}

fn its_end_is_an_event() {
    let mut minded = started("exec sleep 0.2");
    assert_eq!(minded.ended().unwrap(), None);
    if let Some(end) = minded.end() {
        let mut polled = [nix::poll::PollFd::new(end, nix::poll::PollFlags::POLLIN)];
        let found = nix::poll::poll(&mut polled, 60_000_u16).unwrap();
        assert_eq!(found, 1);
        assert!(minded.ended().unwrap().unwrap().success());
    }
}

fn signals_reach_its_group() {
    // The shell ignores it, its child does not; then both are gone.
    let mut minded = started("trap '' TERM; sleep 60; exit 7");
    let pid = minded.pid();
    minded.signal(Signal::SIGKILL);
    assert_eq!(end_of(&mut minded).signal(), Some(Signal::SIGKILL as i32));
    assert!(!is_alive(pid));
    // After its end there is nobody to signal any more.
    minded.signal(Signal::SIGKILL);
}

fn dropped_it_is_gone() {
    let minded = started("sleep 60 & sleep 60");
    let pid = minded.pid();
    drop(minded);
    assert!(!is_alive(pid));
    assert_eq!(children(), [0; 0]);
}

fn nobody_gets_away() {
    let orphans = Orphans::adopt().unwrap();
    let ours = started("exec sleep 60");
    let mut minded = started("setsid sleep 60 & setsid -f sleep 60");
    assert!(end_of(&mut minded).success());
    let started = Instant::now();
    let mut seen = 0;
    while seen < 2 {
        assert!(started.elapsed() < LONG);
        seen = orphans.sweep(&[ours.pid()], false).unwrap();
    }
    while orphans.sweep(&[ours.pid()], true).unwrap() > 0 {
        assert!(started.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(children(), [ours.pid()]);
}

const DIES: &str = "MINDED_DIES";

/// A process of its own is killed before it has noted whom it started.
fn what_was_not_noted_never_begins() {
    if std::env::var_os(DIES).is_some() {
        let mut note = |pid| {
            println!("pid {pid}");
            kill(getpid(), Signal::SIGKILL).unwrap();
        };
        // No death signal: the program alone would go on.
        let _ = mind(&shell("echo begun"), None, &[], false, &mut note);
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--case", "what_was_not_noted_never_begins"]);
    // All that has its output has ended then: the program, too.
    let ended = command.env(DIES, "1").output().unwrap();
    assert_eq!(ended.status.signal(), Some(9), "{ended:?}");
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(said.contains("pid ") && !said.contains("begun"), "{said}");
}
