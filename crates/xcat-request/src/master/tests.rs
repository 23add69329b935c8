#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::{Sources, find, nonce, pin};
use crate::Target;

/// A tree of files, and variables.
struct Node {
    root: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
    option: Option<Target>,
}

impl Node {
    fn new() -> Node {
        Node {
            root: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
            option: None,
        }
    }

    fn file(self, path: &str, text: &str) -> Node {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn set(mut self, name: &'static str, text: &'static str) -> Node {
        self.variables.push((name, text));
        self
    }

    fn with<T>(&self, work: impl FnOnce(&Sources<'_>) -> T) -> T {
        let environment = |name: &str| {
            let mut all = self.variables.iter().rev();
            all.find(|(key, _)| *key == name)
                .map(|(_, text)| (*text).to_string())
        };
        work(&Sources {
            option: self.option.as_ref(),
            environment: &environment,
            root: self.root.path(),
        })
    }

    fn found(&self) -> String {
        match self.with(find) {
            Ok(Some(master)) => {
                let targets: Vec<_> = master.targets.iter().map(Target::to_string).collect();
                format!("{} by {}", targets.join(" "), master.source)
            }
            Ok(None) => "nothing".into(),
            Err(error) => error.to_string(),
        }
    }
}

const LEASE: &str = "lease {\n option dhcp-server-identifier 10.0.0.6;\n}\n\
                     lease {\n option dhcp-server-identifier 10.0.0.5;\n}\n";

#[test]
fn the_sources_are_asked_in_their_order() {
    let node = Node::new();
    assert_eq!(node.found(), "nothing");
    let node = node.file("var/lib/dhclient/dhclient.leases", LEASE);
    assert_eq!(node.found(), "10.0.0.5:3001 10.0.0.6:3001 by DHCP lease");
    let node = node.file("proc/cmdline", "quiet xcatd=10.0.0.4:3004\n");
    assert_eq!(node.found(), "10.0.0.4:3004 by xcatd=");
    let node = node.file(
        "run/xcat/genesis.env",
        "XCATMASTER=fd00::3\nXCATPORT=3003\n",
    );
    assert_eq!(node.found(), "[fd00::3]:3003 by /run/xcat/genesis.env");
    let node = node.set("XCATMASTER", "mn").set("XCATPORT", "3002");
    assert_eq!(node.found(), "mn:3002 by XCATMASTER");
    let line = "xcatd=10.0.0.4:3004 nodetools.report=10.0.0.1:4001 nodetools.nonce=0f";
    let node = node.file("proc/cmdline", line);
    assert_eq!(node.found(), "10.0.0.1:4001 by nodetools.report");
    let node = node.set("NODETOOLS_REPORT", "[fd00::2]:4002");
    assert_eq!(node.found(), "[fd00::2]:4002 by NODETOOLS_REPORT");
    let mut node = node;
    node.option = Some("other:1".parse().unwrap());
    assert_eq!(node.found(), "other:1 by option");
}

#[test]
fn a_port_is_kept_wherever_it_stands() {
    let kernel = |line: &str| Node::new().file("proc/cmdline", line).found();
    assert_eq!(kernel("xcatd=[fd00::1]:3005"), "[fd00::1]:3005 by xcatd=");
    assert_eq!(kernel("xcatd=mn"), "mn:3001 by xcatd=");
    assert_eq!(kernel("xcatd=mn:"), "mn:3001 by xcatd=");
    assert_eq!(kernel("xcatd="), "nothing");
    let node = Node::new().set("XCATMASTER", "mn").set("XCATPORT", "");
    assert_eq!(node.found(), "mn:3001 by XCATMASTER");
    let node = Node::new()
        .set("XCATMASTER", "")
        .file("proc/cmdline", "xcatd=a:7");
    assert_eq!(node.found(), "a:7 by xcatd=");
}

#[test]
fn a_wrong_value_is_said_and_not_passed_over() {
    let node = Node::new().file(
        "proc/cmdline",
        "xcatd=mn:3001 nodetools.report=10.0.0.1:http",
    );
    assert_eq!(
        node.found(),
        "nodetools.report: 10.0.0.1:http: not a port number"
    );
    let node = Node::new()
        .set("XCATMASTER", "a b\u{1b}")
        .set("XCATPORT", "1");
    assert_eq!(
        node.found(),
        "XCATMASTER: a b\\u{1b}: not a host name or address"
    );
    let node = Node::new().set("XCATMASTER", "mn").set("XCATPORT", "70000");
    assert_eq!(node.found(), "XCATPORT: 70000: not a port number");
}

#[test]
fn pin_and_nonce_come_from_the_environment_or_the_kernel_line() {
    let ours = "ab".repeat(32);
    let node = Node::new().file(
        "proc/cmdline",
        &format!("nodetools.pin={ours} nodetools.nonce=0123"),
    );
    assert_eq!(node.with(pin).unwrap().unwrap().to_string(), ours);
    assert_eq!(node.with(nonce).unwrap().as_deref(), Some("0123"));
    let node = node.set("NODETOOLS_NONCE", "ff");
    assert_eq!(node.with(nonce).unwrap().as_deref(), Some("ff"));
    let node = node
        .set("NODETOOLS_PIN", "abc")
        .set("NODETOOLS_NONCE", "<x>");
    let error = node.with(pin).unwrap_err().to_string();
    assert_eq!(error, "NODETOOLS_PIN: abc: a pin is 64 hexadecimal digits");
    assert!(node.with(nonce).is_err());
    assert!(Node::new().with(pin).unwrap().is_none());
}

#[test]
fn every_lease_file_counts_and_servers_are_named_once() {
    let internal = "ADDRESS=10.0.0.17\nSERVER_ADDRESS=10.0.0.7\n";
    let node = Node::new()
        .file("var/lib/dhcp/dhclient.eth0.leases", LEASE)
        .file(
            "var/lib/dhclient/dhclient6.leases",
            &LEASE.replace("10.0.0", "10.6.6"),
        )
        .file("var/lib/NetworkManager/internal-1-eth0.lease", internal)
        .file(
            "var/lib/NetworkManager/dhclient-1-eth1.lease",
            &LEASE.replace("10.0.0", "10.0.1"),
        )
        .file(
            "run/NetworkManager/devices/2",
            "[device]\nnext-server=10.0.0.5\n",
        )
        .file(
            "var/lib/NetworkManager/secret_key",
            "SERVER_ADDRESS=10.6.6.6",
        );
    // The two of NetworkManager may have been written in the same instant.
    let found = node.found();
    assert!(
        found.starts_with("10.0.0.5:3001 10.0.0.6:3001 10."),
        "{found}"
    );
    for server in ["10.0.0.7", "10.0.1.5", "10.0.1.6"] {
        assert!(found.contains(server), "{found}");
    }
    assert!(!found.contains("10.6.6"), "{found}");
    assert_eq!(found.matches("10.0.0.5:").count(), 1, "{found}");
}

#[test]
fn an_endless_file_is_read_in_part() {
    let node = Node::new();
    std::fs::create_dir(node.root.path().join("proc")).unwrap();
    let line = node.root.path().join("proc/cmdline");
    std::os::unix::fs::symlink(Path::new("/dev/zero"), line).unwrap();
    assert_eq!(node.found(), "nothing");
}
