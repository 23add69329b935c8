//! What a child is told to do, and what it may answer. Both are plain data: an answer comes over a
//! pipe, as one line of JSON.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::listing::Held;
use crate::node::{Dialect, Versions};

/// One step of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The node.
    pub node: String,
    /// What to do.
    pub step: Step,
}

/// The steps. Each is one login and a few requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look at everything, change nothing.
    Preflight,
    /// Send an archive. On the way the child says `sent BYTES`, asks `before IDS` when it knows what
    /// the BMC holds, asks `grant BYTES` before each piece if the rate is limited, and asks `last`
    /// before the last byte.
    Upload {
        /// The run's copy.
        archive: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The name to send it under.
        name: String,
        /// Whether to ask for grants.
        rated: bool,
        /// Where a BMC that takes no upload finds it.
        pull: Option<String>,
    },
    /// How is it?
    Look {
        /// The images that the BMC holds.
        images: bool,
        /// Not while the task runs: the list says nothing more then, and takes a dozen requests.
        unless_running: bool,
        /// What runs, and whether BMC and host are up.
        runs: bool,
        /// The task of our upload.
        task: Option<String>,
        /// We have restarted it: its certificate may be a new one.
        after_reset: bool,
    },
    /// Activate this image.
    Activate(String),
    /// Make this image the first to boot.
    First(String),
    /// Remove this image.
    Delete(String),
    /// Restart the BMC.
    Reset,
    /// Power the host off.
    HostOff,
    /// Power the host on.
    HostOn,
    /// Take root's ssh key; [`crate::ssh_key::worker`] does this and nothing else.
    SshKey,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Of a preflight.
    Facts(Facts),
    /// The BMC has taken the archive.
    Sent {
        /// Its name for the image, if it said so.
        id: Option<String>,
        /// Where it tells how it goes.
        task: Option<String>,
    },
    /// The BMC says that it has this version.
    Existed,
    /// Of a look.
    Seen(Seen),
    /// The request was accepted.
    Done,
}

/// A BMC before anything was done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How it is spoken to.
    pub dialect: Dialect,
    /// What it holds.
    pub images: Vec<Held>,
    /// What runs.
    pub runs: Versions,
    /// Of the host.
    pub power: Power,
    /// The largest archive that it takes, if it says so.
    pub limit: Option<u64>,
    /// Its free memory in bytes, if it says so.
    pub memory: Option<u64>,
    /// It restarts by itself as soon as its flash is written.
    pub by_itself: bool,
    /// It takes no upload, but fetches archives.
    pub pulls: bool,
    /// An update is going on that is not ours.
    pub busy: bool,
}

/// A BMC later on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What it holds, if that was asked.
    pub images: Option<Vec<Held>>,
    /// What runs, as far as it was asked and the BMC knows.
    pub runs: Versions,
    /// The BMC says that it is ready.
    pub ready: bool,
    /// Of the host.
    pub power: Power,
    /// Of our upload.
    pub task: Option<Task>,
    /// How far an activation is, of a hundred.
    pub percent: Option<u8>,
}

/// The host's power.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// On.
    On,
    /// Off.
    Off,
    /// On the way, or not known.
    #[default]
    Other,
}

/// A task of a Redfish BMC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// With its percentage.
    Running(Option<u8>),
    /// Written.
    Done,
    /// Failed or cancelled: the BMC's words.
    Broken(String),
    /// The BMC knows no such task (any more).
    Vanished,
}

/// Why a step did not do what it should; the text says what happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What it means for the node.
    pub kind: Kind,
    /// For people.
    pub text: String,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No connection, no answer in time, an answer that broke off, a gateway's error.
    Silent,
    /// Come back later.
    Busy,
    /// User or password.
    Denied,
    /// Its certificate is not the one that is known.
    Untrusted,
    /// Anything else: asking again would not help.
    Refused,
}

impl Trouble {
    /// Trouble of that kind.
    pub fn new(kind: Kind, text: impl Into<String>) -> Trouble {
        Trouble {
            kind,
            text: text.into(),
        }
    }
}
