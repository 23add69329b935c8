//! findadapter-agent and callbackd: pin, nonce, acknowledgement.

use std::process::Command;

use scenarios::sysfs::make_adapters;
use scenarios::{Boot, Cluster, Finished};

/// A cluster of one node that has this machine's own loopback address, and a kernel tree for it.
fn cluster() -> Cluster {
    let cluster = Cluster::new(1);
    cluster.restore("hosts", "#node,ip", [vec!["n1".into(), "127.0.0.1".into()]]);
    make_adapters(&cluster.path("node"), 4);
    cluster
}

/// The agent as genesis starts it: all it knows is in its environment.
fn agent(cluster: &Cluster, boot: &Boot, seconds: u32) -> Command {
    let mut command = Command::new(scenarios::program("findadapter-agent"));
    command
        .env_clear()
        .args(["--timeout", &seconds.to_string(), "--sysroot"])
        .arg(cluster.path("node"))
        .env("NODETOOLS_REPORT", &boot.report)
        .env("NODETOOLS_PIN", &boot.pin)
        .env("NODETOOLS_NONCE", &boot.nonce);
    command
}

fn run(mut command: Command) -> Finished {
    command.output().unwrap().into()
}

#[test]
fn the_agent_ends_with_zero_when_its_report_is_safe() {
    let cluster = cluster();
    // The node's address answers on port 22 where a machine runs sshd.
    let scan = cluster.start("getadapter", &["n1", "--reboot-running", "--timeout", "60"]);
    let boot = cluster.booted();
    run(agent(&cluster, &boot, 20)).code(0);
    let finished = scan.finish();
    finished.code(0);
    assert_eq!(finished.stdout.lines().count(), 4, "{}", finished.stdout);
    assert!(
        finished
            .stdout
            .contains("n1:[0]->eth0!mac=52:54:00:00:00:00|pci=/pci0000:00/0000:00:00.0"),
        "{}",
        finished.stdout
    );
    assert!(
        cluster.stored("n1").unwrap().contains("candidatename="),
        "names by the scheme"
    );
}

#[test]
fn another_servers_key_is_refused_and_nothing_is_said_to_it() {
    let cluster = cluster();
    let scan = cluster.start("getadapter", &["n1", "--reboot-running", "--timeout", "60"]);
    let boot = cluster.booted();
    let other = Boot {
        pin: "0".repeat(64),
        ..boot.clone()
    };
    run(agent(&cluster, &other, 2)).code(1);
    assert!(cluster.waiting().is_empty() && cluster.stored("n1").is_none());
    run(agent(&cluster, &boot, 20)).code(0);
    scan.finish().code(0);
}

#[test]
fn an_agent_without_anybody_to_tell_gives_up_in_time() {
    let cluster = cluster();
    let boot = Boot {
        action: String::new(),
        report: "127.0.0.1:1".into(),
        pin: "0".repeat(64),
        nonce: "0".repeat(32),
        nodes: Vec::new(),
    };
    let finished = run(agent(&cluster, &boot, 1));
    finished.code(1);
    assert!(
        finished.stderr.contains("127.0.0.1:1"),
        "{}",
        finished.stderr
    );
}
