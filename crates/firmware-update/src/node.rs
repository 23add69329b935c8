//! What is known of one node's update; a journal's line is this whole.

use serde::{Deserialize, Serialize};

use crate::State;
use crate::manifest::Purpose;

/// A node on its way. Everything that a later process needs to go on is in here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// Where it stands.
    pub state: State,
    /// Which of the run's images is being worked on.
    pub image: usize,
    /// What the BMC made of each image.
    pub slots: Vec<Slot>,
    /// The BMC's images before the upload that is going on: what is new afterwards is ours.
    pub before: Vec<String>,
    /// How the BMC is spoken to.
    pub dialect: Option<Dialect>,
    /// What ran when it was first looked at.
    pub was: Versions,
    /// What ran when it was last looked at.
    pub runs: Versions,
    /// It stopped answering since its reset: then an old version is the result, not the past.
    pub silent: bool,
    /// It restarts by itself when its flash is written.
    pub by_itself: bool,
    /// Settled: in what way. Failed: why.
    pub why: String,
    /// Times of state changes, in milliseconds since 1970.
    pub times: Vec<(State, u64)>,
}

/// One image on one BMC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Written before the last byte of the archive is sent: from here on the BMC may have it.
    pub sent: bool,
    /// The BMC's name for it, found in its list.
    pub id: Option<String>,
    /// Where a Redfish BMC tells how it goes.
    pub task: Option<String>,
    /// The BMC said that it has this version already.
    pub existed: bool,
    /// Active, and the next to boot.
    pub active: bool,
}

/// The two languages of BMCs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Redfish.
    Redfish,
    /// OpenBMC's own REST.
    Rest,
}

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The BMC's own firmware.
    pub bmc: Option<String>,
    /// The host's.
    pub host: Option<String>,
}

impl Versions {
    /// The version for images of that purpose.
    pub fn of(&self, purpose: &Purpose) -> Option<&str> {
        match purpose {
            Purpose::Bmc => self.bmc.as_deref(),
            Purpose::Host => self.host.as_deref(),
            Purpose::Other(_) => None,
        }
    }
}

impl Node {
    /// A node at the beginning.
    pub fn new(node: &str, images: usize) -> Node {
        Node {
            node: node.to_string(),
            state: State::Preflight,
            image: 0,
            slots: vec![Slot::default(); images],
            before: Vec::new(),
            dialect: None,
            was: Versions::default(),
            runs: Versions::default(),
            silent: false,
            by_itself: false,
            why: String::new(),
            times: Vec::new(),
        }
    }

    /// The image that is being worked on.
    pub fn slot(&mut self) -> &mut Slot {
        if self.slots.len() <= self.image {
            self.slots.resize(self.image + 1, Slot::default());
        }
        let at = self.image;
        &mut self.slots[at]
    }

    /// The time of its entry into a state, in milliseconds since 1970: the last one.
    pub fn since(&self, state: State) -> Option<u64> {
        let times = self.times.iter().rev();
        times
            .into_iter()
            .find(|(other, _)| *other == state)
            .map(|(_, at)| *at)
    }
}
