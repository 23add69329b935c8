//! A management node and nodes in network namespaces of their own on one bridge; a node's boot is a
//! process. Needs root.
//!
//! Node `nI` has the address 10.99.0.I. The site's boot command cuts a node's power (its boot dies), and,
//! for an action of genesis, starts its boot again in its namespace: by default the real agent, which
//! writes to a file.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use disk_image::Store;
use disk_image::testing::put;

use crate::cluster::Cluster;
use crate::process::{Finished, Running, program};

/// The management node's address.
const MASTER: &str = "10.99.0.254";

/// What images are made of here.
const FRAME: u32 = 1 << 20;

/// How long something may take that a test waits for, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

const NODE: &str = "echo ready; exec cat";
const MANAGEMENT: &str = r#"set -e
ip link set lo up
ip link add br0 type bridge
ip address add "$1/24" dev br0
ip link set br0 up
echo ready
exec cat"#;
const CABLE: &str = r#"set -e
ip link add "port$1" type veth peer name eth0 netns "$2"
ip link set "port$1" master br0 up
nsenter --target "$2" --net ip link set lo up
nsenter --target "$2" --net ip address add "10.99.0.$1/24" dev eth0
nsenter --target "$2" --net ip link set eth0 up"#;

/// The boot command. A node's boot is a session of its own, so that nobody but its power ends it. Power is
/// switched by one at a time: who calls when a call before has just been killed waits for what that started.
const HOOK: &str = r#"#!/bin/sh
set -eu
cd "$(dirname "$0")"
while read -r node; do
	exec 9>"$node/power"
	flock 9
	if [ -s "$node/pid" ]; then
		while kill -s KILL -- "-$(cat "$node/pid")" 2>/dev/null; do
			# Off is when nothing of it has the disk any more.
			sleep 0.01
		done
		rm -f "$node/pid"
	fi
	printf '%s\n' "$1" >>"$node/boots"
	case $1 in
	runcmd=*)
		env >"$node/environment"
		setsid sh -c 'echo $$ >"$0/pid"; exec 9>&-; exec nsenter --target "$(cat "$0/host")" --net sh "$0/boot"' \
			"$PWD/$node" </dev/null >>"$node/console" 2>&1 &
		;;
	esac
	exec 9>&-
done
"#;

/// A disk of so many MiB, every other one full of what differs from all others; the rest holes.
pub fn disk(mebibytes: usize, seed: u8) -> Vec<u8> {
    let mut disk = vec![0; mebibytes << 20];
    let mut state = u64::from(seed) + 1;
    for (number, window) in disk.chunks_mut(1 << 20).enumerate() {
        if number % 2 == 1 && number + 1 != mebibytes {
            continue;
        }
        for word in window.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes()[..word.len()]);
        }
    }
    disk
}

/// All of it; gone when dropped.
#[derive(Debug)]
pub struct Rack {
    /// Tables and directories.
    pub cluster: Cluster,
    management: Child,
    nodes: Vec<Child>,
}

impl Rack {
    /// Nodes `n1`..`nCOUNT`, powered off.
    pub fn new(count: usize) -> Rack {
        let cluster = Cluster::new(count);
        let rack = cluster.path("rack");
        let management = namespace(MANAGEMENT, &[MASTER]);
        let nodes: Vec<Child> = (0..count).map(|_| namespace(NODE, &[])).collect();
        for (i, host) in nodes.iter().enumerate() {
            let (number, pid) = ((i + 1).to_string(), host.id().to_string());
            let cabled = Command::new("nsenter")
                .args(["--target", &management.id().to_string(), "--net", "--"])
                .args(["sh", "-c", CABLE, "cable", &number, &pid])
                .status();
            assert!(cabled.expect("nsenter").success());
            let dir = rack.join(format!("n{number}"));
            fs::create_dir_all(&dir).expect("node");
            fs::write(dir.join("host"), &pid).expect("host");
            fs::write(dir.join("boots"), "").expect("boots");
        }
        let hook = rack.join("hook");
        fs::write(&hook, HOOK).expect("hook");
        fs::set_permissions(&hook, PermissionsExt::from_mode(0o755)).expect("mode");
        cluster.restore(
            "site",
            "#key,value,comments,disable",
            [
                vec!["master".into(), MASTER.into()],
                vec!["nodetoolsport".into(), cluster.port.to_string()],
                vec!["bootcmd".into(), hook.display().to_string()],
                vec!["nodestatus".into(), "n".into()],
            ],
        );
        cluster.restore(
            "hosts",
            "#node,ip",
            (1..=count).map(|i| vec![format!("n{i}"), format!("10.99.0.{i}")]),
        );
        let rack = Rack {
            cluster,
            management,
            nodes,
        };
        for i in 1..=count {
            rack.boots(i, &rack.agent(i));
        }
        rack
    }

    /// The same, each with a disk of this length, and this disk as the image `img`.
    pub fn with_image(count: usize, disk: &[u8]) -> Rack {
        let rack = Rack::new(count);
        rack.add_image("img", disk);
        for i in 1..=count {
            rack.give_disk(i, disk.len());
        }
        rack
    }

