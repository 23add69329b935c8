//! Where one node is on its way.

use std::time::{Duration, Instant};

/// How often a node is started: once more if it never entered the agent, or died while it wrote.
pub(crate) const TRIES: u32 = 2;

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// Since when it is there.
    pub(crate) since: Instant,
    pub(crate) tries: u32,
    /// Its agent had a disk: what that holds is not known until a verdict.
    pub(crate) touched: bool,
    /// Frames that it has, of all, and when the last one came.
    pub(crate) have: (u64, u64),
    pub(crate) moved: Instant,
    /// Words of its agent that image servers have heard, and when the last one came.
    words: u64,
    heard: Instant,
    /// What was told of `have` last, in tenths.
    pub(crate) told: u64,
    /// How its disk was written, for its last line.
    pub(crate) story: String,
}

/// The states of a node, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not begun.
    Pending,
    /// It is being switched off, armed and switched on.
    Starting,
    /// On its way into genesis.
    Booting,
    /// Its agent writes.
    Loading,
    /// Its disk is whole; its boot target is being changed.
    Whole,
    /// It reboots.
    Rebooting,
    /// Its configuration is run.
    Configuring,
    /// Nothing more will become of it.
    Settled,
}

/// Why a node is given up, or started again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wedged {
    pub(crate) why: String,
    /// It never got as far as its agent's first word.
    pub(crate) never_entered: bool,
}

/// How long a node may be where it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// [`Place::Booting`]
    pub(crate) set_up: Duration,
    /// [`Place::Loading`] in all.
    pub(crate) limit: Duration,
    /// [`Place::Loading`] without a word of its agent; or without another frame, while some are missing
    /// and some are there.
    pub(crate) stall: Duration,
}

impl Node {
    pub(crate) fn new() -> Node {
        let now = Instant::now();
        Node {
            place: Place::Pending,
            since: now,
            tries: 0,
            touched: false,
            have: (0, 0),
            moved: now,
            words: 0,
            heard: now,
            told: 0,
            story: String::new(),
        }
    }

    pub(crate) fn enter(&mut self, place: Place) {
        self.place = place;
        self.since = Instant::now();
        self.moved = self.since;
        self.heard = self.since;
    }

    /// True from its start to its end.
    pub(crate) fn is_under_way(&self) -> bool {
        !matches!(self.place, Place::Pending | Place::Settled)
    }

    /// What its agent has said to the image servers, in all: if that is more, or less to a new server, than
    /// the last time, it lives.
    pub(crate) fn hear(&mut self, words: u64) {
        if words != self.words {
            self.words = words;
            self.heard = Instant::now();
        }
    }

    /// A count came from the image servers. True if it says more than the last.
    pub(crate) fn progressed(&mut self, have: u64, total: u64) -> bool {
        let more = (have, total) != self.have;
        if more {
            self.have = (have, total);
            self.moved = Instant::now();
        }
        more
    }

    /// Judges how long it has been where it is.
    pub(crate) fn wedged(&self, now: Instant, patience: &Patience) -> Option<Wedged> {
        let here = now.saturating_duration_since(self.since);
        let (have, total) = self.have;
        match self.place {
            Place::Booting if here >= patience.set_up => Some(Wedged {
                why: format!(
                    "nothing was heard of its agent within {} s",
                    patience.set_up.as_secs()
                ),
                never_entered: true,
            }),
            Place::Loading if here >= patience.limit => Some(Wedged {
                why: format!(
                    "no verdict within {} s ({have} of {total} frames)",
                    patience.limit.as_secs()
                ),
                never_entered: false,
            }),
            // Before the first frame a disk may be wiped, after the last it is read back: both take long.
            Place::Loading
                if have > 0
                    && have < total
                    && now.saturating_duration_since(self.moved) >= patience.stall =>
            {
                Some(Wedged {
                    why: format!(
                        "no more frames for {} s ({have} of {total})",
                        patience.stall.as_secs()
                    ),
                    never_entered: false,
                })
            }
            Place::Loading if now.saturating_duration_since(self.heard) >= patience.stall => {
                Some(Wedged {
                    why: format!(
                        "nothing was heard of its agent for {} s ({have} of {total} frames)",
                        patience.stall.as_secs()
                    ),
                    never_entered: false,
                })
            }
            _ => None,
        }
    }

    /// Where it was when the work was ended, for people.
    pub(crate) fn last_known(&self) -> String {
        let (have, total) = self.have;
        match self.place {
            Place::Pending | Place::Settled => "not begun".into(),
            Place::Starting => "being switched off and on".into(),
            Place::Booting => format!("booting since {} s", self.since.elapsed().as_secs()),
            Place::Loading => format!("writing, {have} of {total} frames"),
            Place::Whole | Place::Rebooting | Place::Configuring => "its disk is whole".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PATIENCE: Patience = Patience {
        set_up: Duration::from_secs(100),
        limit: Duration::from_secs(1000),
        stall: Duration::from_secs(10),
    };

    #[test]
    fn each_place_has_its_limit() {
        let mut node = Node::new();
        let at = |node: &Node, seconds| {
            node.wedged(node.since + Duration::from_secs(seconds), &PATIENCE)
        };
        for place in [
            Place::Pending,
            Place::Starting,
            Place::Whole,
            Place::Rebooting,
        ] {
            node.enter(place);
            assert_eq!(at(&node, 1 << 20), None);
        }
        node.enter(Place::Booting);
        assert_eq!(at(&node, 99), None);
        assert!(at(&node, 100).is_some_and(|wedged| wedged.never_entered));
        node.enter(Place::Loading);
        let said = |node: &Node, seconds| at(node, seconds).map(|wedged| wedged.why);
        assert_eq!(at(&node, 9), None);
        let silent = said(&node, 10).unwrap();
        assert!(silent.contains("nothing was heard"), "{silent}");
        node.hear(1);
        assert!(node.heard > node.since);
        // As if it had spoken at the end of each time.
        let later =
            |node: &mut Node, seconds| node.heard = node.since + Duration::from_secs(seconds);
        later(&mut node, 999);
        assert_eq!(at(&node, 999), None, "wiping takes its time");
        assert!(node.progressed(5, 10) && !node.progressed(5, 10));
        let stalled = said(&node, 50).unwrap();
        assert!(stalled.contains("no more frames"), "{stalled}");
        assert!(node.progressed(10, 10));
        assert_eq!(at(&node, 999), None, "so does reading back");
        assert!(said(&node, 1000).unwrap().contains("10 of 10"));
    }
}
