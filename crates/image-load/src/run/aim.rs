//! What nodes boot when their agents have ended: their disks, if those are whole; else what does no harm.

use node_reboot::{Status, genesis};

use super::{Run, Task};
use crate::node::Place;

/// Where nodes' boot targets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Aim {
    /// Their disks: those are whole.
    Disk,
    /// A shell of genesis: their disks may be half of something.
    Shell,
    /// What they were: their disks were not touched.
    Before,
}

impl Run {
    /// One child for each aim at a time: those that come meanwhile are the next one's set.
    pub(super) fn start_aims(&mut self) {
        for (aim, nodes) in std::mem::take(&mut self.aims) {
            if self.aiming.contains_key(&aim) {
                self.aims.insert(aim, nodes);
                continue;
            }
            self.aiming.insert(aim, nodes.clone());
            let location = self.plan.location.clone();
            let job = match aim {
                Aim::Disk => genesis::release_to_disk(location, nodes.clone()),
                Aim::Shell => genesis::keep_in_shell(location, nodes.clone()),
                Aim::Before => genesis::release(location, nodes.clone()),
            };
            self.crew.start(Task::Target(nodes, aim), job);
        }
    }

    pub(super) fn not_aimed(&mut self, name: &str, aim: Aim, why: &str) {
        if aim == Aim::Disk && self.place(name) == Some(Place::Whole) {
            let why = format!("its disk is whole, but {why}");
            return self.settle(name, Status::NOT_STARTED, why);
        }
        // A target that stays is one of ours: no disk is booted by it.
        self.trouble(format!("{name}: {why}"));
    }

    pub(super) fn aim_away(&mut self, name: &str) {
        let Some(node) = self.nodes.get(name).filter(|node| node.tries > 0) else {
            return;
        };
        let aim = match node.touched {
            true => Aim::Shell,
            false => Aim::Before,
        };
        self.aims.entry(aim).or_default().push(name.to_string());
    }
}
