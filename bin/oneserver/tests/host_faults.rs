//! What befalls a host: its clock, its disks, its directories.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use support::{Ended, Lock, Running, Site, eventually};

/// More than a supervisor waits for anything that it proves once a second.
const LOOKS: Duration = Duration::from_secs(4);

#[allow(clippy::print_stderr)] // Nobody else is there to say it.
fn missing(part: &str) -> bool {
    assert!(
        std::env::var_os("CI").is_none(),
        "{part}: is missing, and this is CI"
    );
    eprintln!("skipped: {part} missing");
    false
}

/// A clock that the test turns, for all programs that are started with it; the kernel's monotonic one
/// stays as it is.
struct Clock {
    setting: PathBuf,
    library: PathBuf,
}

impl Clock {
    fn new(lock: &Lock) -> Option<Clock> {
        let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
        let library = ["lib64".to_string(), format!("lib/{triple}"), "lib".into()]
            .map(|dir| {
                Path::new("/usr")
                    .join(dir)
                    .join("faketime/libfaketime.so.1")
            })
            .into_iter()
            .find(|path| path.exists());
        let Some(library) = library else {
            missing("libfaketime");
            return None;
        };
        let setting = lock.whole().join("clock");
        let clock = Clock { setting, library };
        clock.turn(0);
        Some(clock)
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Path| path.to_str().unwrap().to_string();
        vec![
            ("LD_PRELOAD", path(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", path(&self.setting)),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }

    /// So many seconds off.
    fn turn(&self, seconds: i64) {
        let beside = self.setting.with_extension("new");
        std::fs::write(&beside, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(beside, &self.setting).unwrap();
    }
}

/// The clock jumps, by an hour and by years: nothing at all happens. Its time is only told.
#[track_caller]
fn the_clock_means_nothing(clock: &Clock, host: &Site, standby: &Site) {
    host.ok(&["init", "csnap"]);
    let first = host.serve("csnap", &["--check", "true"]);
    host.until_owner("csnap");
    let _second = standby.serve("csnap", &[]);
    let mut watch = host.run(&["watch", "csnap"], 0);
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=1 ");
    let address = host.ok(&["address", "csnap"]);
    for seconds in [3600, -3600, 400_000_000, -400_000_000] {
        clock.turn(seconds);
        std::thread::sleep(LOOKS);
        host.ok(&["status", "csnap", "--depth", "20"]);
        assert_eq!(host.ok(&["address", "csnap"]), address);
    }
    // The next event is the first since then, and it says when: the clock did jump.
    clock.turn(-400_000_000);
    host.ok(&["recover", "csnap"]);
    let lost = watch.stdout_line("event=");
    assert!(
        lost.starts_with("event=lost kind=csnap instance=1 epoch=1 "),
        "{lost}"
    );
    let since: u64 = lost
        .split_once("since=")
        .unwrap()
        .1
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!(since < now - 300_000_000, "{since} {now}");
    host.until_owner("csnap");
    host.ok(&["stop", "csnap"]);
    first.finish().code(0);
    standby.until_owner("csnap");
}

#[test]
fn a_clock_that_jumps_changes_nothing_over_files() {
    let lock = Lock::new();
    let Some(clock) = Clock::new(&lock) else {
        return;
    };
    let host = |name| Site::new(&lock, name).with(&clock.environment());
    the_clock_means_nothing(&clock, &host("h1"), &host("h2"));
}

#[test]
fn a_clock_that_jumps_changes_nothing_over_a_database() {
    let lock = Lock::new();
    let (Some(clock), Some(server)) = (Clock::new(&lock), postgres_server::shared()) else {
        return;
    };
    let setting = server.setting(&server.database());
    let host = |name| Site::with_database(&lock, name, &setting).with(&clock.environment());
    the_clock_means_nothing(&clock, &host("h1"), &host("h2"));
}

/// A small filesystem over the directories of all hosts and of the lock.
struct Disk(PathBuf);

impl Disk {
    fn over(lock: &Lock) -> Option<Disk> {
        if !nix::unistd::geteuid().is_root() {
            missing("root");
            return None;
        }
        let path = lock.whole().to_owned();
        let words = ["-t", "tmpfs", "-o", "size=256k,mode=700", "none"];
        let mounted = Command::new("mount").args(words).arg(&path).status();
        match mounted.unwrap().success() {
            true => Some(Disk(path)),
            false => {
                missing("a filesystem of its own");
                None
            }
        }
    }

    /// Until nothing fits any more.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        while std::io::Write::write_all(&mut ballast, &[b'x'; 4096]).is_ok() {}
        assert!(std::fs::write(self.0.join("more"), [b'x'; 4096]).is_err());
    }

    fn clear(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The disk is full: who is the one stays the one. Nobody becomes it without its number on the disk and
/// its address beside it; as soon as there is room somebody is, without any word from an administrator.
#[test]
fn a_full_disk_delays_and_never_doubles() {
    let lock = Lock::new();
    let Some(disk) = Disk::over(&lock) else {
        return;
    };
    let hosts = ["h1", "h2"].map(|name| Site::new(&lock, name));
    hosts[0].ok(&["init", "csnap"]);
    let mut first = hosts[0].serve("csnap", &[]);
    hosts[0].until_owner("csnap");
    let mut second = hosts[1].serve("csnap", &[]);
    eventually(|| {
        hosts[1]
            .call(&["status", "csnap"])
            .stdout
            .contains("standby")
    });
    let address = hosts[0].ok(&["address", "csnap"]);
    disk.fill();
    std::thread::sleep(LOOKS);
    assert_eq!(hosts[0].ok(&["address", "csnap"]), address);
    hosts[0].ok(&["status", "csnap", "--depth", "10"]);
    first.kill();
    let said = second.stderr_line("No space left");
    assert!(said.contains("csnap"), "{said}");
    // The number was written in its place, and is spent.
    eventually(|| hosts[1].call(&["check", "csnap", "2"]).status.code() == Some(0));
    assert_eq!(hosts[1].call(&["address", "csnap"]).stdout, "");
    disk.clear();
    hosts[1].until_owner("csnap");
    let json = hosts[1].ok(&["address", "csnap", "--json"]);
    let event: serde_json::Value = serde_json::from_str(json.trim()).unwrap();
    assert!(event["epoch"].as_u64() >= Some(2), "{json}");
    hosts[1].ok(&["stop", "csnap"]);
    second.finish().code(0);
}

/// The directory of the lock is gone: its holder ends, nobody else begins, and when it is back so is the
/// server.
#[test]
fn without_its_directory_there_is_no_server() {
    let lock = Lock::made("csnap", 1);
    let hosts = ["h1", "h2"].map(|name| Site::new(&lock, name));
    let mut running: Vec<Running> = hosts.iter().map(|host| host.serve("csnap", &[])).collect();
    eventually(|| {
        hosts
            .iter()
            .any(|host| owns(&host.call(&["status", "csnap", "--depth", "10"])))
    });
    let aside = lock.dir().with_extension("aside");
    std::fs::rename(lock.dir(), &aside).unwrap();
    eventually(|| {
        hosts
            .iter()
            .all(|host| !host.call(&["status", "csnap"]).stdout.contains("owner"))
    });
    running[0].stderr_line("No such file");
    std::thread::sleep(LOOKS);
    for host in &hosts {
        assert!(!host.call(&["status", "csnap"]).stdout.contains("owner"));
        host.call(&["address", "csnap"]).code(3);
    }
    std::fs::rename(&aside, lock.dir()).unwrap();
    eventually(|| {
        hosts
            .iter()
            .any(|host| owns(&host.call(&["status", "csnap", "--depth", "10"])))
    });
    hosts[0].call(&["check", "csnap", "1"]).code(1);
}

fn owns(status: &Ended) -> bool {
    status.status.code() == Some(0) && status.stdout.contains("event=ready")
}
