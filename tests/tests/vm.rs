//! A node that is a virtual machine: switched on by ipmitool at a real IPMI server, booted by PXE from
//! a real DHCP and TFTP server into our genesis. `make test-vm` installs and builds what that needs and
//! says so by TEST_VM; `make test` does without.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use scenarios::{Cluster, Finished, Host, parts};
use simulators::real::within;

/// For one boot of a machine that is emulated in software, on a busy host.
const BOOT: Duration = Duration::from_secs(420);

/// True if these tests are meant to run; then what is missing is a failure.
fn wanted() -> bool {
    if std::env::var_os("TEST_VM").is_none() {
        eprintln!("skipped: TEST_VM is not set (make test-vm)");
        return false;
    }
    let programs = ["qemu-system-x86_64", "dnsmasq", "ipmi_sim", "ipmitool"];
    let more = ["busybox", "ip", "nsenter", "mcopy"];
    parts::root() && programs.iter().chain(&more).all(|one| parts::have(one))
}

/// What is in the source tree.
fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A management node with one machine, n1, which is off and has an empty disk.
struct Lab<'c> {
    host: Host<'c>,
    dir: PathBuf,
    services: Child,
}

impl<'c> Lab<'c> {
    fn up(cluster: &'c Cluster) -> Lab<'c> {
        tables(cluster);
        let host = Host::new(cluster, "mn");
        let dir = cluster.path("lab");
        let boot = cluster.path("mn/tftpboot");
        std::fs::create_dir_all(boot.join("xcat")).unwrap();
        std::fs::create_dir_all(dir.join("www")).unwrap();
        std::os::unix::fs::symlink(&boot, dir.join("www/tftpboot")).unwrap();
        // What a site writes once; the page on our genesis has the same lines.
        let first =
            "#!ipxe\nchain http://${next-server}/tftpboot/xcat/xnba/nodes/${hostname} || exit\n";
        std::fs::write(boot.join("boot.ipxe"), first).unwrap();
        for file in ["genesis.kernel.x86_64", "genesis.fs.x86_64.gz"] {
            let made = source("target/genesis/test").join(file);
            std::fs::copy(&made, boot.join("xcat").join(file)).expect("make test-vm makes it");
        }
        std::fs::copy(source("tests/vm/chassis"), dir.join("chassis")).unwrap();
        for (file, text) in [("boot", "default\n"), ("told", ""), ("console", "")] {
            std::fs::write(dir.join(file), text).unwrap();
        }
        let disk = std::fs::File::create(dir.join("disk")).unwrap();
        disk.set_len(64 << 20).unwrap();
        let mut services = host
            .shell()
            .args(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .arg(source("tests/vm/lab"))
            .arg(&dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let out = services.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut said).unwrap();
        assert_eq!(said, "ready\n");
        Lab {
            host,
            dir,
            services,
        }
    }

    fn text(&self, file: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join(file)).unwrap()).into_owned()
    }

    /// What its controller was told so far.
    fn told(&self) -> Vec<String> {
        let told = self.text("told");
        told.lines().map(|line| line.trim().to_string()).collect()
    }

    /// Waits until the machine says something on its console.
    #[track_caller]
    fn console(&self, text: &str) {
        let seen = || self.text("console").contains(text).then_some(());
        within(BOOT, seen);
    }

    /// Runs a program; if it fails, the console is shown.
    #[track_caller]
    fn done(&self, name: &str, args: &[&str]) -> Finished {
        let started = Instant::now();
        let ran = self.host.run(name, args);
        let took = started.elapsed().as_secs();
        eprintln!(
            "{name} {}: {took} s\n{}{}",
            args.join(" "),
            ran.stderr,
            ran.stdout
        );
        if !ran.status.success() {
            eprintln!(
                "console:\n{}\n{}",
                self.text("console"),
                self.text("dnsmasq.log")
            );
        }
        ran.code(0);
        ran
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        // Its input ends, and with it everything that was started in there.
        drop(self.services.stdin.take());
        let _ = self.services.wait();
    }
}

