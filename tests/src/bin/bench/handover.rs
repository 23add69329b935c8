//! From SIGKILL of whoever holds the lock until the next one's program runs, beside flock(1) and, for
//! the database, beside psql with an advisory lock. The same program on both sides says when it began.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use scenarios::program;

use crate::measure::median;

const RUNS: usize = 50;
/// The first argument of [`started`].
pub(crate) const STARTED: &str = "--started";

pub(crate) fn run() {
    let dir = tempfile::Builder::new()
        .prefix("handover")
        .tempdir_in("/dev/shm")
        .expect("a directory");
    let lock = dir.path().join("lock");
    std::fs::create_dir(&lock).expect("a directory");
    let mut init = Command::new(program("oneserver"));
    init.args(["init", "bench", "--lockdir"]).arg(&lock);
    assert!(init.status().expect("init").success());
    let file = dir.path().join("file");
    let ours = |host: &str, said: &Path| {
        let mut command = Command::new(program("oneserver"));
        command
            .args(["run", "bench", "--address", "x", "--lockdir"])
            .arg(&lock)
            .arg("--");
        command
            .args(own(said))
            .env("NODETOOLS_ROOT", dir.path().join(host));
        command
    };
    let theirs = |_: &str, said: &Path| {
        let mut command = Command::new("flock");
        command.arg("-x").arg(&file).args(own(said));
        command
    };
    compare("handover, file", dir.path(), &ours, "flock -x", &theirs);
    let Some(server) = postgres_server::shared() else {
        return;
    };
    let setting = server.setting(&server.database());
    let mut init = Command::new(program("oneserver"));
    init.args(["init", "bench", "--engine", "pg"])
        .env("XCATCFG", &setting);
    assert!(init.status().expect("init").success());
    let ours = |host: &str, said: &Path| {
        let mut command = Command::new(program("oneserver"));
        command
            .args(["run", "bench", "--address", "x", "--engine", "pg", "--"])
            .args(own(said));
        command
            .env("XCATCFG", &setting)
            .env("NODETOOLS_ROOT", dir.path().join(host));
        command
    };
    let psql = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let psql = psql
        .map(|entry| entry.path().join("bin/psql"))
        .find(|path| path.exists());
    let psql = psql.unwrap_or_else(|| "psql".into());
    let theirs = |_: &str, said: &Path| {
        let mut command = Command::new(&psql);
        command.args([
            "-X",
            "-q",
            "-U",
            postgres_server::USER,
            "-d",
            "postgres",
            "-h",
        ]);
        command
            .arg(server.directory())
            .args(["-c", "SELECT pg_advisory_lock(42)", "-c"]);
        let words: Vec<String> = own(said)
            .iter()
            .map(|word| word.display().to_string())
            .collect();
        command.arg(format!("\\! exec {}", words.join(" ")));
        command
    };
    compare("handover, database", dir.path(), &ours, "psql", &theirs);
}

type Side<'a> = &'a dyn Fn(&str, &Path) -> Command;

fn compare(what: &str, dir: &Path, ours: Side<'_>, peer: &str, theirs: Side<'_>) {
    let mut line = Line::new(dir, ours);
    let mut other = Line::new(dir, theirs);
    let (mut mine, mut others) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        mine.push(line.next());
        others.push(other.next());
    }
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let (longest, longest_other) = (most(&mine), most(&others));
    let (middle, middle_other) = (median(&mut mine), median(&mut others));
    println!(
        "{what}: median {:.2} of {peer} ({:.2} ms, {:.2} ms), maximum {:.2} ms, {:.2} ms, {RUNS} times",
        middle / middle_other,
        middle * 1e3,
        middle_other * 1e3,
        longest * 1e3,
        longest_other * 1e3
    );
}

/// Two that contend, of which the one that waits takes over again and again.
struct Line<'a> {
    dir: PathBuf,
    make: Side<'a>,
    count: usize,
    holder: (Child, PathBuf),
    waiter: (Child, PathBuf),
}

impl<'a> Line<'a> {
    fn new(dir: &Path, make: Side<'a>) -> Line<'a> {
        let holder = start(dir, make, 0);
        said(&holder.1);
        let waiter = start(dir, make, 1);
        Line {
            dir: dir.into(),
            make,
            count: 2,
            holder,
            waiter,
        }
    }

    /// Seconds from KILL to the next one's beginning.
    fn next(&mut self) -> f64 {
        // It has to stand in line.
        std::thread::sleep(Duration::from_millis(150));
        let (_, pid) = said(&self.holder.1);
        let began = now();
        for pid in [pid, self.holder.0.id() as i32] {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
        let (ended, _) = said(&self.waiter.1);
        let _ = self.holder.0.wait();
        let _ = std::fs::remove_file(&self.holder.1);
        let next = start(&self.dir, self.make, self.count);
        self.count += 1;
        self.holder = std::mem::replace(&mut self.waiter, next);
        ended - began
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        for (child, file) in [&mut self.waiter, &mut self.holder] {
            let _ = child.kill();
            let _ = child.wait();
            if file.exists() {
                let (_, pid) = said(file);
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
        }
    }
}

fn start(dir: &Path, make: Side<'_>, count: usize) -> (Child, PathBuf) {
    let file = tempfile::Builder::new()
        .tempfile_in(dir)
        .expect("a file")
        .into_temp_path();
    let path = file.to_path_buf();
    drop(file);
    let mut command = make(&format!("h{}", count % 3), &path);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    (command.spawn().expect("start"), path)
}

/// When the program of that file began, and its pid.
fn said(file: &Path) -> (f64, i32) {
    let started = Instant::now();
    loop {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some((time, pid)) = text
            .strip_suffix('\n')
            .and_then(|text| text.split_once(' '))
        {
            return (time.parse().expect("a time"), pid.parse().expect("a pid"));
        }
        assert!(started.elapsed() < Duration::from_secs(60), "nobody begins");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn own(said: &Path) -> [PathBuf; 3] {
    let own = std::env::current_exe().expect("own path");
    [own, STARTED.into(), said.into()]
}

/// The program that is run: says when it began, and stays.
pub(crate) fn started(file: &Path) {
    let text = format!("{} {}\n", now(), std::process::id());
    let beside = file.with_extension("new");
    std::fs::write(&beside, text).expect("write");
    std::fs::rename(&beside, file).expect("rename");
    loop {
        std::thread::sleep(Duration::from_secs(600));
    }
}

fn now() -> f64 {
    Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock")).as_secs_f64()
}
