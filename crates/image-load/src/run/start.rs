//! Nodes that begin: off, armed, on, as many at a time as the fanout allows.

use node_reboot::{Status, genesis};

use super::{Run, Task};
use crate::node::Place;
use crate::serve;

/// Nodes in one call of what arms or powers them.
const SET: usize = 64;

impl Run {
    /// Where nodes reach callbackd; starts it if it does not run.
    pub(super) fn listener(&self) -> Result<String, String> {
        node_report::listener(&self.plan.options.callbackd)
            .and_then(|address| node_report::reachable(&self.tables, &address))
            .map_err(|error| error.to_string())
    }

    /// Where the image servers are; starts those that do not run.
    pub(super) fn servers(&self) -> Result<String, String> {
        let images = self.plan.images.iter();
        let addresses = images.map(|image| {
            serve::up(&self.plan.options.osload, &image.manifest)
                .map_err(|error| format!("{}: {error}", image.name))
        });
        Ok(addresses.collect::<Result<Vec<_>, _>>()?.join(","))
    }

    /// Starts nodes as far as the fanout allows.
    pub(super) fn begin(&mut self) {
        let pending: Vec<String> = self.at(&Place::Pending);
        if pending.is_empty() {
            return;
        }
        let asked = self.nodes.len() + self.plan.settled().len();
        if self.plan.options.is_too_much(self.failed, asked) {
            for node in pending {
                let why = format!("not begun: {} nodes have failed", self.failed);
                self.settle(&node, Status::CANCELLED, why);
            }
            return;
        }
        let under_way = self
            .nodes
            .values()
            .filter(|node| node.is_under_way())
            .count();
        let room = self.plan.options.fanout.saturating_sub(under_way);
        let chosen: Vec<String> = pending.into_iter().take(room).collect();
        for set in chosen.chunks(SET) {
            self.start(set.to_vec());
        }
    }

    pub(super) fn start(&mut self, set: Vec<String>) {
        let Some(target) = self.target.clone() else {
            return;
        };
        for name in &set {
            if let Some(node) = self.nodes.get_mut(name) {
                node.enter(Place::Starting);
                node.tries += 1;
            }
        }
        let location = self.plan.location.clone();
        let job = match self.plan.options.power {
            true => genesis::job(location, set.clone(), target),
            false => genesis::arm(location, set.clone(), target),
        };
        self.crew.start(Task::Start(set), job);
    }

    pub(super) fn booting(&mut self, name: &str) {
        if let Some(node) = self.nodes.get_mut(name)
            && node.place == Place::Starting
        {
            node.enter(Place::Booting);
            let how = match self.plan.options.power {
                true => "booting into genesis",
                false => "armed, to be booted",
            };
            self.note(format!("{name}: {how}"));
        }
    }

    /// Power or boot target failed: no second try makes that better, and its disk is as it was, unless
    /// this was the second.
    pub(super) fn not_started(&mut self, name: &str, why: &str) {
        if self.place(name) == Some(Place::Starting) {
            self.fail(name, Status::POWER_FAILED, why.to_string());
        }
    }
}
