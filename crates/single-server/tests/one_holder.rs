//! The lock and its epoch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::exit)]

#[path = "../../fork-worker/tests/support/mod.rs"]
mod support;

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fork_worker::{Crew, Job, Limits};
use nix::unistd::pipe;
use single_server::{Error, Held, Kind};
use support::{LONG, children, descriptors, hang, is_alive};
use tempfile::TempDir;

fn main() {
    support::run(&[
        ("one_at_a_time", one_at_a_time),
        ("names", names),
        ("a_line_of_two", a_line_of_two),
        ("leaving_the_line", leaving_the_line),
        (
            "others_wake_who_stands_in_line",
            others_wake_who_stands_in_line,
        ),
        ("a_replaced_lock_is_noticed", a_replaced_lock_is_noticed),
        ("epochs_never_begin_again", epochs_never_begin_again),
        ("files_of_others_are_refused", files_of_others_are_refused),
        ("made_once_and_by_init_alone", made_once_and_by_init_alone),
        (
            "instances_are_locks_of_their_own",
            instances_are_locks_of_their_own,
        ),
        (
            "an_incarnation_under_the_same_lock",
            an_incarnation_under_the_same_lock,
        ),
        ("heirs_keep_the_lock", heirs_keep_the_lock),
        ("through_exec", through_exec),
        ("inherited_by_the_program", inherited_by_the_program),
        ("missing_directory", missing_directory),
    ]);
}

fn kind(dir: &TempDir) -> Kind {
    let kind = Kind::new(dir.path(), "callbackd").unwrap();
    kind.init_once().unwrap();
    kind
}

fn hold(kind: &Kind) -> Held {
    kind.try_hold().unwrap().expect("a free lock")
}

fn one_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let before = descriptors();
    for epoch in 1..10 {
        let held = hold(&kind);
        assert_eq!(held.epoch(), epoch);
        assert!(kind.try_hold().unwrap().is_none());
        assert!(held.is_valid().unwrap());
        // Another kind in the same directory has nothing to do with it.
        let other = Kind::new(dir.path(), "other").unwrap();
        other.init_once().unwrap();
        assert!(other.try_hold().unwrap().is_some());
    }
    assert_eq!(descriptors(), before);
}

fn names() {
    for name in [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "a b",
        "a\n",
        "ä",
        &"x".repeat(101),
    ] {
        assert!(
            matches!(Kind::new(Path::new("/"), name), Err(Error::Name(_))),
            "{name:?}"
        );
    }
    Kind::new(Path::new("/"), "osload-serve_image.1").unwrap();
}

fn a_line_of_two() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let first = hold(&kind);
    let mut line = kind.stand_in_line().unwrap();
    let waited = line.wait(&[], Some(Duration::from_millis(50))).unwrap();
    assert!(waited.held.is_none());
    drop(first);
    let second = line.wait(&[], Some(LONG)).unwrap().held.unwrap();
    assert_eq!(second.epoch(), 2);
    assert!(kind.try_hold().unwrap().is_none());
    // The process that waited is gone, and the lock is still ours.
    drop(line);
    assert_eq!(children(), [0; 0]);
    assert!(kind.try_hold().unwrap().is_none());
    drop(second);
    // A free lock is granted at once.
    let mut line = kind.stand_in_line().unwrap();
    assert_eq!(line.wait(&[], Some(LONG)).unwrap().held.unwrap().epoch(), 3);
}

fn leaving_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let first = hold(&kind);
    let line = kind.stand_in_line().unwrap();
    let waiter = children();
    assert_eq!(waiter.len(), 1);
    drop(line);
    assert!(!is_alive(waiter[0]));
    drop(first);
    hold(&kind);
}

fn others_wake_who_stands_in_line() {
    use std::io::Write;
    use std::os::fd::AsFd;
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let _first = hold(&kind);
    let mut line = kind.stand_in_line().unwrap();
    let (reader, writer) = pipe().unwrap();
    std::fs::File::from(writer).write_all(b"x").unwrap();
    let waited = line.wait(&[reader.as_fd()], None).unwrap();
    assert_eq!(waited.readable, [0]);
    assert!(waited.held.is_none());
}

