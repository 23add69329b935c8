//! `nodereboot --boot net --direct-bootp`: a host in a namespace of its own stands for the HMC, with a real sshd; its
//! `lssyscfg` and `lpar_netboot` are scripts that write down how they were called.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use scenarios::{Cluster, Finished, parts, program};
use simulators::{SimNet, SimNode};

const PARTS: [&str; 5] = ["unshare", "nsenter", "ip", "ssh", "ssh-keygen"];

/// Partition 4 cannot be booted.
const HMC: &str = r#"#!/bin/sh
{
	printf '%s' "${0##*/}"
	printf ' [%s]' "$@"
	echo
} >>"@DIR@/calls"
case ${0##*/} in
lssyscfg)
	for word; do
		case $word in lpar_ids=*) echo "lpar ${word#*=}" ;; esac
	done
	;;
lpar_netboot)
	case "$*" in
	*"lpar 4"*)
		echo '# bootp operation failed.'
		exit 1
		;;
	esac
	echo '# Network boot proceeding, lpar_netboot is exiting.'
	;;
esac
"#;

struct Site {
    cluster: Cluster,
    net: SimNet,
    _hmc: SimNode,
}

impl Site {
    fn new() -> Site {
        let net = SimNet::new();
        let hmc = SimNode::start(&net, 1, Duration::from_millis(100));
        let cluster = Cluster::new(0);
        let dir = net.dir().display().to_string();
        let tool = net.dir().join("hmc");
        script(&tool, &HMC.replace("@DIR@", &dir));
        for name in ["lssyscfg", "lpar_netboot"] {
            let link = format!("ln -s '{}' /usr/sbin/{name}", tool.display());
            assert!(net.ssh(hmc.address).arg(&link).status().unwrap().success());
        }
        let ssh = cluster.path("usr/bin/ssh");
        fs::create_dir_all(ssh.parent().unwrap()).unwrap();
        let text = "#!/bin/sh\nexec /usr/bin/ssh -F none -i '@DIR@/id_ed25519' -oUserKnownHostsFile='@DIR@/known' \"$@\"\n";
        script(&ssh, &text.replace("@DIR@", &dir));
        let site = Site {
            cluster,
            net,
            _hmc: hmc,
        };
        site.tables();
        site
    }

    fn tables(&self) {
        let restore = |table: &str, header: &str, rows: &[&[&str]]| {
            let owned = |row: &&[&str]| row.iter().map(ToString::to_string).collect();
            self.cluster.restore(table, header, rows.iter().map(owned));
        };
        let hmc = SimNet::address(1).to_string();
        restore("site", "#key,value", &[&["master", "10.77.0.1"]]);
        let nodes = ["n1", "n2", "n3", "n4", "n5"];
        let listed = nodes.map(|node| vec![node.to_string(), "all".into()]);
        self.cluster.restore("nodelist", "#node,groups", listed);
        restore(
            "nodehm",
            "#node,mgt",
            &[
                &["n1", "hmc"],
                &["n2", "hmc"],
                &["n3", "kvm"],
                &["n4", "hmc"],
                &["n5", "hmc"],
            ],
        );
        let addressed = (1..=5).map(|i| vec![format!("n{i}"), format!("10.88.0.{i}")]);
        let hosts = [
            vec!["hmc1".to_string(), hmc],
            vec!["sn1n".into(), "10.88.0.250".into()],
        ];
        self.cluster
            .restore("hosts", "#node,ip", addressed.chain(hosts));
        restore(
            "networks",
            "#netname,net,mask,gateway",
            &[&["cn", "10.88.0.0", "255.255.0.0", "<xcatmaster>"]],
        );
        restore(
            "noderes",
            "#node,xcatmaster",
            &[&["n1", "sn1n"], &["n4", "sn1n"], &["n5", "ghost.invalid"]],
        );
        let partitions = (1..=5).map(|i| {
            let words = [
                &format!("n{i}"),
                "hmc1,hmc2",
                &i.to_string(),
                "full",
                "cec1",
            ];
            words.map(str::to_string).to_vec()
        });
        let columns = "#node,hcp,id,pprofile,parent";
        self.cluster.restore("ppc", columns, partitions);
        restore(
            "vpd",
            "#node,serial,mtm",
            &[&["cec1", "10F6F3D", "9117-MMA"]],
        );
        restore("ppchcp", "#hcp,username", &[&["hmc1", "root"]]);
        let macs = (1..=5).map(|i| vec![format!("n{i}"), format!("52:54:00:00:AB:0{i}!n{i}")]);
        self.cluster.restore("mac", "#node,mac", macs);
    }

