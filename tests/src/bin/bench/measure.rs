//! CPU time and memory of programs that were started here.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};

/// CPU seconds of one run, over so many.
pub(crate) fn cpu_of(runs: u32, command: impl Fn() -> Command) -> f64 {
    let before = children_cpu();
    for _ in 0..runs {
        let status = command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("start");
        assert!(status.success());
    }
    (children_cpu() - before) / f64::from(runs)
}

/// CPU seconds of all children that have ended.
pub(crate) fn children_cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    let seconds = |time: nix::sys::time::TimeVal| {
        Duration::new(time.tv_sec() as u64, 0).as_secs_f64() + time.tv_usec() as f64 / 1e6
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// The value in the middle.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// User and system time, in seconds.
    pub(crate) cpu: f64,
    /// The most memory that it held at a time, in MiB.
    pub(crate) memory: f64,
}

/// Runs a command in a process of its own that has no other child, so that the memory is this one's.
/// For what asks for xCAT's tables they are in `tables`.
pub(crate) fn cost(command: &[String], tables: &Path) -> Cost {
    let own = std::env::current_exe().expect("own path");
    let output = Command::new(own)
        .arg(ALONE)
        .args(command)
        .env("XCATCFG", format!("SQLite:{}", tables.display()))
        .env("XCATBYPASS", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("start");
    assert!(output.status.success(), "{command:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut words = text.split_whitespace().map(|word| word.parse::<f64>());
    let mut next = || words.next().expect("two words").expect("a number");
    Cost {
        cpu: next(),
        memory: next(),
    }
}

/// The first argument of [`alone`].
pub(crate) const ALONE: &str = "--alone";

/// The inside of [`cost`]: runs a command and prints what it took. True if it ended well.
pub(crate) fn alone(mut command: impl Iterator<Item = String>) -> bool {
    let program = command.next().expect("a command");
    let status = Command::new(&program)
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("start");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("getrusage");
    println!("{} {}", children_cpu(), usage.max_rss() as f64 / 1024.0);
    status.success()
}