fn a_replaced_lock_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let held = hold(&kind);
    let mut line = kind.stand_in_line().unwrap();
    let path = dir.path().join("callbackd.lock");
    // Somebody "cleans up", restoring a copy.
    let text = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(!held.is_valid().unwrap());
    std::fs::write(&path, text).unwrap();
    assert!(!held.is_valid().unwrap());
    drop(held);
    // Granted on the old file, so it lines up for the new one.
    let second = loop {
        if let Some(held) = line.wait(&[], Some(LONG)).unwrap().held {
            break held;
        }
    };
    assert!(second.is_valid().unwrap());
    assert_eq!(second.epoch(), 2);
}

fn epochs_never_begin_again() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    for _ in 0..5 {
        hold(&kind);
    }
    let path = dir.path().join("callbackd.epoch");
    let good = std::fs::read(&path).unwrap();
    assert_eq!(good.len(), 1024);
    // The newest slot rots: 5 cannot be read, and is not given out again.
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(b"rot", 512 + 100).unwrap();
    assert!(hold(&kind).epoch() > 5);
    assert!(hold(&kind).epoch() > 6);
    // Both, or none at all: nobody starts.
    for bytes in [&b""[..], &[0; 1024], &good[..1000]] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(kind.try_hold(), Err(Error::EpochLost(_))));
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(kind.try_hold(), Err(Error::EpochLost(_))));
    // The lock was let go each time.
    std::fs::write(&path, good).unwrap();
    assert_eq!(hold(&kind).epoch(), 6);
}

fn files_of_others_are_refused() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    hold(&kind(&one));
    hold(&kind(&two));
    let name = "callbackd.epoch";
    std::fs::copy(one.path().join(name), two.path().join(name)).unwrap();
    assert!(matches!(kind(&two).try_hold(), Err(Error::Foreign(_))));
    let (kind, lock) = (kind(&one), one.path().join("callbackd.lock"));
    std::fs::write(&lock, "4711\n").unwrap();
    assert!(matches!(kind.try_hold(), Err(Error::NotOurs(_))));
    // Nor is a link followed: it may lead to anything.
    std::fs::rename(&lock, one.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &lock).unwrap();
    assert!(matches!(kind.try_hold(), Err(Error::Io { .. })));
}

fn made_once_and_by_init_alone() {
    let dir = tempfile::tempdir().unwrap();
    let kind = Kind::new(dir.path(), "csnap").unwrap();
    assert!(matches!(kind.try_hold(), Err(Error::NoLock(_))));
    assert!(matches!(kind.stand_in_line(), Err(Error::NoLock(_))));
    assert!(matches!(kind.init(0), Err(Error::Instances(0))));
    assert!(matches!(kind.init(1000), Err(Error::Instances(1000))));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    kind.init(1).unwrap();
    assert!(matches!(kind.init(1), Err(Error::Exists(_))));
    assert_eq!(hold(&kind).epoch(), 1);
    // Somebody "cleans up": whoever holds the old file may still run.
    let held = hold(&kind);
    std::fs::remove_file(dir.path().join("csnap.lock")).unwrap();
    assert!(matches!(kind.init(1), Err(Error::LockLost(_))));
    assert!(matches!(kind.init_once(), Err(Error::LockLost(_))));
    assert!(!held.is_valid().unwrap());
    // Half-made: the epoch alone, never used.
    let other = Kind::new(dir.path(), "other").unwrap();
    other.init(1).unwrap();
    std::fs::remove_file(dir.path().join("other.lock")).unwrap();
    other.init(1).unwrap();
    assert_eq!(hold(&other).epoch(), 1);
}

fn instances_are_locks_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let kind = Kind::new(dir.path(), "csnap").unwrap();
    kind.init(3).unwrap();
    assert_eq!(kind.instances().unwrap(), 3);
    let all: Vec<Held> = (1..=3).map(|n| hold(&kind.instance(n))).collect();
    assert!(matches!(kind.instance(4).try_hold(), Err(Error::NoLock(_))));
    // Fewer, then more again: the numbers go on.
    kind.init(1).unwrap();
    assert_eq!(kind.instances().unwrap(), 1);
    drop(all);
    kind.init(4).unwrap();
    assert_eq!(kind.instances().unwrap(), 4);
    let epochs: Vec<u64> = (1..=4).map(|n| hold(&kind.instance(n)).epoch()).collect();
    assert_eq!(epochs, [2, 2, 2, 1]);
    // The same number again is nothing to do.
    assert!(matches!(kind.init(4), Err(Error::Exists(_))));
}

