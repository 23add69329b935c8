//! nodereboot by way of other programs: virsh on a guest's host, and xCAT's rpower, rsetboot and
//! updatenode, each a script that notes its calls and keeps the power of its nodes.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use scenarios::{Cluster, Finished};

/// Keeps a guest's power; `deaf` ignores the button, `lost` is unknown.
const VIRSH: &str = r#"
verb=$5 guest=$6
echo "$3 $verb $guest" >> "$root/calls.virsh"
[ "$guest" != lost ] || { echo "error: failed to get domain 'lost'" >&2; exit 1; }
case $verb in
domstate) if [ -e "$root/off.$guest" ]; then echo 'shut off'; else echo running; fi ;;
shutdown) [ "$guest" = deaf ] || : > "$root/off.$guest" ;;
destroy) : > "$root/off.$guest" ;;
start) rm "$root/off.$guest" ;;
*) exit 1 ;;
esac
"#;

const RPOWER: &str = r#"
echo "$*" >> "$root/calls.rpower"
for node in $(echo "$1" | tr , ' '); do
	case $2 in
	off) : > "$root/off.$node" ;;
	on) rm -f "$root/off.$node" ;;
	esac
	if [ -e "$root/off.$node" ]; then echo "$node: off"; else echo "$node: on"; fi
done
"#;

/// n2 always fails.
const OTHER: &str = r#"
echo "$*" >> "$root/calls.${0##*/}"
for node in $(echo "$1" | tr , ' '); do
	case $node in
	n2) echo "$node: Error: out of paper" >&2 ;;
	*) echo "$node: done" ;;
	esac
done
"#;

/// `names` with this `nodehm.mgt` and `vm.host` each; no sshd lets us in.
fn cluster(nodes: &[(&str, &str, &str)]) -> Cluster {
    let cluster = Cluster::new(0);
    cluster.restore("site", "#key,value,comments,disable", []);
    let names = nodes
        .iter()
        .map(|(name, ..)| vec![(*name).into(), "all".into()]);
    cluster.restore("nodelist", "#node,groups", names);
    let kinds = nodes
        .iter()
        .map(|(name, kind, _)| vec![(*name).into(), (*kind).into()]);
    cluster.restore("nodehm", "#node,mgt", kinds);
    let guests = nodes.iter().filter(|(.., host)| !host.is_empty());
    let hosts = guests.map(|(name, _, host)| vec![(*name).into(), (*host).into()]);
    cluster.restore("vm", "#node,host", hosts);
    script(&cluster, "usr/bin/ssh", "exit 255");
    script(&cluster, "usr/bin/virsh", VIRSH);
    script(&cluster, "opt/xcat/bin/rpower", RPOWER);
    script(&cluster, "opt/xcat/bin/rsetboot", OTHER);
    script(&cluster, "opt/xcat/bin/updatenode", OTHER);
    cluster
}

