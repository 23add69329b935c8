//! One host's supervisor and its clients, and several of them over one lock.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use support::{Lock, Site, eventually};

#[test]
fn init_once_and_only_there() {
    let lock = Lock::new();
    let host = Site::new(&lock, "h1");
    let missing = host.run(&["run", "csnap", "--", "true"], 2).finish();
    assert!(missing.stderr.contains("no such lock"), "{missing:?}");
    host.ok(&["init", "csnap"]);
    let again = host.call(&["init", "csnap"]);
    again.code(3);
    assert!(again.stderr.contains("is there already"), "{again:?}");
    host.call(&["init", "csnap", "--instances", "0"]).code(3);
    host.call(&["init", "../csnap"]).code(3);
    host.call(&["init", "csnap", "--engine", "dlm"]).code(2);
    let nowhere = Site::new(&lock, "h2");
    nowhere
        .bare(&["init", "csnap", "--lockdir", "/nonexistent/dir"])
        .code(3);
}

#[test]
fn run_publish_watch_stop() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    host.call(&["address", "csnap"]).code(7);
    host.call(&["status", "csnap"]).code(7);
    host.call(&["stop", "csnap"]).code(7);
    host.call(&["reload", "csnap"]).code(7);
    let mut watch = host.run(&["watch", "csnap"], 0);
    let supervisor = host.serve("csnap", &[]);
    let ready = watch.stdout_line("event=ready");
    assert!(
        ready.contains("epoch=1 ") && ready.contains("address=srv:"),
        "{ready}"
    );
    let address = host.ok(&["address", "csnap"]);
    assert!(address.starts_with("srv:"), "{address}");
    for depth in ["0", "10", "20"] {
        host.ok(&["status", "csnap", "--depth", depth]);
    }
    assert!(host.ok(&["status", "csnap"]).starts_with("csnap: owner "));
    let json = host.ok(&["status", "csnap", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["state"], "owner");
    host.call(&["check", "csnap", "1"]).code(0);
    host.call(&["check", "csnap", "0"]).code(1);
    host.call(&["check", "csnap", "1", "--instance", "2"])
        .code(3);
    // One supervisor for a kind and host.
    let second = host.run(&["run", "csnap", "--", "sleep", "60"], 3).finish();
    assert!(
        second.stderr.contains("runs on this host already"),
        "{second:?}"
    );
    host.ok(&["reload", "csnap"]);
    watch.stdout_line("event=reloaded");
    host.ok(&["recover", "csnap"]);
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=2 ");
    host.call(&["check", "csnap", "1"]).code(1);
    assert!(host.ok(&["list"]).contains("csnap: event=ready "));
    host.ok(&["stop", "csnap"]);
    watch.stdout_line("event=lost kind=csnap instance=1 epoch=2 ");
    supervisor.finish().code(0);
    host.call(&["status", "csnap"]).code(7);
    host.call(&["address", "csnap"]).code(7);
    assert_eq!(host.ok(&["list"]), "csnap: stopped\n");
}

#[test]
fn the_next_in_line_takes_over_and_everybody_hears_of_it() {
    let lock = Lock::made("csnap", 1);
    let hosts = ["h1", "h2"].map(|name| Site::new(&lock, name));
    let first = hosts[0].serve("csnap", &[]);
    hosts[0].until_owner("csnap");
    let second = hosts[1].serve("csnap", &[]);
    eventually(|| {
        hosts[1]
            .call(&["status", "csnap"])
            .stdout
            .contains("standby")
    });
    hosts[1].call(&["status", "csnap", "--depth", "10"]).code(7);
    // Every host knows where it is.
    let mut watch = hosts[1].run(&["watch", "csnap"], 0);
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=1 ");
    hosts[1].call(&["handover", "csnap"]).code(7);
    hosts[0].ok(&["handover", "csnap"]);
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=2 ");
    hosts[1].until_owner("csnap");
    // A death in whatever order.
    drop(second);
    hosts[0].until_owner("csnap");
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=3 ");
    hosts[0].ok(&["stop", "csnap"]);
    first.finish().code(0);
}

