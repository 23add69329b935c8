//! How a node's way ends, and the run.

use fork_worker::{Crew, Limits};
use node_reboot::{NodeResult, Status};

use super::aim::Aim;
use super::{CHILDREN, Run, TICK};
use crate::node::{Node, Place};
use crate::order;

impl Run {
    /// A node's end before its disk is whole: its boot target becomes one that does no harm.
    pub(super) fn fail(&mut self, name: &str, status: Status, why: String) {
        self.aim_away(name);
        self.settle(name, status, why);
    }

    pub(super) fn settle(&mut self, name: &str, status: Status, why: String) {
        match self.nodes.get_mut(name) {
            Some(node) if node.place != Place::Settled => node.enter(Place::Settled),
            _ => return,
        }
        if let Err(error) = self.waiter.give_up(&[name.to_string()]) {
            self.trouble(error.to_string());
        }
        self.say(name, status, &why);
    }

    pub(super) fn say(&mut self, name: &str, status: Status, why: &str) {
        self.failed += usize::from(status.is_failure());
        self.answers.settled(&NodeResult::new(name, status, why));
    }

    /// The end, reached or asked for: claims and FIFO go in the order that loses nothing, what is not
    /// settled is cancelled, and no boot target is left that boots half of a disk.
    pub(super) fn end(&mut self) {
        let (news, _) = self.waiter.end();
        self.take_news(news);
        for handle in &mut self.reboots {
            handle.cancel();
        }
        self.hear_reboots();
        self.crew.terminate();
        self.crew = Crew::new(Limits::fanout(CHILDREN));
        // Children that were just ended may not have come to it: doing it twice changes nothing.
        for (aim, nodes) in std::mem::take(&mut self.aiming) {
            self.aims.entry(aim).or_default().extend(nodes);
        }
        let left: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.place != Place::Settled)
            .map(|(name, _)| name.clone())
            .collect();
        for name in left {
            let last = self
                .nodes
                .get(&name)
                .map(Node::last_known)
                .unwrap_or_default();
            match self.place(&name) {
                Some(Place::Whole) => {
                    self.aims.entry(Aim::Disk).or_default().push(name.clone());
                }
                Some(Place::Rebooting | Place::Configuring) => {}
                _ => self.aim_away(&name),
            }
            self.settle(&name, Status::CANCELLED, format!("last known: {last}"));
        }
        self.start_aims();
        while !self.crew.is_idle() {
            match self.crew.wait(&[], Some(TICK)) {
                Ok(ready) => ready.events.into_iter().for_each(|event| self.take(event)),
                Err(_) => break,
            }
        }
        let nonce = self.waiter.nonce().to_string();
        if let Err(why) = order::remove(&self.store, &nonce) {
            self.trouble(why);
        }
        self.answers.drain();
    }
}