fn script(cluster: &Cluster, name: &str, body: &str) {
    let path = cluster.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let root = cluster.root().display();
    fs::write(&path, format!("#!/bin/sh\nroot='{root}'\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs it; each node's number.
fn reboot(cluster: &Cluster, args: &[&str]) -> (Finished, BTreeMap<String, i32>) {
    let done = cluster.run("nodereboot", &[args, &["--status-fd", "1"]].concat());
    let pairs = done.stdout.lines().filter_map(|line| line.split_once(','));
    let numbers = pairs.filter_map(|(node, status)| Some((node.into(), status.parse().ok()?)));
    let numbers = numbers.collect();
    (done, numbers)
}

fn numbers<const N: usize>(pairs: [(&str, i32); N]) -> BTreeMap<String, i32> {
    pairs.map(|(node, status)| (node.into(), status)).into()
}

/// The calls of a program.
fn calls(cluster: &Cluster, program: &str) -> Vec<String> {
    let text = fs::read_to_string(cluster.path(&format!("calls.{program}"))).unwrap_or_default();
    text.lines().map(String::from).collect()
}

/// What was done to a guest, looks left out.
fn guest(cluster: &Cluster, name: &str) -> Vec<String> {
    let mut calls = calls(cluster, "virsh");
    calls.retain(|call| call.ends_with(&format!(" {name}")) && !call.contains(" domstate "));
    calls
}

#[test]
fn guests_are_rebooted_on_their_host_or_with_it() {
    let cluster = cluster(&[
        ("host", "blade", ""),
        ("inside", "kvm", "host"),
        ("gentle", "kvm", "elsewhere"),
        ("deaf", "kvm", "elsewhere"),
        ("dark", "kvm", "elsewhere"),
        ("lost", "kvm", "elsewhere"),
        ("homeless", "kvm", ""),
    ]);
    fs::write(cluster.path("off.dark"), "").unwrap();
    let (done, found) = reboot(&cluster, &["all", "--limit", "soft=2"]);
    done.code(1);
    let expected = [
        ("host", 0),
        ("inside", 10),
        ("gentle", 0),
        ("deaf", 0),
        ("dark", 0),
        ("lost", 3),
        ("homeless", 1),
    ];
    assert_eq!(found, numbers(expected), "{}", done.stderr);
    let uri = |host: &str, verb: &str, name: &str| {
        format!("qemu+ssh://root@{host}/system?no_tty=1 {verb} {name}")
    };
    let on = |verbs: &[&str], name: &str| -> Vec<String> {
        verbs
            .iter()
            .map(|verb| uri("elsewhere", verb, name))
            .collect()
    };
    assert_eq!(
        guest(&cluster, "gentle"),
        on(&["shutdown", "start"], "gentle")
    );
    assert_eq!(
        guest(&cluster, "deaf"),
        on(&["shutdown", "destroy", "start"], "deaf")
    );
    assert_eq!(guest(&cluster, "dark"), on(&["start"], "dark"));
    // Nobody touched it.
    assert!(
        !calls(&cluster, "virsh")
            .iter()
            .any(|call| call.ends_with(" inside"))
    );
    let why = "lost: power command failed: ";
    assert!(done.stderr.contains(why), "{}", done.stderr);
    assert!(
        done.stderr.contains("failed to get domain 'lost'"),
        "{}",
        done.stderr
    );
    let why = "homeless: could not be started: is a kvm guest without vm.host";
    assert!(done.stderr.contains(why), "{}", done.stderr);
    // Alone it is rebooted on its host.
    let (done, found) = reboot(&cluster, &["inside"]);
    done.code(0);
    assert_eq!(found, numbers([("inside", 0)]));
    let expected = ["shutdown", "start"].map(|verb| uri("host", verb, "inside"));
    assert_eq!(guest(&cluster, "inside"), expected);
}

#[test]
fn only_where_the_configuration_fails_is_the_node_rebooted() {
    let cluster = cluster(&[
        ("n1", "blade", ""),
        ("n2", "blade", ""),
        ("n3", "blade", ""),
    ]);
    let (done, found) = reboot(&cluster, &["all", "-c"]);
    done.code(0);
    assert_eq!(
        found,
        numbers([("n1", 0), ("n2", 0), ("n3", 0)]),
        "{}",
        done.stderr
    );
    assert_eq!(calls(&cluster, "updatenode"), ["n1,n2,n3 -P"]);
    let mut power = calls(&cluster, "rpower");
    assert!(
        power.iter().all(|call| call.starts_with("n2 ")),
        "{power:?}"
    );
    power.retain(|call| call != "n2 stat");
    assert_eq!(power, ["n2 off", "n2 on"]);
}

#[test]
fn without_its_boot_device_no_node_is_rebooted() {
    for (device, word) in [("net", "net"), ("disk", "hd"), ("none", "default")] {
        let cluster = cluster(&[("n1", "blade", ""), ("n2", "blade", "")]);
        let (done, found) = reboot(&cluster, &["all", "--boot", device]);
        done.code(1);
        assert_eq!(found, numbers([("n1", 0), ("n2", 3)]), "{}", done.stderr);
        assert_eq!(calls(&cluster, "rsetboot"), [format!("n1,n2 {word}")]);
        assert!(done.stderr.contains("out of paper"), "{}", done.stderr);
        let power = calls(&cluster, "rpower");
        assert!(
            !power.is_empty() && power.iter().all(|call| call.starts_with("n1 ")),
            "{power:?}"
        );
    }
}
