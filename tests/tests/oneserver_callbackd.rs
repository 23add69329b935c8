//! Two management nodes with one database: callbackd under oneserver on both, one of them serves. When
//! its host's supervisor is killed, the other one takes the nodes' reports.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use scenarios::{Cluster, Host, Node, Running, parts, program, report_xml};

#[track_caller]
fn until(mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "it does not come"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn management_node<'c>(cluster: &'c Cluster, name: &str) -> (Host<'c>, Running) {
    let host = Host::new(cluster, name);
    let mut command = host.command("oneserver");
    command
        .args(["run", "callbackd", "--engine", "pg", "--verbose"])
        .args(["--address", &format!("tcp:{name}:{}", cluster.port), "--"])
        .arg(program("callbackd"));
    let running = Running::start(&mut command);
    (host, running)
}

#[test]
fn one_of_two_management_nodes_takes_the_reports() {
    if !parts::root() || !parts::have("unshare") || !parts::have("nsenter") || !parts::have("ip") {
        return;
    }
    let Some(cluster) = Cluster::on_postgres(2) else {
        return;
    };
    let made = cluster.run("oneserver", &["init", "callbackd", "--engine", "pg"]);
    made.code(0);
    // Who waits is on a host of its own.
    let waits = Host::new(&cluster, "three");
    let waiter = waits.start("getadapter", &["n1,n2", "--timeout", "300"]);
    cluster.booted();
    let (one, first) = management_node(&cluster, "one");
    let address = |host: &Host<'_>| {
        let said = host.run("oneserver", &["address", "callbackd", "--engine", "pg"]);
        said.stdout.trim().to_string()
    };
    let place = |name: &str| format!("tcp:{name}:{}", cluster.port);
    until(|| address(&one) == place("one"));
    let (two, second) = management_node(&cluster, "two");
    // Both know where it is.
    until(|| address(&two) == place("one"));
    let report = |host: &Host<'_>, i: usize| {
        let node = Node::of(&cluster, i);
        host.on_network(|| node.say(report_xml("", &["eno1"]).as_bytes()))
    };
    let stored = |host: &Host<'_>, i| report(host, i).is_ok_and(|said| said.contains("serverdone"));
    // It was published when it had begun, and may not listen yet.
    until(|| stored(&one, 1));
    assert!(report(&two, 2).is_err(), "two of them listen");
    // Until it is in the tables, it lies on that host alone.
    until(|| cluster.stored("n1").is_some());
    first.signal(Signal::SIGKILL);
    until(|| address(&two) == place("two"));
    until(|| stored(&two, 2));
    assert!(report(&one, 2).is_err(), "the first one still listens");
    let ended = waiter.finish();
    ended.code(0);
    for node in ["n1", "n2"] {
        assert!(
            ended.stdout.contains(&format!("{node}:[0]->eno1!")),
            "{}",
            ended.stdout
        );
    }
    second.signal(Signal::SIGTERM);
    second.finish().code(0);
}
