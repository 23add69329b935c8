//! The lock in a database.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Lock, Site, eventually};

fn hosts<const N: usize>(lock: &Lock, setting: &str) -> [Site; N] {
    std::array::from_fn(|at| Site::with_database(lock, &format!("h{at}"), setting))
}

#[test]
fn two_hosts_over_one_database() {
    let Some(server) = postgres_server::shared() else {
        return;
    };
    let setting = server.setting(&server.database());
    let lock = Lock::new();
    let hosts: [Site; 2] = hosts(&lock, &setting);
    let early = hosts[0].call(&["address", "csnap"]);
    early.code(3);
    assert!(
        early.stderr.contains("no such lock in the database"),
        "{early:?}"
    );
    hosts[0].ok(&["init", "csnap"]);
    hosts[1].call(&["init", "csnap"]).code(3);
    hosts[0].call(&["address", "csnap"]).code(7);
    hosts[0].call(&["need", "csnap", "--wait", "1"]).code(7);
    let first = hosts[0].serve("csnap", &[]);
    hosts[0].until_owner("csnap");
    hosts[0].ok(&["status", "csnap", "--depth", "20"]);
    let second = hosts[1].serve("csnap", &[]);
    let mut watch = hosts[1].run(&["watch", "csnap"], 0);
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=1 ");
    hosts[0].ok(&["recover", "csnap"]);
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=2 ");
    hosts[0].ok(&["handover", "csnap"]);
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=3 ");
    hosts[1].until_owner("csnap");
    // Killed, with its server: the session ends with it.
    drop(second);
    hosts[0].until_owner("csnap");
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=4 ");
    hosts[1].call(&["check", "csnap", "4"]).code(0);
    hosts[1].call(&["check", "csnap", "3"]).code(1);
    hosts[0].ok(&["stop", "csnap"]);
    first.finish().code(0);
    hosts[1].call(&["address", "csnap"]).code(7);
}

#[test]
fn what_a_server_left_keeps_the_lock() {
    let Some(server) = postgres_server::shared() else {
        return;
    };
    let setting = server.setting(&server.database());
    let lock = Lock::new();
    let hosts: [Site; 2] = hosts(&lock, &setting);
    hosts[0].ok(&["init", "csnap"]);
    // The signal at the supervisor's death reaches the shell and not its child.
    let text = "sleep 601 & echo pid:$! >&3; exec 3>&-; wait";
    let mut first = hosts[0].run(&["run", "csnap", "--", "sh", "-c", text], 0);
    hosts[0].until_owner("csnap");
    let address = hosts[0].ok(&["address", "csnap"]);
    let pid: i32 = address
        .trim()
        .strip_prefix("pid:")
        .unwrap()
        .parse()
        .unwrap();
    first.kill();
    let second = hosts[1].serve("csnap", &[]);
    eventually(|| {
        hosts[1]
            .call(&["status", "csnap"])
            .stdout
            .contains("standby")
    });
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        hosts[1].call(&["status", "csnap", "--depth", "10"]).code(7);
    }
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    hosts[1].until_owner("csnap");
    drop(second);
}

#[test]
fn a_database_that_ends_takes_the_server_along_and_begins_with_a_pause() {
    let Some(mut server) = postgres_server::Server::start(&[]) else {
        return;
    };
    let setting = server.setting(&server.database());
    let lock = Lock::new();
    let [host, other] = hosts::<2>(&lock, &setting);
    host.ok(&["init", "csnap"]);
    let supervisor = host.serve("csnap", &[]);
    host.until_owner("csnap");
    // Who watches where no supervisor is looks at the database, and does not end with it.
    let mut watch = other.run(&["watch", "csnap"], 0);
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=1 ");
    let pid: i32 = host
        .ok(&["address", "csnap"])
        .trim()
        .strip_prefix("srv:")
        .unwrap()
        .parse()
        .unwrap();
    server.stop();
    let down = Instant::now();
    eventually(|| kill(Pid::from_raw(pid), None).is_err());
    assert!(
        down.elapsed() < Duration::from_secs(3),
        "{:?}",
        down.elapsed()
    );
    watch.stdout_line("event=suspect kind=csnap instance=1 epoch=1 ");
    server.start_again();
    let up = Instant::now();
    host.until_owner("csnap");
    watch.stdout_line("event=ready kind=csnap instance=1 epoch=2 ");
    assert!(up.elapsed() > Duration::from_secs(2), "{:?}", up.elapsed());
    host.call(&["check", "csnap", "2"]).code(0);
    host.ok(&["stop", "csnap"]);
    supervisor.finish().code(0);
}

#[test]
fn started_on_demand() {
    let Some(server) = postgres_server::shared() else {
        return;
    };
    let setting = server.setting(&server.database());
    let lock = Lock::new();
    let hosts: [Site; 2] = hosts(&lock, &setting);
    hosts[0].ok(&["init", "csnap"]);
    let _agent = hosts[0].serve("csnap", &["--on-demand"]);
    eventually(|| {
        hosts[0]
            .call(&["status", "csnap"])
            .stdout
            .contains("standby")
    });
    eventually(|| {
        let needed = hosts[1].call(&["need", "csnap", "--wait", "30"]);
        needed.status.code() == Some(0)
    });
    hosts[0].until_owner("csnap");
}

#[test]
fn instances() {
    let Some(server) = postgres_server::shared() else {
        return;
    };
    let setting = server.setting(&server.database());
    let lock = Lock::new();
    let hosts: [Site; 2] = hosts(&lock, &setting);
    hosts[0].ok(&["init", "csnap", "--instances", "2"]);
    let _running = hosts
        .each_ref()
        .map(|host| host.serve("csnap", &["--verbose"]));
    let addresses = |host: &Site| host.call(&["address", "csnap"]).stdout.lines().count();
    for host in &hosts {
        eventually(|| addresses(host) == 2);
    }
    hosts[0].ok(&["init", "csnap", "--instances", "1"]);
    for host in &hosts {
        eventually(|| addresses(host) == 1);
    }
}