    /// One more image.
    pub fn add_image(&self, name: &str, disk: &[u8]) {
        let state = self.cluster.path("var/lib/xcat-nodetools");
        fs::create_dir_all(&state).expect("state");
        let orders = state.join("osload/orders");
        let store = Store::open(&state.join("images"), &orders).expect("store");
        put(&store, name, disk, FRAME).expect("image");
    }

    /// What the tables say that a node boots next.
    pub fn chain(&self, node: &str) -> String {
        let shown = self.run("xtab", &["get", node, "chain.currstate", "chain.currchain"]);
        shown.stdout
    }

    /// Of a load nothing is left but what nodes are to boot.
    #[track_caller]
    pub fn assert_load_over(&self) {
        assert_eq!(self.cluster.claims(), [""; 0]);
        let orders = self.cluster.path("var/lib/xcat-nodetools/osload/orders");
        let left: Vec<_> = fs::read_dir(orders).expect("orders").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// The command that loads node `nI` for real.
    pub fn agent(&self, i: usize) -> String {
        format!(
            "{} --device {} --foreground --return",
            program("osload-agent").display(),
            self.disk(i).display()
        )
    }

    /// What node `nI` runs when it boots into genesis: a shell script.
    pub fn boots(&self, i: usize, script: &str) {
        fs::write(self.path(i, "boot"), format!("exec {script}\n")).expect("boot");
    }

    /// Gives node `nI` a disk of so many bytes, full of what was there before.
    pub fn give_disk(&self, i: usize, bytes: usize) {
        fs::write(self.disk(i), vec![0xee; bytes]).expect("disk");
    }

    /// Its disk.
    pub fn disk(&self, i: usize) -> PathBuf {
        self.path(i, "disk")
    }

    /// A file of node `nI`.
    pub fn path(&self, i: usize, name: &str) -> PathBuf {
        self.cluster.path(&format!("rack/n{i}")).join(name)
    }

    /// What node `nI` was booted into so far.
    pub fn booted(&self, i: usize) -> Vec<String> {
        let text = fs::read_to_string(self.path(i, "boots")).expect("boots");
        text.lines().map(String::from).collect()
    }

    /// A variable that the boot target handed to node `nI`.
    pub fn handed(&self, i: usize, name: &str) -> String {
        let text = fs::read_to_string(self.path(i, "environment")).expect("booted");
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.expect("handed over").to_string()
    }

    /// What node `nI` said on its console.
    pub fn console(&self, i: usize) -> String {
        fs::read_to_string(self.path(i, "console")).unwrap_or_default()
    }

    /// True if a boot of node `nI` runs.
    pub fn is_on(&self, i: usize) -> bool {
        let pid = fs::read_to_string(self.path(i, "pid")).unwrap_or_default();
        let pid = pid.trim();
        !pid.is_empty() && std::path::Path::new("/proc").join(pid).exists()
    }

    /// A program of ours on the management node.
    pub fn command(&self, name: &str) -> Command {
        let mut command = self.shell();
        command.arg(program(name));
        command
    }

    /// Any command there: the arguments say which.
    pub fn shell(&self) -> Command {
        let mut command = Command::new("nsenter");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .args(["--target", &self.management.id().to_string(), "--net", "--"]);
        self.cluster.environment(&mut command);
        command
    }

    /// Any command on node `nI`.
    pub fn on_node(&self, i: usize) -> Command {
        let mut command = Command::new("nsenter");
        let host = self.nodes[i - 1].id().to_string();
        command.args(["--target", &host, "--net", "--"]);
        command
    }

    /// Runs a program of ours to its end.
    pub fn run(&self, name: &str, args: &[&str]) -> Finished {
        self.command(name).args(args).output().expect(name).into()
    }

    /// Starts a program of ours.
    pub fn start(&self, name: &str, args: &[&str]) -> Running {
        Running::start(self.command(name).args(args))
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn wait_until(&self, what: &str, mut so: impl FnMut() -> bool) {
        let started = Instant::now();
        while !so() {
            assert!(started.elapsed() < PATIENCE, "never: {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Rack {
    fn drop(&mut self) {
        for i in 1..=self.nodes.len() {
            let pid = fs::read_to_string(self.path(i, "pid")).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse::<i32>() {
                let group = nix::unistd::Pid::from_raw(pid);
                let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            }
        }
        for host in self.nodes.iter_mut().chain([&mut self.management]) {
            drop(host.stdin.take());
            let _ = host.wait();
        }
    }
}

/// A network namespace that lives as long as its holder's input is open.
fn namespace(script: &str, args: &[&str]) -> Child {
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-c", script, "host"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare");
    let mut said = String::new();
    let out = holder.stdout.take().expect("stdout");
    BufReader::new(out).read_line(&mut said).expect("ready");
    assert_eq!(said, "ready\n");
    holder
}
