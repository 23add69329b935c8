//! Published addresses, and when they are not believed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../fork-worker/tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use fork_worker::{Crew, Job, Limits, What};
use nix::sys::signal::{Signal, raise};
use single_server::{Error, Kind, Published};
use support::{LONG, hang};
use tempfile::TempDir;

fn main() {
    support::run(&[
        ("seen_while_held", seen_while_held),
        ("not_believed_after_a_death", not_believed_after_a_death),
        (
            "not_believed_from_the_one_before",
            not_believed_from_the_one_before,
        ),
        ("what_is_no_address", what_is_no_address),
        ("waiting_for_one", waiting_for_one),
        ("waiting_in_vain", waiting_in_vain),
        (
            "a_forked_copy_withdraws_nothing",
            a_forked_copy_withdraws_nothing,
        ),
        ("readers_never_disturb", readers_never_disturb),
    ]);
}

fn kind(dir: &TempDir) -> Kind {
    let kind = Kind::new(dir.path(), "callbackd").unwrap();
    kind.init_once().unwrap();
    kind
}

fn published(epoch: u64, address: &str) -> Option<Published> {
    let address = address.to_string();
    Some(Published { epoch, address })
}

fn seen_while_held() {
    let dir = tempfile::tempdir().unwrap();
    let unmade = Kind::new(dir.path(), "callbackd").unwrap();
    assert_eq!(unmade.published().unwrap(), None);
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "a reader made files"
    );
    let kind = kind(&dir);
    let held = kind.try_hold().unwrap().unwrap();
    assert_eq!(kind.published().unwrap(), None);
    held.publish("10.0.0.1:3002").unwrap();
    assert_eq!(kind.published().unwrap(), published(1, "10.0.0.1:3002"));
    held.publish("10.0.0.1:3003 more").unwrap();
    assert_eq!(
        kind.published().unwrap(),
        published(1, "10.0.0.1:3003 more")
    );
    held.withdraw().unwrap();
    held.withdraw().unwrap();
    assert_eq!(kind.published().unwrap(), None);
    held.publish("again").unwrap();
    drop(held);
    assert_eq!(kind.published().unwrap(), None);
    assert!(!dir.path().join("callbackd.address").exists());
}

fn not_believed_after_a_death() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let copy = kind.clone();
    let mut crew = Crew::new(Limits::default());
    crew.start(
        (),
        Job::new(move |_| {
            let held = copy.try_hold().unwrap().unwrap();
            held.publish("gone").unwrap();
            raise(Signal::SIGKILL).unwrap();
            hang()
        }),
    );
    crew.wait(&[], Some(LONG)).unwrap();
    assert!(
        dir.path().join("callbackd.address").exists(),
        "it left nothing to believe"
    );
    assert_eq!(kind.published().unwrap(), None);
}

fn not_believed_from_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let path = dir.path().join("callbackd.address");
    let held = kind.try_hold().unwrap().unwrap();
    held.publish("first").unwrap();
    let first = std::fs::read(&path).unwrap();
    drop(held);
    std::fs::write(&path, &first).unwrap();
    let held = kind.try_hold().unwrap().unwrap();
    assert!(!path.exists(), "the new holder keeps the old address");
    // Even if it comes back: a late writer, or somebody's backup.
    for text in [
        &first[..],
        b"3 future\n",
        b"2\n",
        b"2 \n",
        b"2 two\nlines\n",
        b"\xff",
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(kind.published().unwrap(), None, "{text:?}");
    }
    held.publish("second").unwrap();
    assert_eq!(kind.published().unwrap(), published(2, "second"));
}

fn what_is_no_address() {
    let dir = tempfile::tempdir().unwrap();
    let held = kind(&dir).try_hold().unwrap().unwrap();
    for address in ["", "a\nb", "a\0", "\u{1b}[2J", &"x".repeat(1025)] {
        assert!(
            matches!(held.publish(address), Err(Error::Address(_))),
            "{address:?}"
        );
    }
    held.publish(&"x".repeat(1024)).unwrap();
    assert_eq!(kind(&dir).published().unwrap().unwrap().address.len(), 1024);
}

fn waiting_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let copy = kind.clone();
    let mut crew = Crew::new(Limits::default());
    let child = crew.start(
        (),
        Job::new(move |report| {
            report.ask("ready").map_err(|error| error.to_string())?;
            let held = copy.try_hold().unwrap().unwrap();
            held.publish("here").unwrap();
            report.ask("published").map_err(|error| error.to_string())
        }),
    );
    let said = crew.wait(&[], Some(LONG)).unwrap();
    assert_eq!(said.events[0].what, What::Line("ready".into()));
    crew.reply(child, "go").unwrap();
    assert_eq!(kind.wait_published(LONG).unwrap(), published(1, "here"));
    // There already: at once.
    assert_eq!(
        kind.wait_published(Duration::ZERO).unwrap(),
        published(1, "here")
    );
}

fn waiting_in_vain() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let _held = kind.try_hold().unwrap().unwrap();
    let started = Instant::now();
    let timeout = Duration::from_millis(100);
    assert_eq!(kind.wait_published(timeout).unwrap(), None);
    assert!(started.elapsed() >= timeout);
}

fn a_forked_copy_withdraws_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    let held = std::rc::Rc::new(std::cell::RefCell::new(kind.try_hold().unwrap()));
    held.borrow().as_ref().unwrap().publish("here").unwrap();
    let copy = held.clone();
    let number =
        std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(held.borrow().as_ref().unwrap()));
    let mut crew = Crew::new(Limits::default());
    let job = Job::new(move |_| {
        drop(copy.borrow_mut().take());
        Ok("dropped".into())
    });
    crew.start((), job.keep(number));
    let ready = crew.wait(&[], Some(LONG)).unwrap();
    assert_eq!(ready.events[0].what, What::Ended(Ok("dropped".into())));
    assert_eq!(kind.published().unwrap(), published(1, "here"));
}

fn readers_never_disturb() {
    let dir = tempfile::tempdir().unwrap();
    let kind = kind(&dir);
    drop(kind.try_hold().unwrap());
    let mut crew = Crew::new(Limits::default());
    for _ in 0..4 {
        let kind = kind.clone();
        crew.start(
            (),
            Job::new(move |report| {
                report.line("up").map_err(|error| error.to_string())?;
                loop {
                    kind.published().map_err(|error| error.to_string())?;
                }
            }),
        );
    }
    let mut up = 0;
    while up < 4 {
        up += crew.wait(&[], Some(LONG)).unwrap().events.len();
    }
    for round in 0..500 {
        let held = kind
            .try_hold()
            .unwrap()
            .expect("a reader was taken for a holder");
        assert_eq!(held.epoch(), round + 2);
    }
}