    fn reboot(&self, args: &[&str]) -> Finished {
        let mut command = self.net.command(program("nodereboot"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap());
        self.cluster.environment(&mut command);
        let how = ["--boot", "net", "--direct-bootp"];
        command.args(args).args(how).output().unwrap().into()
    }

    /// What the HMC was asked, sorted.
    fn calls(&self) -> Vec<String> {
        let path = self.net.dir().join("calls");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        let mut calls: Vec<String> = text.lines().map(String::from).collect();
        calls.sort();
        calls
    }
}

fn script(path: &std::path::Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// How the HMC is called for partition `i`.
fn asked(i: usize, server: &str) -> [String; 2] {
    let name = format!("[-r] [lpar] [-m] [9117-MMA*10F6F3D] [--filter] [lpar_ids={i}] [-F] [name]");
    let boot = format!(
        "[-t] [ent] [-f] [-i] [-m] [52540000ab0{i}] [-s] [auto] [-d] [auto] [-S] [{server}] [-G] [{server}] \
         [-C] [10.88.0.{i}] [-K] [255.255.0.0] [lpar {i}] [full] [9117-MMA*10F6F3D]"
    );
    [format!("lpar_netboot {boot}"), format!("lssyscfg {name}")]
}

#[test]
fn partitions_ask_their_own_boot_server() {
    if !parts::root() || !PARTS.iter().all(|part| parts::have(part)) {
        return;
    }
    let site = Site::new();
    let plan = site.reboot(&["n1", "--dry-run"]);
    let text = "its HMC's lpar_netboot";
    assert!(plan.code(0).stdout.contains(text), "{}", plan.stdout);
    assert!(site.calls().is_empty());

    let done = site.reboot(&["all"]);
    done.code(1);
    let mut wanted = [
        asked(1, "10.88.0.250"),
        asked(2, "10.77.0.1"),
        asked(4, "10.88.0.250"),
    ]
    .concat();
    wanted.sort();
    assert_eq!(site.calls(), wanted, "{}", done.stderr);
    assert!(
        done.stdout.contains("n1: booted by its HMC's lpar_netboot"),
        "{}",
        done.stdout
    );
    for text in [
        "n3: could not be started: direct bootp is asked of an HMC, and its nodehm.mgt is kvm",
        "n4: power command failed: boot command: lpar_netboot at hmc1: # bootp operation failed.",
        "n5: could not be started: ghost.invalid: does not resolve",
    ] {
        assert!(done.stderr.contains(text), "{text}\n{}", done.stderr);
    }

    // -F lets nobody pass who has no HMC: a plain reboot was not asked for.
    site.reboot(&["n3", "-F"]).code(1);
    site.cluster.restore("site", "#key,value", []);
    let done = site.reboot(&["n2"]);
    let text = "n2: could not be started: neither noderes.xcatmaster nor site.master is set";
    assert!(done.code(1).stderr.contains(text), "{}", done.stderr);
    assert!(site.calls().is_empty());
}

#[test]
fn it_belongs_to_the_network() {
    let cluster = Cluster::new(0);
    for args in [
        &["n1", "--direct-bootp"][..],
        &["n1", "--direct-bootp", "--boot", "disk"],
    ] {
        cluster.run("nodereboot", args).code(2);
    }
}
