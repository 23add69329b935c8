//! The two safety layers, each by itself: with it alone there are never two servers, without it there
//! would be, and the same test sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::exit)]

#[path = "../../fork-worker/tests/support/mod.rs"]
mod support;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use single_server::{Kind, LockAt, Service, Standing, supervise_mutilated};
use support::{LONG, hang, is_alive};
use tempfile::TempDir;

fn main() {
    support::run(&[
        ("the_lock_that_the_server_inherits", inherited_lock),
        ("the_death_of_its_supervisor", death_of_the_supervisor),
        ("as_supervisor", as_supervisor),
        ("as_server", as_server),
    ]);
}

const DIR: &str = "TEST_DIR";
const LAYERS: &str = "TEST_LAYERS";
const SERVER: &str = "TEST_SERVER";

/// A server whose supervisor does not reach it: set-uid programs clear the signal, for one.
fn inherited_lock() {
    let (alive, free) = after_the_supervisors_death("inherited", "clears-signal");
    assert!(alive && !free, "alive: {alive}, lock free: {free}");
    // The defect that this layer is against, seen by the same eyes.
    let (alive, free) = after_the_supervisors_death("signal", "clears-signal");
    assert!(alive && free, "alive: {alive}, lock free: {free}");
}

/// A server that closes what it did not open, as daemons do.
fn death_of_the_supervisor() {
    let (alive, free) = after_the_supervisors_death("signal", "closes-all");
    assert!(!alive && free, "alive: {alive}, lock free: {free}");
    let (alive, free) = after_the_supervisors_death("inherited", "closes-all");
    assert!(alive && free, "alive: {alive}, lock free: {free}");
}

/// Whether the server lives, and whether somebody else could become one, after KILL for its supervisor.
fn after_the_supervisors_death(layers: &str, server: &str) -> (bool, bool) {
    let dir = tempfile::tempdir().unwrap();
    let kind = Kind::new(dir.path(), "csnap").unwrap();
    kind.init(1).unwrap();
    let mut supervisor = supervisor(&dir, layers, server);
    let pid: i32 = kind
        .wait_published(LONG)
        .unwrap()
        .expect("a server")
        .address[4..]
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(is_alive(pid) && kind.try_hold().unwrap().is_none());
    supervisor.kill().unwrap();
    supervisor.wait().unwrap();
    // What the kernel does at its death is done now, but the server may take a moment to be gone.
    let until = Instant::now() + Duration::from_millis(500);
    while is_alive(pid) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    let alive = is_alive(pid);
    let free = kind.try_hold().unwrap().is_some();
    if alive {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let started = Instant::now();
        while kind.try_hold().unwrap().is_none() {
            assert!(started.elapsed() < LONG, "the lock outlives the server");
        }
    }
    (alive, free)
}

fn supervisor(dir: &TempDir, layers: &str, server: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--case", "as_supervisor"])
        .env(DIR, dir.path())
        .env("NODETOOLS_ROOT", dir.path().join("host"))
        .env(LAYERS, layers)
        .env(SERVER, server)
        .stdin(Stdio::null());
    command.spawn().unwrap()
}

fn as_supervisor() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let own = std::env::current_exe().unwrap();
    let layers = std::env::var(LAYERS).unwrap();
    let service = Service {
        name: "csnap".into(),
        lock: LockAt::Directory(dir.into()),
        command: vec![own.into(), "--case".into(), "as_server".into()],
        standing: Standing::Always,
        address: None,
        check: None,
        start_timeout: LONG,
        stop_timeout: Duration::from_secs(1),
        restarts: 5,
    };
    supervise_mutilated(service, layers == "inherited", layers == "signal").unwrap();
}

fn as_server() {
    let Ok(how) = std::env::var(SERVER) else {
        return;
    };
    if how == "clears-signal" {
        prctl::set_pdeathsig(None).unwrap();
    }
    // The supervisor has put the pipe there for this program.
    let mut ready = File::from(fork_worker::inherited::adopt_writable(3).unwrap());
    if how == "closes-all" {
        let names = std::fs::read_dir("/proc/self/fd").unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        for name in names {
            let number: i32 = name.to_str().unwrap().parse().unwrap();
            if number > 3 {
                let _ = nix::unistd::close(number);
            }
        }
    }
    writeln!(ready, "pid:{}", std::process::id()).unwrap();
    drop(ready);
    assert!(Path::new("/proc/self").exists());
    hang()
}
