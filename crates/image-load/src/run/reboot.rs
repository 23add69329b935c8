//! The last step: disks are whole and boot targets on them.

use node_reboot::{Caller, Status};

use super::Run;
use crate::node::Place;

impl Run {
    pub(super) fn reboot(&mut self, nodes: Vec<String>) {
        let whole: Vec<String> = nodes
            .into_iter()
            .filter(|node| self.place(node) == Some(Place::Whole))
            .collect();
        if whole.is_empty() {
            return;
        }
        if !self.plan.options.power {
            for node in whole {
                let story = self.story(&node);
                self.settle(
                    &node,
                    Status::DONE,
                    format!("{story}; waits in genesis to be rebooted"),
                );
            }
            return;
        }
        let options = node_reboot::Options {
            // In genesis nothing is mounted that would have to be shut down.
            at_once: true,
            batch: 0,
            wait: self.plan.options.wait,
            notes: self.plan.options.notes,
            ..node_reboot::Options::default()
        };
        self.hand_over(whole, Place::Rebooting, options);
    }

    fn configure(&mut self, node: &str) {
        let options = node_reboot::Options {
            configure: true,
            batch: 0,
            notes: self.plan.options.notes,
            ..node_reboot::Options::default()
        };
        self.hand_over(vec![node.to_string()], Place::Configuring, options);
    }

    fn hand_over(&mut self, nodes: Vec<String>, place: Place, options: node_reboot::Options) {
        for name in &nodes {
            if let Some(node) = self.nodes.get_mut(name) {
                node.enter(place.clone());
            }
        }
        let request = node_reboot::Request {
            nodes: nodes.clone(),
            options,
            // Whether the caller may was judged before anything began.
            caller: Caller {
                effective: 0,
                real: 0,
                behind: None,
            },
        };
        match node_reboot::start(&self.tables, &request) {
            Ok(handle) => self.reboots.push(handle),
            Err(why) => {
                for node in nodes {
                    let why = format!("its disk is whole, but: {why}");
                    self.settle(&node, Status::NOT_STARTED, why);
                }
            }
        }
    }

    pub(super) fn hear_reboots(&mut self) {
        let mut results = Vec::new();
        let mut notes = Vec::new();
        for handle in &mut self.reboots {
            results.extend(handle.poll_results());
            notes.extend(handle.poll_notes());
        }
        self.reboots.retain(|handle| !handle.is_ended());
        for note in notes {
            self.note(note);
        }
        for result in results {
            let story = self.story(&result.node);
            match (self.place(&result.node), result.status) {
                (Some(Place::Rebooting), Status::DONE) if self.plan.options.configure => {
                    self.configure(&result.node);
                }
                (Some(Place::Rebooting | Place::Configuring), Status::DONE) => {
                    let why = format!("{story}; {}", result.why);
                    self.settle(&result.node, Status::DONE, why);
                }
                (Some(Place::Rebooting | Place::Configuring), status) => {
                    let why = format!("{story}; {status}: {}", result.why);
                    self.settle(&result.node, status, why);
                }
                _ => {}
            }
        }
    }
}