fn tables(cluster: &Cluster) {
    let row = |values: &[&str]| values.iter().map(|value| (*value).to_string()).collect();
    let port = cluster.port.to_string();
    cluster.restore(
        "site",
        "#key,value,comments,disable",
        [row(&["master", "10.9.0.1"]), row(&["nodetoolsport", &port])],
    );
    cluster.restore("hosts", "#node,ip", [row(&["n1", "10.9.0.101"])]);
    cluster.restore("nodetype", "#node,arch", [row(&["n1", "x86_64"])]);
    cluster.restore(
        "nodehm",
        "#node,mgt,serialport,serialspeed",
        [row(&["n1", "ipmi", "0", "115200"])],
    );
    cluster.restore(
        "ipmi",
        "#node,bmc,username,password",
        [row(&["n1", "10.9.0.201", "ADMIN", "secret"])],
    );
    // An emulated timer is late on a busy host, and then the kernel refuses to start.
    cluster.restore(
        "bootparams",
        "#node,addkcmdline",
        [row(&["n1", "no_timer_check"])],
    );
}

#[test]
fn from_a_machine_that_is_off_to_its_adapters() {
    if !wanted() {
        return;
    }
    let cluster = Cluster::new(1);
    let lab = Lab::up(&cluster);
    let asked = lab.done("getadapter", &["n1", "--timeout", "420"]);
    assert_eq!(lab.told(), ["set boot pxe", "set power 1"]);
    let record = |mac: &str| {
        let mut lines = asked.stdout.lines();
        lines.find(|line| line.contains(mac)).unwrap().to_string()
    };
    for (mac, slot, vendor, model, place) in [
        (
            "52:54:00:09:00:01",
            "enp0s3",
            "Red Hat, Inc.",
            "Virtio",
            "/pci0000:00/0000:00:03.0",
        ),
        (
            "52:54:00:09:00:12",
            "enp0s8",
            "Intel Corporation",
            "82540EM Gigabit Ethernet Controller",
            "/pci0000:00/0000:00:08.0",
        ),
        (
            "52:54:00:09:00:13",
            "enp0s5",
            "Realtek Semiconductor Co., Ltd.",
            "RTL-8100/8101L/8139",
            "/pci0000:00/0000:00:05.0",
        ),
    ] {
        let line = record(mac);
        for part in [slot, vendor, model, place] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    let stored = lab.host.run("xtab", &["get", "n1", "nics.nicsadapter"]);
    assert!(stored.stdout.contains("52:54:00:09:00:12"), "{stored:?}");
    // It leaves genesis by itself: what it boots is its own disk again.
    lab.console("genesis: destiny boot");
    assert!(cluster.claims().is_empty());
    let script = std::fs::read_to_string(cluster.path("mn/tftpboot/xcat/xnba/nodes/n1")).unwrap();
    assert_eq!(script, "#!gpxe\n#boot\nexit\n");
}

#[test]
fn from_a_machine_that_is_off_to_its_new_disk() {
    if !wanted() {
        return;
    }
    let cluster = Cluster::new(1);
    let lab = Lab::up(&cluster);
    let disk = source("target/genesis/test/disk");
    let disk = disk.to_str().unwrap();
    lab.done(
        "osload",
        &["image", "add", "small", disk, "--format", "raw"],
    );
    lab.done("osload", &["-i", "small", "n1", "-w", "--timeout", "420"]);
    // Into genesis once, then off and on again, by its own disk.
    let told = lab.told();
    assert_eq!(told[..2], ["set boot pxe", "set power 1"]);
    assert_eq!(told.last().unwrap(), "set power 1");
    assert_eq!(
        told.iter().filter(|one| *one == "set power 1").count(),
        2,
        "{told:?}"
    );
    lab.console("up from the new disk");
    // What the new system wrote back; the rest of the disk is the image.
    let marker = Command::new("mtype")
        .arg("-i")
        .arg(lab.dir.join("disk"))
        .arg("::/marker")
        .output();
    let marker = Finished::from(marker.unwrap());
    assert_eq!(
        marker.code(0).stdout,
        "up from the new disk, image loaded\n"
    );
    assert!(cluster.claims().is_empty());
    let script = std::fs::read_to_string(cluster.path("mn/tftpboot/xcat/xnba/nodes/n1")).unwrap();
    assert_eq!(script, "#!gpxe\n#boot\nexit\n");
}
