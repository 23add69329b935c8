//! What a reboot costs the management node, beside the least that a program per node can cost.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use scenarios::Cluster;
use simulators::{Bmcs, Config, Flavour};

use crate::measure::{children_cpu, cpu_of, median};

const NODES: usize = 200;
const ROUNDS: usize = 3;

/// All of it.
pub(crate) fn run() {
    let mut config = Config::of(Flavour::Bmcweb2026, NODES, Ipv4Addr::new(127, 2, 64, 1));
    config.groups.iter_mut().for_each(|group| group.port = 4430);
    config.scale = 50.0;
    config.log_requests = false;
    let bmcs = Bmcs::start(config);
    let cluster = Cluster::new(NODES);
    cluster.restore("site", "#key,value,comments,disable", []);
    let nodes = || (1..=NODES).map(|i| (format!("n{i}"), bmcs.address(i - 1).to_string()));
    cluster.restore(
        "nodehm",
        "#node,mgt",
        nodes().map(|(node, _)| vec![node, "redfish".into()]),
    );
    cluster.restore(
        "openbmc",
        "#node,bmc,username,password",
        nodes().map(|(node, bmc)| vec![node, bmc, "root".into(), "0penBmc".into()]),
    );
    let peers = peers();
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    let mut others: Vec<Vec<f64>> = peers.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        let before = children_cpu();
        cluster
            .run("nodereboot", &["all", "-f", "-s", "--batch", "0"])
            .code(0);
        ours.push((children_cpu() - before) / NODES as f64);
        floor.push(cpu_of(NODES as u32, || Command::new("/bin/true")));
        for ((_, peer), costs) in peers.iter().zip(&mut others) {
            costs.push(cpu_of(1, peer) / NODES as f64);
        }
    }
    let (ours, floor) = (median(&mut ours), median(&mut floor));
    println!(
        "reboot: {NODES} nodes, off and on by Redfish: {:.2} ms CPU per node, {:.1} times /bin/true per node",
        ours * 1e3,
        ours / floor
    );
    for ((name, _), mut costs) in peers.into_iter().zip(others) {
        let cost = median(&mut costs);
        println!(
            "reboot: {name}, which does nothing: {:.2} ms CPU per node, {:.1} times /bin/true",
            cost * 1e3,
            cost / floor
        );
    }
}

type Peer = (&'static str, fn() -> Command);

/// Programs that go over many nodes, where they are installed.
fn peers() -> Vec<Peer> {
    let all: [Peer; 1] = [("pdsh -R exec /bin/true", || {
        let mut command = Command::new("pdsh");
        command.args(["-R", "exec", "-f", "64", "-w"]);
        command.arg(format!("n[1-{NODES}]")).arg("/bin/true");
        command
    })];
    let installed = |peer: &Peer| {
        // It may be there without its exec module.
        let tried = peer.1().stdin(Stdio::null()).output();
        let found = tried.is_ok_and(|tried| tried.status.success());
        if !found {
            println!("reboot: {}: is not installed, or does not run", peer.0);
        }
        found
    };
    all.into_iter().filter(installed).collect()
}
