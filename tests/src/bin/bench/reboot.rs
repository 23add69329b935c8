//! What a reboot costs the management node, beside the least that a program per node can cost.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use scenarios::Cluster;
use simulators::{Bmcs, Config, Flavour};

use crate::measure::{children_cpu, cpu_of, median};

/// Thirteen of powerman's virtual controllers.
const NODES: usize = 13 * PLUGS;
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
    let (pdsh, powerman) = (pdsh(), Powerman::installed());
    let (mut ours, mut floor) = (Vec::new(), Vec::new());
    let mut peers: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let before = children_cpu();
        cluster
            .run("nodereboot", &["all", "-f", "-s", "--batch", "0"])
            .code(0);
        ours.push((children_cpu() - before) / NODES as f64);
        floor.push(cpu_of(NODES as u32, || Command::new("/bin/true")));
        if pdsh {
            peers[0].push(cpu_of(1, pdsh_true) / NODES as f64);
        }
        if let Some(powerman) = &powerman {
            peers[1].push(powerman.cycle() / NODES as f64);
        }
    }
    let (ours, floor) = (median(&mut ours), median(&mut floor));
    println!(
        "reboot: {NODES} nodes, off and on by Redfish: {:.2} ms CPU per node, {:.1} times /bin/true per node",
        ours * 1e3,
        ours / floor
    );
    let names = [
        "pdsh -R exec /bin/true, which does nothing",
        "powerman, off and on at its own virtual devices, no network and no TLS",
    ];
    for (name, mut costs) in names.into_iter().zip(peers) {
        if costs.is_empty() {
            println!("reboot: {name}: is not installed, or does not run");
            continue;
        }
        let cost = median(&mut costs);
        println!(
            "reboot: {name}: {:.2} ms CPU per node, {:.1} times /bin/true; ours takes {:.1} times that",
            cost * 1e3,
            cost / floor,
            ours / cost
        );
    }
}

fn pdsh_true() -> Command {
    let mut command = Command::new("pdsh");
    command.args(["-R", "exec", "-f", "64", "-w"]);
    command.arg(format!("n[1-{NODES}]")).arg("/bin/true");
    command
}

/// True if it is there, with its exec module.
fn pdsh() -> bool {
    let tried = pdsh_true().stdin(Stdio::null()).output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// powerman with the virtual power controllers that it brings for its own tests.
struct Powerman {
    dir: tempfile::TempDir,
    address: String,
}

/// Plugs of one such controller.
const PLUGS: usize = 16;

impl Powerman {
    fn installed() -> Option<Powerman> {
        let devices = Path::new("/etc/powerman/vpc.dev");
        let vpcd = Path::new("/usr/sbin/vpcd");
        let daemon = Path::new(POWERMAND);
        if ![devices, vpcd, daemon].into_iter().all(Path::is_file) {
            return None;
        }
        let address = format!("127.0.0.1:{}", simulators::real::free_port(false));
        let mut conf = format!("include \"{}\"\nlisten \"{address}\"\n", devices.display());
        for (i, first) in (1..=NODES).step_by(PLUGS).enumerate() {
            let last = NODES.min(first + PLUGS - 1);
            conf.push_str(&format!(
                "device \"d{i}\" \"vpc\" \"{} |&\"\nnode \"n[{first}-{last}]\" \"d{i}\" \"[0-{}]\"\n",
                vpcd.display(),
                last - first
            ));
        }
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("conf"), conf).expect("its configuration");
        Some(Powerman { dir, address })
    }

    /// CPU seconds of the daemon and its client for all nodes off and on, the daemon's start included:
    /// without it nothing can be done either.
    fn cycle(&self) -> f64 {
        let before = children_cpu();
        let mut daemon = Command::new(POWERMAND)
            .arg("-f")
            .arg("-c")
            .arg(self.dir.path().join("conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("powermand");
        simulators::real::within(Duration::from_secs(30), || {
            TcpStream::connect(&self.address).ok()
        });
        let cycled = Command::new("powerman")
            .args(["--server-host", &self.address, "-c"])
            .arg(format!("n[1-{NODES}]"))
            .stdin(Stdio::null())
            .output()
            .expect("powerman");
        // It ends in good order, and waits for its controllers, only if it is asked to.
        let pid = nix::unistd::Pid::from_raw(daemon.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = daemon.wait();
        assert!(cycled.status.success(), "powerman: {cycled:?}");
        children_cpu() - before
    }
}

const POWERMAND: &str = "/usr/sbin/powermand";