#[test]
fn a_server_that_ignores_term_is_killed() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    let text = "trap '' TERM; echo srv:x >&3; while :; do sleep 60; done";
    let run = [
        "run",
        "csnap",
        "--stop-timeout",
        "1",
        "--",
        "sh",
        "-c",
        text,
    ];
    let supervisor = host.run(&run, 0);
    host.until_owner("csnap");
    supervisor.signal(nix::sys::signal::Signal::SIGTERM);
    supervisor.finish().code(0);
    host.call(&["status", "csnap"]).code(7);
}

#[test]
fn a_server_that_dies_at_once_fails_and_recovers_when_told() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    let good = lock.dir().join("good");
    let text = format!(
        "test -e {} || exit 9; echo srv:x >&3; exec sleep 600",
        good.display()
    );
    let mut watch = host.run(&["watch", "csnap"], 0);
    let run = ["run", "csnap", "--restarts", "2", "--", "sh", "-c", &text];
    let supervisor = host.run(&run, 0);
    let failed = watch.stdout_line("event=failed");
    assert!(
        failed.contains("epoch=3 ") && failed.contains("status:%209"),
        "{failed}"
    );
    let status = host.call(&["status", "csnap"]);
    status.code(1);
    assert!(status.stdout.starts_with("csnap: failed"), "{status:?}");
    // The lock is somebody else's to take meanwhile.
    let other = Site::new(&lock, "h2");
    let theirs = other.serve("csnap", &[]);
    other.until_owner("csnap");
    drop(theirs);
    std::fs::write(good, "").unwrap();
    host.ok(&["recover", "csnap"]);
    host.until_owner("csnap");
    host.ok(&["stop", "csnap"]);
    supervisor.finish().code(0);
}

#[test]
fn who_is_left_behind_is_gone_before_the_next_one_starts() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    let log = lock.dir().join("log");
    // A worker in a session of its own, which writes on when the server is dead.
    let text = format!(
        "setsid sh -c 'while :; do echo '$ONESERVER_EPOCH' >> {0}; sleep 0.005; done' & echo srv:x >&3; wait",
        log.display()
    );
    let supervisor = host.run(&["run", "csnap", "--", "sh", "-c", &text], 0);
    for epoch in 1..5 {
        host.until_owner("csnap");
        let wanted = epoch.to_string();
        eventually(|| {
            std::fs::read_to_string(&log)
                .unwrap_or_default()
                .lines()
                .last()
                == Some(&wanted)
        });
        host.ok(&["recover", "csnap"]);
    }
    host.ok(&["stop", "csnap"]);
    supervisor.finish().code(0);
    let epochs: Vec<u64> = std::fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert!(
        epochs.is_sorted(),
        "an older incarnation wrote after a newer one"
    );
}

/// A server that has cleared its death signal outlives a supervisor that is killed, and keeps the lock.
/// The next supervisor there ends it, since nobody else will.
#[test]
fn a_server_whose_supervisor_was_killed_ends_when_the_next_one_begins() {
    let lock = Lock::made("csnap", 1);
    let hosts = ["h1", "h2"].map(|name| Site::new(&lock, name));
    let text = "echo srv:$$ >&$ONESERVER_READY_FD; exec 3>&-; exec sleep 600";
    let server = ["setpriv", "--pdeathsig", "clear", "sh", "-c", text];
    let words = [&["run", "csnap", "--"][..], &server].concat();
    let mut killed = hosts[0].run(&words, 0);
    hosts[0].until_owner("csnap");
    killed.kill();
    let told = hosts[0].call(&["status", "csnap"]).stdout;
    assert!(told.contains("abandoned"), "{told}");
    let _other = hosts[1].serve("csnap", &[]);
    let standby = || hosts[1].call(&["status", "csnap"]).stdout;
    eventually(|| standby().contains("standby"));
    // Two looks later it is still so.
    std::thread::sleep(std::time::Duration::from_secs(2));
    hosts[1].call(&["status", "csnap", "--depth", "10"]).code(7);
    let _next = hosts[0].serve("csnap", &[]);
    hosts[1].until_owner("csnap");
    let told = hosts[0].call(&["status", "csnap"]).stdout;
    assert!(told.contains("standby"), "{told}");
}

