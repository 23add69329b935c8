//! Nodes with a real sshd, as ssh sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use simulators::{Bmcs, Config, Flavour, Happened, NodeFault, Order, Power, SimNet, SimNode};
use support::{have, root};

const BOOT: Duration = Duration::from_millis(800);

fn said(net: &SimNet, node: &SimNode, command: &str) -> Result<String, i32> {
    let output = net.ssh(node.address).arg(command).output().expect("ssh");
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_string())
    } else {
        Err(output.status.code().unwrap_or(-1))
    }
}

#[test]
fn a_node_reboots() {
    if !root() || !have("ssh") {
        return;
    }
    let net = SimNet::new();
    let node = SimNode::start(&net, 1, BOOT);
    let id = || said(&net, &node, "cat /proc/sys/kernel/random/boot_id");
    let first = id().expect("ssh works");
    assert_eq!(first, node.now().boot_id);
    assert_eq!(said(&net, &node, "hostname"), Ok("n1".into()));
    let mut ways = vec![
        ("reboot", "reboot"),
        ("/sbin/shutdown -r now", "shutdown -r now"),
        ("systemctl reboot", "systemctl reboot"),
    ];
    if std::path::Path::new("/proc/sysrq-trigger").exists() {
        ways.push(("echo b > /proc/sysrq-trigger", "b"));
    }
    for (command, order) in ways {
        let boots = node.now().boots;
        let _ = said(&net, &node, command);
        node.wait(|now| !now.up);
        node.wait(|now| now.up && now.boots == boots + 1);
        assert_ne!(id().unwrap(), first);
        assert_eq!(node.now().orders.last().unwrap(), order);
    }
    // The real machine has kept its own.
    let own = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_ne!(own.trim(), id().unwrap());
}

#[test]
fn faults_of_nodes() {
    if !root() || !have("ssh") {
        return;
    }
    let net = SimNet::new();
    let node = SimNode::start(&net, 1, BOOT);
    node.fault(NodeFault::RefusesKey, true);
    assert_eq!(said(&net, &node, "true"), Err(255));
    node.fault(NodeFault::RefusesKey, false);
    node.fault(NodeFault::RebootFails, true);
    assert_eq!(said(&net, &node, "reboot"), Err(1));
    node.fault(NodeFault::RebootIgnored, true);
    assert_eq!(said(&net, &node, "reboot"), Ok(String::new()));
    node.fault(NodeFault::RebootHangs, true);
    assert_eq!(said(&net, &node, "timeout 1 reboot"), Err(124));
    node.fault(NodeFault::RebootHangs, false);
    let id = node.now().boot_id;
    node.fault(NodeFault::SameBootId, true);
    node.boot();
    assert_eq!(node.wait(|now| now.up && now.boots == 2).boot_id, id);
    node.fault(NodeFault::NeverUp, true);
    node.boot();
    node.wait(|now| !now.up);
    assert_eq!(said(&net, &node, "true"), Err(255));
}

#[test]
fn a_node_follows_its_bmc() {
    if !root() || !have("ssh") {
        return;
    }
    let net = SimNet::new();
    let mut config = Config::of(Flavour::Bmcweb2026, 1, Ipv4Addr::new(127, 2, 0, 1));
    config.scale = 20.0;
    let bmcs = Bmcs::start_in(&net, config);
    let node = SimNode::start(&net, 1, BOOT);
    node.follow(&bmcs, 0);
    let root = net
        .command("curl")
        .args(["-sk", "https://127.2.0.1/redfish/v1"])
        .output()
        .unwrap();
    assert!(root.stdout.starts_with(b"{"), "{root:?}");
    bmcs.order(0, Order::ForceOff);
    bmcs.wait(|event| event.what == Happened::Power { power: Power::Off });
    node.wait(|now| !now.up);
    bmcs.order(0, Order::On);
    node.wait(|now| now.up && now.boots == 2);
    assert_eq!(said(&net, &node, "true"), Ok(String::new()));
}
