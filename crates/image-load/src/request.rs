//! What a caller asks for.

use std::path::PathBuf;
use std::time::Duration;

use disk_image::order::{DiskChoice, Zero};
use node_reboot::{Caller, MaxFail};

/// Images to load onto a set of nodes.
#[derive(Debug, Clone)]
pub struct Request {
    /// The nodes' names, expanded. None at all is an error, never "all".
    pub nodes: Vec<String>,
    /// What to load, in this sequence.
    pub images: Vec<Choice>,
    /// How.
    pub options: Options,
    /// For whom.
    pub caller: Caller,
}

/// An image, and the disk that it goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name, or, where `by_digest`, its manifest's SHA-256.
    pub name: String,
    /// The name is a digest.
    pub by_digest: bool,
    /// The disk; without, the only one of the node that can be meant.
    pub disk: Option<DiskChoice>,
}

/// How disks are loaded.
#[derive(Debug, Clone)]
pub struct Options {
    /// What becomes of a disk's other bytes (`-z`).
    pub zero: Zero,
    /// Signatures of other users of a disk that may be overwritten (`--overwrite`).
    pub overwrite: Vec<String>,
    /// Switch the nodes' power. Without it the caller boots them, before and after (`-r`).
    pub power: bool,
    /// Wait, each node so long, until the new system is up (`-w`).
    pub wait: Option<Duration>,
    /// Run each node's configuration when it is up (`-R`).
    pub configure: bool,
    /// So many nodes are under way at a time.
    pub fanout: usize,
    /// When to begin no more.
    pub max_fail: Option<MaxFail>,
    /// For one boot of one node, from its set-up to its verdict, in place of what its images' sizes give.
    pub timeout: Option<Duration>,
    /// From a node's start to the first word of its agent.
    pub set_up: Duration,
    /// Without a word of its agent for so long, or without one more frame, a node that writes is taken for
    /// dead.
    pub stall: Duration,
    /// Tell what is done with each node.
    pub notes: bool,
    /// callbackd's program.
    pub callbackd: PathBuf,
    /// osload's program, for the image servers.
    pub osload: PathBuf,
}

/// Nodes under way at a time, unless said otherwise.
pub const FANOUT: usize = 256;
/// Firmware of large machines takes its time; the original took a node for dead after 5 minutes.
pub const SET_UP: Duration = Duration::from_secs(900);
/// See [`Options::stall`].
pub const STALL: Duration = Duration::from_secs(300);
/// How long a node has to come up with its new system, unless said otherwise (the original's limit).
pub const WAIT: Duration = Duration::from_secs(360);

impl Options {
    /// The usual ones, with these programs.
    pub fn new(callbackd: PathBuf, osload: PathBuf) -> Options {
        Options {
            zero: Zero::Nothing,
            overwrite: Vec::new(),
            power: true,
            wait: None,
            configure: false,
            fanout: FANOUT,
            max_fail: None,
            timeout: None,
            set_up: SET_UP,
            stall: STALL,
            notes: false,
            callbackd,
            osload,
        }
    }

    /// True once so many of `nodes` have failed that no more are to be begun.
    pub(crate) fn is_too_much(&self, failed: usize, nodes: usize) -> bool {
        match self.max_fail {
            None => false,
            Some(MaxFail::Nodes(most)) => failed > most,
            Some(MaxFail::Percent(share)) => failed * 100 > share * nodes,
        }
    }
}