#[test]
fn a_check_that_fails_ends_the_server() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    let good = lock.dir().join("good");
    let check = format!("test -e {}", good.display());
    let mut watch = host.run(&["watch", "csnap"], 0);
    // The address is only published when the check succeeds.
    let run = [
        "run",
        "csnap",
        "--address",
        "tcp:here:1",
        "--check",
        &check,
        "--",
        "sleep",
        "600",
    ];
    let supervisor = host.run(&run, 0);
    watch.stdout_line("event=starting");
    host.call(&["address", "csnap"]).code(75);
    std::fs::write(&good, "").unwrap();
    watch.stdout_line("event=ready");
    assert_eq!(host.ok(&["address", "csnap"]), "tcp:here:1\n");
    std::fs::remove_file(&good).unwrap();
    watch.stdout_line("event=suspect");
    host.call(&["status", "csnap"]).code(1);
    std::fs::write(&good, "").unwrap();
    host.ok(&["stop", "csnap"]);
    supervisor.finish().code(0);
}

#[test]
fn started_on_demand() {
    let lock = Lock::made("csnap", 1);
    let hosts = ["h1", "h2"].map(|name| Site::new(&lock, name));
    let nobody = hosts[1].call(&["need", "csnap", "--wait", "5"]);
    nobody.code(7);
    assert!(nobody.stderr.contains("csnap: no agent"), "{nobody:?}");
    let agent = hosts[0].serve("csnap", &["--on-demand"]);
    eventually(|| {
        hosts[0]
            .call(&["status", "csnap"])
            .stdout
            .contains("standby")
    });
    eventually(|| {
        hosts[1]
            .call(&["need", "csnap", "--wait", "0"])
            .status
            .code()
            != Some(7)
    });
    // Asked for by a host that runs nothing of it.
    let needed = hosts[1].call(&["need", "csnap", "--wait", "60"]);
    needed.code(0);
    assert!(needed.stdout.contains("event=ready"), "{needed:?}");
    hosts[0].ok(&["stop", "csnap"]);
    agent.finish().code(0);
}

#[test]
fn instances() {
    let lock = Lock::made("csnap", 2);
    let hosts = ["h1", "h2", "h3"].map(|name| Site::new(&lock, name));
    let _running = hosts.each_ref().map(|host| host.serve("csnap", &[]));
    let addresses = |host: &Site| host.call(&["address", "csnap"]).stdout.lines().count();
    for host in &hosts {
        eventually(|| addresses(host) == 2);
    }
    let owners = || {
        let owner = |host: &&Site| {
            host.call(&["status", "csnap", "--depth", "10"])
                .status
                .code()
                == Some(0)
        };
        hosts.iter().filter(owner).count()
    };
    assert_eq!(owners(), 2);
    // Fewer: the highest one ends.
    hosts[0].ok(&["init", "csnap", "--instances", "1"]);
    eventually(|| hosts.iter().all(|host| addresses(host) == 1));
    eventually(|| owners() == 1);
    // The number goes on where it was.
    hosts[0].ok(&["init", "csnap", "--instances", "2"]);
    eventually(|| hosts.iter().all(|host| addresses(host) == 2));
    let json = hosts[0].ok(&["address", "csnap", "--json"]);
    let epochs: Vec<u64> = json
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["epoch"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(epochs, [1, 2]);
}

#[test]
fn a_lock_that_is_removed_or_replaced_ends_its_holder() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    let mut supervisor = host.serve("csnap", &[]);
    host.until_owner("csnap");
    let path = lock.dir().join("csnap.lock");
    let text = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    supervisor.stderr_line("no such lock");
    eventually(|| host.call(&["status", "csnap"]).stdout.contains("standby"));
    host.call(&["init", "csnap"]).code(3);
    // Restored by the administrator, who knows that nobody runs any more.
    std::fs::write(&path, text).unwrap();
    host.until_owner("csnap");
    host.call(&["check", "csnap", "2"]).code(0);
}

