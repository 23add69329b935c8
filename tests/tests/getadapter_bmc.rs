//! getadapter where neither xCAT nor a site's command boots nodes: their management controllers are
//! spoken with, and what they boot is a file of ours.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use scenarios::{Cluster, Node, report_xml};
use simulators::real::{IpmiSim, within};

/// A cluster without a boot command, with a boot image in name.
fn cluster() -> Cluster {
    let cluster = Cluster::new(2);
    let boot = cluster.path("tftpboot/xcat");
    std::fs::create_dir_all(&boot).unwrap();
    for file in ["genesis.kernel.x86_64", "genesis.fs.x86_64.gz"] {
        std::fs::write(boot.join(file), "x").unwrap();
    }
    cluster.restore(
        "site",
        "#key,value,comments,disable",
        [
            vec!["master".into(), "127.0.0.1".into()],
            vec!["nodetoolsport".into(), cluster.port.to_string()],
        ],
    );
    cluster.restore(
        "nodetype",
        "#node,arch",
        [vec!["all".into(), "x86_64".into()]],
    );
    cluster
}

#[test]
fn off_armed_on_by_ipmitool() {
    let Some(sim) = IpmiSim::start() else { return };
    let cluster = cluster();
    cluster.restore(
        "nodehm",
        "#node,mgt",
        [
            vec!["n1".into(), "ipmi".into()],
            vec!["n2".into(), "hmc".into()],
        ],
    );
    cluster.restore(
        "ipmi",
        "#node,bmc,username,password",
        [vec![
            "n1".into(),
            sim.address.to_string(),
            IpmiSim::USER.into(),
            IpmiSim::PASSWORD.into(),
        ]],
    );
    let asks = cluster.start("getadapter", &["n1,n2", "--timeout", "100"]);
    let script = cluster.path("tftpboot/xcat/xnba/nodes/n1");
    // Switched on last, when all that it will read is there.
    within(Duration::from_secs(60), || {
        sim.told().contains(&"set power 1".into()).then_some(())
    });
    let armed = std::fs::read_to_string(&script).unwrap();
    let word = |name: &str| {
        let value = armed.split(' ').find_map(|word| word.strip_prefix(name));
        value.unwrap().to_string()
    };
    assert_eq!(word("destiny="), "runcmd=getadapter");
    let nonce = word("nodetools.nonce=");
    let answer = Node::of(&cluster, 1)
        .say(report_xml(&format!("<nonce>{nonce}</nonce>\n"), &["eth0"]).as_bytes())
        .unwrap();
    assert!(answer.contains("serverdone"), "{answer}");
    let ended = asks.finish();
    ended.code(1);
    assert_eq!(sim.told(), ["set boot pxe", "set power 1"]);
    assert!(ended.stdout.starts_with("n1:[0]->eth0!"), "{ended:?}");
    let why = "getadapter: n2: nodehm.mgt: hmc: no management controller of a known kind";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    let back = std::fs::read_to_string(&script).unwrap();
    assert_eq!(back, "#!gpxe\n#boot\nexit\n");
}

#[test]
fn where_no_node_has_power_nothing_is_touched() {
    let cluster = cluster();
    let refused = cluster.run("getadapter", &["all"]);
    refused.code(3);
    assert!(
        refused.stderr.contains("no way to power nodes"),
        "{}",
        refused.stderr
    );
    assert!(cluster.claims().is_empty());
}
