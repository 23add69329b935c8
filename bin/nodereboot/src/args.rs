//! What was typed.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use node_reboot::{BootDevice, Limits, MaxFail, Options, Trust};

/// Reboots nodes: by ssh where that works, by their power where it does not.
#[derive(Debug, Parser)]
#[command(name = "nodereboot", version = program::VERSION, disable_version_flag = true, disable_help_flag = true)]
pub(crate) struct Args {
    /// The nodes; `-` reads their names from standard input
    #[arg(value_name = "NODERANGE")]
    pub(crate) noderange: Option<String>,
    /// The nodes of this group or noderange
    #[arg(short = 'e', value_name = "GROUP", conflicts_with = "noderange")]
    pub(crate) group: Option<String>,
    /// All nodes that are not in use, as the veto hooks know
    #[arg(short = 'a', conflicts_with_all = ["noderange", "group"])]
    pub(crate) all: bool,
    /// Refuse a noderange with a part that means something else by accident, instead of warning
    #[arg(long)]
    pub(crate) strict: bool,
    /// Say what is done with each node
    #[arg(short = 'V', long)]
    pub(crate) verbose: bool,
    /// The same
    #[arg(short = 'd')]
    pub(crate) debug: bool,
    /// Say nothing on the way; failures and the summary come all the same
    #[arg(short = 's', long = "silent", conflicts_with_all = ["verbose", "debug"])]
    pub(crate) silent: bool,
    /// Wait until the nodes are up again
    #[arg(short = 'w', long = "wait")]
    pub(crate) wait: bool,
    /// Wait so many seconds for each node
    #[arg(short = 'W', long = "wait-time", value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) wait_time: Option<u64>,
    /// Cut the power at once
    #[arg(short = 'f', long = "power")]
    pub(crate) power: bool,
    /// Cut the power of nodes that wait in genesis at once
    #[arg(short = 'k', long = "kill")]
    pub(crate) kill: bool,
    /// Reboot nodes that wait in genesis: what is done anyway
    #[arg(short = 'b')]
    pub(crate) reboot_waiting: bool,
    /// Run the nodes' configuration again; reboot only those where that fails
    #[arg(short = 'c', long = "configure")]
    pub(crate) configure: bool,
    /// Have nodes prepare themselves for an image, then reboot
    #[arg(short = 'p', long = "prepare")]
    pub(crate) prepare: bool,
    /// Include nodes whose power nobody can switch
    #[arg(short = 'F', long = "force")]
    pub(crate) force: bool,
    /// Boot once from there: net, disk; none takes it back
    #[arg(long, value_name = "DEVICE")]
    pub(crate) boot: Option<BootDevice>,
    /// With --boot net: partitions ask their own boot server by its address, not the whole network (HMC)
    #[arg(long, requires = "boot")]
    pub(crate) direct_bootp: bool,
    /// Begin so many nodes, then pause; 0 begins all at once
    #[arg(long, value_name = "N", default_value_t = node_reboot::BATCH)]
    pub(crate) batch: usize,
    /// The pause, in seconds
    #[arg(long, value_name = "S", default_value_t = node_reboot::PAUSE.as_secs())]
    pub(crate) pause: u64,
    /// Most nodes of one chassis at a time
    #[arg(long, value_name = "N")]
    pub(crate) per_chassis: Option<usize>,
    /// So many nodes go first; the others only if those end well
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) canary: usize,
    /// Begin no more nodes once more than so many have failed, or so many of a hundred
    #[arg(long, value_name = "N|N%")]
    pub(crate) max_fail: Option<MaxFail>,
    /// Work on so many nodes at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) fanout: Option<u32>,
    /// Give a step so many seconds
    #[arg(long = "limit", value_name = "STEP=SECS")]
    pub(crate) limits: Vec<String>,
    /// Believe management controllers whose certificates this CA has signed
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Take over a changed key of a management controller
    #[arg(long, conflicts_with = "ca")]
    pub(crate) accept_new_cert: bool,
    /// Believe any management controller
    #[arg(long, conflicts_with_all = ["ca", "accept_new_cert"])]
    pub(crate) insecure: bool,
    /// Nodes whose management controllers know only old TLS suites
    #[arg(long, value_name = "NODERANGE")]
    pub(crate) old_tls: Option<String>,
    /// Ask (on a terminal) or refuse if there are more nodes
    #[arg(long, value_name = "N")]
    pub(crate) max_nodes: Option<usize>,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with = "json")]
    pub(crate) dry_run: bool,
    /// One JSON object per node and line
    #[arg(long)]
    pub(crate) json: bool,
    /// Write `node,status` to this descriptor as nodes are settled
    #[arg(long, value_name = "N")]
    pub(crate) status_fd: Option<RawFd>,
    /// Lines of the pipe in REBOOTPIPENO say why, and what is done; nothing else says so
    #[arg(long, hide = true)]
    pub(crate) status_more: bool,
    /// Write the failed nodes to this file, for `^FILE`
    #[arg(long, value_name = "FILE")]
    pub(crate) failed_to: Option<PathBuf>,
    /// Show this text
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    pub(crate) help: Option<bool>,
    /// Show the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub(crate) version: Option<bool>,
}