#[test]
fn a_subscriber_that_does_not_read_delays_nobody_and_is_told_everything_at_last() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    let supervisor = host.serve("csnap", &[]);
    host.until_owner("csnap");
    let dir = host
        .root()
        .join("var/run/getadapter/oneserver/csnap/events");
    let path = dir.join("slow");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut slow = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    // As full as it gets.
    nix::fcntl::fcntl(&slow, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut fill = std::fs::File::options().write(true).open(&path).unwrap();
    std::io::Write::write_all(&mut fill, &[b'x'; 4096]).unwrap();
    // And what only looks like a subscriber.
    std::fs::write(dir.join("file"), "").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join("link")).unwrap();
    let stale = dir.join("stale");
    nix::unistd::mkfifo(&stale, nix::sys::stat::Mode::S_IRWXU).unwrap();
    host.ok(&["recover", "csnap", "--wait", "20"]);
    assert!(!stale.exists(), "a FIFO without a reader stays");
    assert!(dir.join("file").exists() && dir.join("link").exists());
    let mut chunk = [0; 4096];
    std::io::Read::read_exact(&mut slow, &mut chunk).unwrap();
    let mut lines = std::io::BufReader::new(slow);
    let mut line = String::new();
    std::io::BufRead::read_line(&mut lines, &mut line).unwrap();
    assert!(
        line.starts_with("event=resync state=ready kind=csnap instance=1 epoch=2 "),
        "{line}"
    );
    host.ok(&["stop", "csnap"]);
    supervisor.finish().code(0);
}

#[test]
fn clients_do_not_wait_for_a_supervisor_that_is_stopped() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    let supervisor = host.serve("csnap", &[]);
    host.until_owner("csnap");
    supervisor.signal(nix::sys::signal::Signal::SIGSTOP);
    let started = std::time::Instant::now();
    host.ok(&["address", "csnap"]);
    host.ok(&["status", "csnap", "--depth", "20"]);
    host.call(&["recover", "csnap", "--wait", "0"]).code(124);
    host.call(&["need", "csnap", "--wait", "0"]).code(0);
    assert!(started.elapsed() < Duration::from_secs(5));
    supervisor.signal(nix::sys::signal::Signal::SIGCONT);
}

#[test]
fn what_others_could_have_prepared_is_refused() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    let run = host.root().join("var/run/getadapter");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let refused = host.run(&["run", "csnap", "--", "true"], 3).finish();
    assert!(
        refused.stderr.contains("others may write into it"),
        "{refused:?}"
    );
    std::fs::remove_dir(&run).unwrap();
    std::os::unix::fs::symlink(lock.dir(), &run).unwrap();
    host.run(&["run", "csnap", "--", "true"], 3).finish();
}

#[test]
fn addresses_that_cannot_be_published() {
    let lock = Lock::made("csnap", 1);
    let host = Site::new(&lock, "h1");
    host.run(&["run", "csnap", "--address", "a b", "--", "true"], 2)
        .finish()
        .code(2);
    for said in ["", "a b", "a\\033[2Jb"] {
        let text = format!("printf '{said}\\n' >&3; exec sleep 600");
        let mut watch = host.run(&["watch", "csnap"], 0);
        let supervisor = host.run(
            &["run", "csnap", "--restarts", "0", "--", "sh", "-c", &text],
            0,
        );
        let failed = watch.stdout_line("event=failed");
        assert!(failed.contains("said%20no%20address"), "{failed}");
        host.ok(&["stop", "csnap"]);
        supervisor.finish().code(0);
    }
}
