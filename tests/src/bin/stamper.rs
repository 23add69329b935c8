//! The server of the fault campaign: stamps a common journal for as long as it lives, `TIME EPOCH PID`,
//! one write each. With `closes` it closes what it did not open; with `clears` every third one takes away
//! the signal that it would get at its supervisor's death, as set-uid programs do. With `fenced` the
//! journal is a resource that knows the greatest epoch: it refuses a stamp of an older one, notes that in
//! `JOURNAL.refused`, and who is refused ends.
//!
//! `stamper mutant LAYER...` is a supervisor without the named safety layers instead.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use single_server::{LockAt, Service, Standing, supervise_mutilated};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((first, rest)) if first == "mutant" => mutant(rest),
        Some((journal, habits)) => serve(journal, habits),
        None => panic!("stamper JOURNAL [HABIT] | stamper mutant LAYERS LOCKDIR SERVER..."),
    }
}

fn serve(path: &str, habits: &[String]) {
    let epoch: u64 = std::env::var("ONESERVER_EPOCH")
        .expect("an epoch")
        .parse()
        .expect("a number");
    let mut journal = File::options()
        .append(true)
        .create(true)
        .open(path)
        .expect("the journal");
    if habits.iter().any(|habit| habit == "clears") && epoch.is_multiple_of(3) {
        nix::sys::prctl::set_pdeathsig(None).expect("prctl");
    }
    let mut ready = File::options()
        .write(true)
        .open("/proc/self/fd/3")
        .expect("the ready pipe");
    if habits.iter().any(|habit| habit == "closes") {
        // The lock is above 19, our own files below.
        for number in 20..64 {
            let _ = nix::unistd::close(number);
        }
    }
    let fence = habits.iter().any(|habit| habit == "fenced");
    let fence = fence.then(|| Fence::of(path));
    let mut stamp = || {
        let accepted = fence.as_ref().map(|fence| fence.pass(epoch));
        let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock"));
        let line = format!("{} {epoch} {}\n", now.as_nanos(), std::process::id());
        journal.write_all(line.as_bytes()).expect("the journal");
        drop(accepted);
    };
    // Who is said to be ready has begun.
    stamp();
    let _ = writeln!(ready, "pid:{}", std::process::id());
    drop(ready);
    let _ = nix::unistd::close(3);
    loop {
        stamp();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The greatest epoch that has written, and its lock: nobody else writes meanwhile.
struct Fence {
    file: File,
    refused: File,
}

impl Fence {
    fn of(journal: &str) -> Fence {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(format!("{journal}.fence"));
        let refused = File::options()
            .append(true)
            .create(true)
            .open(format!("{journal}.refused"));
        Fence {
            file: file.expect("the fence"),
            refused: refused.expect("what was refused"),
        }
    }

    /// Held for one stamp. Does not return to an older epoch.
    fn pass(&self, epoch: u64) -> Passed<'_> {
        self.file.lock().expect("a lock");
        let mut known = [0; 8];
        let count = self.file.read_at(&mut known, 0).expect("the fence");
        let known = if count == 8 {
            u64::from_le_bytes(known)
        } else {
            0
        };
        if epoch < known {
            let line = format!("{epoch} after {known}\n");
            let _ = (&self.refused).write_all(line.as_bytes());
            panic!("refused: {line}");
        }
        let written = self.file.write_all_at(&epoch.to_le_bytes(), 0);
        written.expect("the fence");
        Passed(&self.file)
    }
}

struct Passed<'f>(&'f File);

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

fn mutant(words: &[String]) {
    let [without, lockdir, command @ ..] = words else {
        panic!("stamper mutant LAYERS LOCKDIR SERVER...");
    };
    let service = Service {
        name: "csnap".into(),
        lock: LockAt::Directory(lockdir.into()),
        command: command.iter().map(OsString::from).collect(),
        standing: Standing::Always,
        address: None,
        check: None,
        start_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(1),
        restarts: usize::MAX,
    };
    let (lock, signal) = (!without.contains("lock"), !without.contains("signal"));
    supervise_mutilated(service, lock, signal).expect("supervise");
}
