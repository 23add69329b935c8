//! What a caller asks for.

use std::time::Duration;

use bmc::Trust;

use crate::limits::Limits;

/// A set of nodes to reboot.
#[derive(Debug, Clone)]
pub struct Request {
    /// Their names, expanded. None at all is an error, never "all".
    pub nodes: Vec<String>,
    /// How.
    pub options: Options,
    /// For whom.
    pub caller: Caller,
}

/// Who asks: what the permission is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Effective user id of this process.
    pub effective: u32,
    /// Real user id of this process.
    pub real: u32,
    /// The user behind a root process (`SUDO_UID`): sudo, or our privileged entry.
    pub behind: Option<u32>,
}

/// What a node boots from, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    /// The network.
    Network,
    /// The network, asking no other server than its own (direct bootp): partitions of an HMC.
    DirectNetwork,
    /// Its disk.
    Disk,
    /// What it is set to: takes an earlier one-shot device back.
    None,
}

/// After how many failures no further node is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxFail {
    /// So many nodes.
    Nodes(usize),
    /// So many of a hundred nodes of the request.
    Percent(usize),
}

/// How nodes are rebooted.
#[derive(Debug, Clone)]
pub struct Options {
    /// Power at once: no ssh, no soft off (`-f`).
    pub at_once: bool,
    /// The same for nodes that wait in genesis (`-k`).
    pub kill_waiting: bool,
    /// Run the node's configuration again; reboot only where that fails (`-c`).
    pub configure: bool,
    /// Have the node prepare itself for an image, then reboot (`-p`).
    pub prepare: bool,
    /// Include nodes without power management (`-F`).
    pub force: bool,
    /// Nodes that a veto hook names are in use: left out, not failed (`-a`).
    pub idle_only: bool,
    /// Wait until they are up again, each so long (`-w`, `-W`).
    pub wait: Option<Duration>,
    /// What they boot from next.
    pub boot: Option<BootDevice>,
    /// Steps at a time, in place of [`POWER_FANOUT`] and [`COMMAND_FANOUT`].
    pub fanout: Option<usize>,
    /// So many nodes are begun, then comes a pause. 0: all at once.
    pub batch: usize,
    /// The pause.
    pub pause: Duration,
    /// Most nodes of one chassis (`nodepos`) that are under way. None: no limit.
    pub per_chassis: Option<usize>,
    /// So many nodes go first; only if each of them ends well do the others follow.
    pub canary: usize,
    /// When to begin no more.
    pub max_fail: Option<MaxFail>,
    /// How long each rung of the ladder may take.
    pub limits: Limits,
    /// Which management controllers are believed to be who they say, beside what the site's file says.
    pub trust: Trust,
    /// Tell what is done with each node.
    pub notes: bool,
}

/// Steps at management controllers at a time.
pub const POWER_FANOUT: usize = 1024;
/// Calls of ssh and other commands at a time.
pub const COMMAND_FANOUT: usize = 64;
/// Nodes begun before a pause. PXE, DHCP and TFTP are UDP and do not like floods.
pub const BATCH: usize = 12;
/// That pause.
pub const PAUSE: Duration = Duration::from_secs(5);
/// How long a node has to come up, unless said otherwise.
pub const WAIT: Duration = Duration::from_secs(360);

impl Caller {
    /// Whoever runs this process.
    pub fn here() -> Caller {
        let behind = std::env::var("SUDO_UID").ok();
        Caller {
            effective: nix::unistd::geteuid().as_raw(),
            real: nix::unistd::getuid().as_raw(),
            // What cannot be read is somebody, and certainly not root.
            behind: behind.map(|uid| uid.parse().unwrap_or(u32::MAX)),
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            at_once: false,
            kill_waiting: false,
            configure: false,
            prepare: false,
            force: false,
            idle_only: false,
            wait: None,
            boot: None,
            fanout: None,
            batch: BATCH,
            pause: PAUSE,
            per_chassis: None,
            canary: 0,
            max_fail: None,
            limits: Limits::default(),
            trust: Trust::default(),
            notes: false,
        }
    }
}

impl Options {
    /// How long it takes at least to begin `nodes` of them.
    pub fn beginning(&self, nodes: usize) -> Duration {
        match self.batch {
            0 => Duration::ZERO,
            batch => {
                let pauses = nodes.div_ceil(batch).saturating_sub(1);
                self.pause * u32::try_from(pauses).unwrap_or(u32::MAX)
            }
        }
    }
}

impl std::str::FromStr for BootDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<BootDevice, String> {
        match text {
            "net" => Ok(BootDevice::Network),
            "disk" => Ok(BootDevice::Disk),
            "none" => Ok(BootDevice::None),
            _ => Err("is none of net, disk, none".into()),
        }
    }
}

impl std::str::FromStr for MaxFail {
    type Err = String;

    fn from_str(text: &str) -> Result<MaxFail, String> {
        let (digits, percent) = match text.strip_suffix('%') {
            Some(digits) => (digits, true),
            None => (text, false),
        };
        match (digits.parse(), percent) {
            (Ok(number), true) if number <= 100 => Ok(MaxFail::Percent(number)),
            (Ok(number), false) => Ok(MaxFail::Nodes(number)),
            _ => Err("is neither a number of nodes nor a percentage".into()),
        }
    }
}
