//! nodereboot against nodes with a real sshd, by the real ssh: what is gentle, what proves a reboot, and
//! what follows where that does not work.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use scenarios::{Cluster, Finished, Running, parts, program};
use simulators::{Bmcs, Config, Flavour, Happened, NodeFault, SimNet, SimNode};

/// Long enough to be seen closed by a program that looks once a second.
const BOOT: Duration = Duration::from_secs(6);

/// A management node with nodes `n1`.. in namespaces of their own.
struct Site {
    net: SimNet,
    nodes: Vec<SimNode>,
    cluster: Cluster,
}

impl Site {
    /// None if a part is missing.
    fn new(count: usize) -> Option<Site> {
        let parts = ["unshare", "nsenter", "ip", "ssh", "ssh-keygen"];
        if !parts::root() || !parts.iter().all(|part| parts::have(part)) {
            return None;
        }
        let net = SimNet::new();
        let nodes: Vec<SimNode> = (1..=count).map(|i| SimNode::start(&net, i, BOOT)).collect();
        let cluster = Cluster::new(count);
        cluster.restore("site", "#key,value,comments,disable", []);
        let addresses = nodes.iter().enumerate();
        cluster.restore(
            "hosts",
            "#node,ip",
            addresses.map(|(i, node)| vec![format!("n{}", i + 1), node.address.to_string()]),
        );
        // The real ssh, with this network's key and known hosts.
        let ssh = cluster.path("usr/bin/ssh");
        fs::create_dir_all(ssh.parent().unwrap()).unwrap();
        let script = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F none -i '{}' -oUserKnownHostsFile='{}' \"$@\"\n",
            net.key().display(),
            net.dir().join("known").display()
        );
        fs::write(&ssh, script).unwrap();
        fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).unwrap();
        Some(Site {
            net,
            nodes,
            cluster,
        })
    }

    /// BMCs in the same network, whose power is the nodes'.
    fn with_bmcs(&self) -> Bmcs {
        let mut config = Config::of(
            Flavour::Bmcweb2026,
            self.nodes.len(),
            Ipv4Addr::new(127, 2, 0, 1),
        );
        config.scale = 20.0;
        let bmcs = Bmcs::start_in(&self.net, config);
        let numbered = || (1..).zip(&self.nodes);
        self.cluster.restore(
            "nodehm",
            "#node,mgt",
            numbered().map(|(i, _)| vec![format!("n{i}"), "redfish".into()]),
        );
        self.cluster.restore(
            "openbmc",
            "#node,bmc,username,password",
            numbered().map(|(i, _)| {
                let address = bmcs.address(i - 1).to_string();
                vec![format!("n{i}"), address, "root".into(), "0penBmc".into()]
            }),
        );
        numbered().for_each(|(i, node)| node.follow(&bmcs, i - 1));
        bmcs
    }

    fn start(&self, args: &[&str]) -> Running {
        let mut command = self.net.command(program("nodereboot"));
        self.cluster.environment(&mut command);
        Running::start(command.args(args).stdin(std::process::Stdio::null()))
    }

    fn run(&self, args: &[&str]) -> Finished {
        self.start(args).finish()
    }
}

#[test]
fn nodes_that_answer_ssh_are_rebooted_by_ssh() {
    let Some(site) = Site::new(2) else { return };
    let before = site.nodes[0].now().boot_id;
    let done = site.run(&["all", "-w", "-W", "60", "-F", "-V"]);
    done.code(0);
    for (i, node) in site.nodes.iter().enumerate() {
        let text = format!("n{}: rebooted by ssh, up after ", i + 1);
        assert!(done.stdout.contains(&text), "{}", done.stdout);
        assert_eq!(node.now().boots, 2);
        assert_eq!(node.now().orders, ["reboot"]);
    }
    assert_ne!(site.nodes[0].now().boot_id, before);
    assert!(
        done.stderr.contains("n1: reboots it by ssh (limit 20 s)"),
        "{}",
        done.stderr
    );
    // Without a wait it ends when the node has gone down.
    let done = site.run(&["n1", "-F"]);
    done.code(0);
    assert_eq!(done.stdout, "n1: rebooted by ssh\n");
    site.nodes[0].wait(|now| now.boots == 3);
}

#[test]
fn the_same_boot_id_is_not_up_and_neither_is_a_node_that_stays_away() {
    let Some(site) = Site::new(2) else { return };
    site.nodes[0].fault(NodeFault::SameBootId, true);
    site.nodes[1].fault(NodeFault::NeverUp, true);
    let done = site.run(&["all", "-W", "25", "-F"]);
    done.code(1);
    let text = "n1: did not come up in time: after 25 s: it answers with the boot id of before";
    assert!(done.stderr.contains(text), "{}", done.stderr);
    let text = "n2: did not come up in time: after 25 s: its ssh port does not answer";
    assert!(done.stderr.contains(text), "{}", done.stderr);
}

#[test]
fn what_ssh_does_not_reach_power_does() {
    let Some(site) = Site::new(3) else { return };
    let bmcs = site.with_bmcs();
    site.nodes[0].fault(NodeFault::RefusesKey, true);
    site.nodes[1].fault(NodeFault::RebootIgnored, true);
    let done = site.run(&[
        "all", "-W", "60", "--limit", "down=15", "--limit", "soft=20",
    ]);
    done.code(0);
    // Its port was closed and is open again: more cannot be known without a key.
    assert!(
        done.stdout.contains("n1: rebooted by power, up after "),
        "{}",
        done.stdout
    );
    assert!(done.stdout.contains("Permission denied"), "{}", done.stdout);
    let n2 = done
        .stdout
        .lines()
        .find(|line| line.starts_with("n2: "))
        .unwrap();
    assert!(n2.contains("rebooted by power, up after "), "{n2}");
    assert!(n2.contains("s after the reboot by ssh"), "{n2}");
    assert!(
        done.stdout.contains("n3: rebooted by ssh, up after "),
        "{}",
        done.stdout
    );
    assert_eq!(
        bmcs.state(2).requests,
        0,
        "the gentle way asks no controller"
    );
}

#[test]
fn without_ssh_the_status_of_the_tables_tells() {
    let Some(site) = Site::new(2) else { return };
    let bmcs = site.with_bmcs();
    // No address: nobody can ask them.
    site.cluster.restore("hosts", "#node,ip", []);
    let status = |n1: [&str; 2], n2: [&str; 2]| {
        let row = |node: &str, [status, time]: [&str; 2]| {
            vec![node.into(), "all".into(), status.into(), time.into()]
        };
        site.cluster.restore(
            "nodelist",
            "#node,groups,status,statustime",
            [row("n1", n1), row("n2", n2)],
        );
    };
    let old = ["booted", "01-02-2026 03:04:05"];
    status(old, old);
    let mut run = site.start(&["all", "-W", "100", "-V"]);
    for node in ["n1", "n2"] {
        run.stderr_line(&format!("{node}: waits until it is up"));
    }
    bmcs.wait(|event| event.bmc == 1 && matches!(event.what, Happened::Boot { .. }));
    // Not before the status of before has been read.
    for node in ["n1", "n2"] {
        run.stderr_line(&format!("{node}: its status is booted since 01-02-2026"));
    }
    status(
        ["booted", "01-02-2026 03:05:00"],
        ["failed", "01-02-2026 03:05:00"],
    );
    let done = run.finish();
    done.code(1);
    assert!(done.stdout.contains("n1: "), "{}", done.stdout);
    assert!(
        done.stderr.contains("n2: came up in a failure state"),
        "{}",
        done.stderr
    );
}
