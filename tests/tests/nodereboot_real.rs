//! nodereboot against management controllers that are not ours: OpenIPMI's server by the real ipmitool,
//! sushy-tools' Redfish, and openssl's server for what is too old.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use scenarios::{Cluster, parts};
use simulators::real::{IpmiSim, Running, Sushy, free_port, within};
use simulators::{Bmcs, Certificates, Config, Flavour, Group};

/// Nodes `n1`.. without a site's boot command and without ssh, each with a row of `table`.
fn cluster(mgt: &str, table: &str, controllers: &[(SocketAddr, &str)]) -> Cluster {
    let cluster = Cluster::new(controllers.len());
    cluster.restore("site", "#key,value,comments,disable", []);
    cluster.restore("hosts", "#node,ip", []);
    let rows = || (1..).map(|i| format!("n{i}")).zip(controllers);
    cluster.restore(
        "nodehm",
        "#node,mgt",
        rows().map(|(node, _)| vec![node, mgt.into()]),
    );
    cluster.restore(
        table,
        "#node,bmc,username,password",
        rows().map(|(node, (address, password))| {
            vec![node, address.to_string(), "root".into(), (*password).into()]
        }),
    );
    cluster
}

#[test]
fn up_the_ladder_by_ipmitool() {
    let Some(sim) = IpmiSim::start() else { return };
    let login = (sim.address, IpmiSim::PASSWORD);
    let cluster = cluster("ipmi", "ipmi", &[login]);
    let off = cluster.run("nodereboot", &["n1", "--boot", "net"]);
    off.code(0);
    assert_eq!(off.stdout, "n1: was off, switched on\n");
    assert_eq!(sim.told(), ["set boot pxe", "set power 1"]);
    // This chassis is asked to shut down, and does not.
    let on = cluster.run("nodereboot", &["n1", "--limit", "soft=2"]);
    on.code(0);
    let how = "n1: rebooted by power (still on 2 s after the soft off: on)\n";
    assert_eq!(on.stdout, how);
    let told = ["set shutdown 1", "set power 0", "set power 1"];
    assert_eq!(sim.told()[2..], told);
}

#[test]
fn a_wrong_password_of_ipmi_switches_nothing() {
    let Some(sim) = IpmiSim::start() else { return };
    let cluster = cluster("ipmi", "ipmi", &[(sim.address, "not it")]);
    let refused = cluster.run("nodereboot", &["n1", "-f"]);
    refused.code(1);
    let start = "nodereboot: n1: power command failed: power off: BMC 127.0.0.1: ";
    assert!(refused.stderr.contains(start), "{}", refused.stderr);
    assert!(!refused.stderr.contains("not it"), "{}", refused.stderr);
    assert_eq!(sim.told(), [""; 0]);
}

#[test]
fn up_the_ladder_by_redfish_of_others() {
    let Some(sushy) = Sushy::start("o'penBmc") else {
        return;
    };
    let cluster = cluster("redfish", "openbmc", &[(sushy.address, "o'penBmc")]);
    let off = cluster.run("nodereboot", &["n1", "--boot", "net"]);
    off.code(0);
    let lasts = "its boot device lasts: its management controller knows no once";
    assert_eq!(off.stdout, format!("n1: was off, switched on ({lasts})\n"));
    let on = cluster.run("nodereboot", &["n1"]);
    on.code(0);
    assert_eq!(on.stdout, "n1: rebooted by power\n");
}

#[test]
fn the_sites_file_says_whom_to_believe() {
    let dir = tempfile::tempdir().unwrap();
    let known = tls::identity(dir.path(), "known").unwrap();
    let group = |certificates, last| Group {
        certificates,
        first: Ipv4Addr::new(127, 2, 19, last),
        port: 4430,
        ..Group::default()
    };
    let mut config = Config::of(Flavour::Bmcweb2026, 0, Ipv4Addr::LOCALHOST);
    config.scale = 20.0;
    config.groups = vec![
        group(Certificates::File(known.certificate.clone()), 1),
        group(Certificates::Shared, 2),
    ];
    let bmcs = Bmcs::start(config);
    let controllers: Vec<_> = (0..2)
        .map(|i| (bmcs.address(i).into(), "0penBmc"))
        .collect();
    let cluster = cluster("openbmc", "openbmc", &controllers);
    let site = cluster.path("etc/xcat-nodetools.conf");
    std::fs::create_dir_all(site.parent().unwrap()).unwrap();
    std::fs::write(&site, format!("bmc-ca = {}\n", known.certificate.display())).unwrap();
    let unknown = "n2: BMC 127.2.19.2: certificate not accepted";
    let done = cluster.run("nodereboot", &["all", "-f", "--accept-new-cert"]);
    done.code(1);
    assert_eq!(done.stdout, "n1: rebooted by power\n");
    let why = unknown.replace("n2:", "n2: power command failed: power off:");
    assert!(done.stderr.contains(&why), "{}", done.stderr);
    let shown = cluster.run("rflash", &["all", "-c"]);
    shown.code(1);
    assert!(shown.stdout.contains("n1: BMC"), "{}", shown.stdout);
    let said = format!("{}{}", shown.stdout, shown.stderr);
    assert!(
        said.contains("BMC 127.2.19.2: certificate not accepted"),
        "{said}"
    );
    assert_eq!(bmcs.state(1).boots, 0);
    assert!(!cluster.path("var/lib/xcat-nodetools/pins").exists());
    // A run's own word comes first; and what the file says is never passed over.
    cluster
        .run("nodereboot", &["n2", "-f", "--insecure"])
        .code(0);
    std::fs::write(&site, "bmc_ca = /x\n").unwrap();
    for program in ["nodereboot", "rflash"] {
        let args: &[&str] = if program == "rflash" {
            &["n1", "-c"]
        } else {
            &["n1"]
        };
        let refused = cluster.run(program, args);
        refused.code(3);
        let why = "xcat-nodetools.conf: line 1: bmc_ca: no such setting";
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
}

#[test]
fn old_suites_are_for_those_that_the_sites_file_names() {
    if !parts::have("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let identity = tls::identity(dir.path(), "old").unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], free_port(false)));
    let old = Command::new("openssl")
        .args(["s_server", "-www", "-quiet", "-tls1", "-cipher"])
        .args(["ALL:@SECLEVEL=0", "-accept", &address.to_string(), "-cert"])
        .arg(&identity.certificate)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _old = Running(old.unwrap());
    within(Duration::from_secs(30), || {
        std::net::TcpStream::connect(address).ok()
    });
    let cluster = cluster("redfish", "openbmc", &[(address, "x")]);
    let refused = cluster.run("nodereboot", &["n1", "-f"]);
    refused.code(1);
    assert!(
        refused.stderr.contains("TLS handshake"),
        "{}",
        refused.stderr
    );
    let site = cluster.path("etc/xcat-nodetools.conf");
    std::fs::create_dir_all(site.parent().unwrap()).unwrap();
    std::fs::write(&site, "bmc-old-tls = all,gone\n").unwrap();
    // It is no BMC: to find that out, TLS 1.0 had to be spoken.
    let reached = cluster.run("nodereboot", &["n1", "-f"]);
    reached.code(1);
    assert!(reached.stderr.contains("login"), "{}", reached.stderr);
}
