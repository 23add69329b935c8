//! Several hosts on one machine: each has its own name, boot, network and directories; the tables
//! are the cluster's. Needs root.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns};

use crate::cluster::Cluster;
use crate::process::{Finished, Running, program};

/// A host that lives until it is dropped.
#[derive(Debug)]
pub struct Host<'c> {
    cluster: &'c Cluster,
    root: PathBuf,
    /// Holds the namespaces; ends when its input does.
    holder: Child,
}

const SCRIPT: &str = r#"set -e
hostname "$1"
ip link set lo up
mount --bind "$2" /proc/sys/kernel/random/boot_id
echo ready
exec cat"#;

impl<'c> Host<'c> {
    /// A host of that name.
    pub fn new(cluster: &'c Cluster, name: &str) -> Host<'c> {
        let root = cluster.path(name);
        std::fs::create_dir(&root).expect("root");
        let boot = root.join("boot_id");
        let number = name.bytes().map(|b| format!("{b:02x}")).collect::<String>();
        std::fs::write(&boot, format!("{number:0>8}-0000-4000-8000-000000000000\n")).expect("boot");
        let mut holder = Command::new("unshare")
            .args(["--uts", "--net", "--mount", "--propagation", "private"])
            .args(["sh", "-c", SCRIPT, "host", name])
            .arg(&boot)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut said = String::new();
        let out = holder.stdout.take().expect("stdout");
        BufReader::new(out).read_line(&mut said).expect("ready");
        assert_eq!(said, "ready\n");
        Host {
            cluster,
            root,
            holder,
        }
    }

    /// A command of ours on this host.
    pub fn command(&self, name: &str) -> Command {
        let mut command = self.shell();
        command.arg(program(name));
        command
    }

    /// A command on this host: the arguments say which.
    pub fn shell(&self) -> Command {
        let mut command = Command::new("nsenter");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .args(["--target", &self.holder.id().to_string()])
            .args(["--uts", "--net", "--mount", "--"]);
        self.cluster.environment(&mut command);
        command.env("NODETOOLS_ROOT", &self.root);
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

    /// Does something on this host's network.
    pub fn on_network<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let place = format!("/proc/{}/ns/net", self.holder.id());
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let namespace = std::fs::File::open(place).expect("namespace");
                setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET).expect("setns");
                work()
            });
            thread.join().expect("on the network")
        })
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