/// More nodes than this are asked about.
const MAX_NODES: usize = 1024;
/// The same where power is cut at once.
const MAX_NODES_BY_POWER: usize = 256;

impl Args {
    /// The nodes, as typed.
    pub(crate) fn range(&self) -> Option<&str> {
        if self.all {
            return Some("all");
        }
        self.noderange.as_deref().or(self.group.as_deref())
    }

    /// True if management controllers are to be believed in another way than the site's.
    pub(crate) fn trusts_otherwise(&self) -> bool {
        self.ca.is_some() || self.accept_new_cert || self.insecure || self.old_tls.is_some()
    }

    /// What is not looked at this time, for people: said at the beginning and in the summary.
    pub(crate) fn trusts_more(&self) -> Option<&'static str> {
        match (self.insecure, self.accept_new_cert) {
            (true, _) => Some("certificates of management controllers are not looked at"),
            (_, true) => Some("changed keys of management controllers are taken over"),
            _ => None,
        }
    }

    /// More nodes than this are asked about.
    pub(crate) fn most(&self) -> usize {
        self.max_nodes.unwrap_or(match self.power {
            true => MAX_NODES_BY_POWER,
            false => MAX_NODES,
        })
    }

    fn boot_device(&self) -> Result<Option<BootDevice>, String> {
        match (self.boot, self.direct_bootp) {
            (boot, false) => Ok(boot),
            (Some(BootDevice::Network), true) => Ok(Some(BootDevice::DirectNetwork)),
            _ => Err("--direct-bootp: belongs to --boot net".into()),
        }
    }

    /// How it is done. `Err`: what is wrong with a limit or the boot device.
    pub(crate) fn options(&self) -> Result<Options, String> {
        let mut limits = Limits::default();
        for text in &self.limits {
            limits.set(text).map_err(|why| format!("--limit: {why}"))?;
        }
        let wait_time = self.wait_time.map(Duration::from_secs);
        Ok(Options {
            at_once: self.power,
            kill_waiting: self.kill,
            configure: self.configure,
            prepare: self.prepare,
            force: self.force,
            idle_only: self.all,
            wait: wait_time.or(self.wait.then_some(node_reboot::WAIT)),
            boot: self.boot_device()?,
            fanout: self.fanout.map(|fanout| fanout as usize),
            batch: self.batch,
            pause: Duration::from_secs(self.pause),
            per_chassis: self.per_chassis,
            canary: self.canary,
            max_fail: self.max_fail,
            limits,
            trust: Trust {
                ca: self.ca.clone(),
                insecure: self.insecure,
                accept_new: self.accept_new_cert,
                ..Trust::default()
            },
            notes: self.verbose || self.debug,
        })
    }
}