fn an_incarnation_under_the_same_lock() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let mut held = hold(&kind);
    held.publish("first").unwrap();
    assert_eq!(held.renew().unwrap(), 2);
    assert_eq!(kind.published().unwrap(), None);
    held.publish("second").unwrap();
    assert_eq!(kind.published().unwrap().unwrap().epoch, 2);
    assert!(kind.try_hold().unwrap().is_none());
}

fn heirs_keep_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let held = hold(&kind);
    held.publish("here").unwrap();
    let number = held.as_fd_number();
    let mut crew = Crew::new(Limits::default());
    let job = Job::new(|report| {
        report.line("up").unwrap();
        hang()
    });
    crew.start((), job.keep(number));
    crew.wait(&[], Some(LONG)).unwrap();
    drop(held);
    assert!(kind.try_hold().unwrap().is_none(), "an heir lives");
    crew.terminate();
    assert_eq!(hold(&kind).epoch(), 2);
}

/// The number that a job keeps.
trait Number {
    fn as_fd_number(&self) -> i32;
}

impl Number for Held {
    fn as_fd_number(&self) -> i32 {
        use std::os::fd::AsFd;
        self.as_fd().as_raw_fd()
    }
}

const DIR: &str = "TEST_LOCK_DIR";
const FD: &str = "TEST_LOCK_FD";

fn through_exec() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let held = hold(&kind);
    held.publish("old").unwrap();
    let inheritable = held.inheritable().unwrap();
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["--case", "inherited_by_the_program"])
        .env(DIR, dir.path())
        .env(FD, inheritable.as_raw_fd().to_string())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    drop(inheritable);
    // We die, as far as the lock is concerned: no drop.
    let number = held.as_fd_number();
    std::mem::forget(held);
    nix::unistd::close(number).unwrap();
    assert!(kind.try_hold().unwrap().is_none());
    let published = loop {
        let published = kind.wait_published(LONG).unwrap().unwrap();
        if published.address == "new" {
            break published;
        }
        std::thread::yield_now();
    };
    assert_eq!(published.epoch, 1);
    drop(server.stdin.take());
    assert!(server.wait().unwrap().success());
    assert!(kind.published().unwrap().is_none());
    assert_eq!(hold(&kind).epoch(), 2);
}

/// The other side of [`through_exec`]; by itself it tries what must be refused.
fn inherited_by_the_program() {
    use std::io::Read;
    let (Ok(dir), Ok(number)) = (std::env::var(DIR), std::env::var(FD)) else {
        return adoption_is_refused();
    };
    let kind = Kind::new(Path::new(&dir), "callbackd").unwrap();
    let descriptor = fork_worker::inherited::adopt_writable(number.parse().unwrap()).unwrap();
    let held = kind.adopt(descriptor).unwrap();
    assert_eq!(held.epoch(), 1);
    held.publish("new").unwrap();
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(held);
}

fn adoption_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    drop(hold(&kind));
    let path = dir.path().join("callbackd.lock");
    let open = || {
        OwnedFd::from(
            std::fs::File::options()
                .read(true)
                .write(true)
                .open(&path)
                .unwrap(),
        )
    };
    // Free; held by another; another file.
    assert!(matches!(kind.adopt(open()), Err(Error::NotHeld(_))));
    let _held = hold(&kind);
    assert!(matches!(kind.adopt(open()), Err(Error::NotHeld(_))));
    let other = tempfile::tempfile().unwrap();
    assert!(matches!(kind.adopt(other.into()), Err(Error::NotHeld(_))));
}

fn missing_directory() {
    let kind = Kind::new(Path::new("/no/such/directory"), "callbackd").unwrap();
    assert!(matches!(kind.try_hold(), Err(Error::NoLock(_))));
    assert!(matches!(kind.stand_in_line(), Err(Error::NoLock(_))));
    assert_eq!(kind.published().unwrap(), None);
    assert!(kind.wait_published(Duration::ZERO).is_err());
}
