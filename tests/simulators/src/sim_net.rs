//! A network of the test's own: a management node in a network namespace, and a bridge to which
//! simulated nodes are plugged.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::config::address;

/// The management node's namespace: its address is [`SimNet::GATEWAY`], and the loopback network is
/// there too (for [`crate::Bmcs::start_in`]). Gone with this value. Needs root.
#[derive(Debug)]
pub struct SimNet {
    holder: Child,
    dir: tempfile::TempDir,
}

impl SimNet {
    /// The management node's address on the bridge.
    pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

    /// Makes it.
    ///
    /// # Panics
    /// Not root, or `unshare`, `ip` or `ssh-keygen` are missing.
    #[track_caller]
    #[allow(clippy::expect_used, clippy::new_without_default)]
    pub fn new() -> SimNet {
        let dir = tempfile::tempdir().expect("a directory");
        let script = format!(
            "set -e; ip link set lo up; ip link add br0 type bridge; \
             ip addr add {}/16 dev br0; ip link set br0 up; echo ready; exec cat",
            SimNet::GATEWAY
        );
        // The namespace lives as long as cat, and cat as long as its input.
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("stdout");
        BufReader::new(stdout).read_line(&mut line).expect("ready");
        assert_eq!(line, "ready\n", "no network namespace (not root?)");
        let net = SimNet { holder, dir };
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
            .arg(net.key())
            .status();
        assert!(made.is_ok_and(|status| status.success()), "ssh-keygen");
        net
    }

    /// The private key that nodes accept; the public one is beside it.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("id_ed25519")
    }

    /// A directory of this network's, gone with it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A program in the management node's namespace.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.holder.id()))
            .arg("--")
            .arg(program);
        command
    }

    /// ssh to a node with the right key, no questions, and a known-hosts file of this network's.
    pub fn ssh(&self, to: Ipv4Addr) -> Command {
        let mut command = self.command("ssh");
        command
            .args([
                "-F",
                "none",
                "-o",
                "BatchMode=yes",
                "-o",
                "ConnectTimeout=5",
            ])
            .args(["-o", "StrictHostKeyChecking=accept-new", "-o"])
            .arg(format!(
                "UserKnownHostsFile={}",
                self.dir.path().join("known_hosts").display()
            ))
            .arg("-i")
            .arg(self.key())
            .arg(format!("root@{to}"))
            .stdin(Stdio::null());
        command
    }

    /// The address of node `number` (from 1).
    pub fn address(number: usize) -> Ipv4Addr {
        address(SimNet::GATEWAY, number + 255)
    }
}

impl Drop for SimNet {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
