//! What a host's power does to the stand-in of its node.

use crate::doors::Door;
use crate::events::Happened;
use crate::timer::Wake;
use crate::world::World;
use crate::{Fault, Power};

impl World {
    /// Carries a change of BMC `number` on to its node.
    pub(crate) fn follow(&self, number: usize, what: &Happened) {
        match what {
            Happened::Power { power: Power::Off } => self.node_off(number),
            Happened::Boot { .. } => self.node_boots(number, 0.0),
            _ => {}
        }
    }

    /// The node reboots by itself, in an orderly way. False: it is not up.
    pub(crate) fn node_reboots(&self, number: usize) -> bool {
        let Some(settings) = self.config.nodes else {
            return false;
        };
        let up = self.nodes.get(number).is_some_and(|node| node.lock().up);
        if up {
            self.node_boots(number, settings.down);
        }
        up
    }

    /// Does what is due at a node, and says when the next is.
    pub(crate) fn advance_node(&self, number: usize) {
        let Some(node) = self.nodes.get(number) else {
            return;
        };
        let now = self.clock.now();
        let mut state = node.lock();
        let mut happened = Vec::new();
        if state.down_at.is_some_and(|at| at <= now) {
            state.down_at = None;
            if state.up {
                state.up = false;
                happened.push(Happened::NodeDown);
            }
        }
        if state.up_at.is_some_and(|at| at <= now) {
            state.up_at = None;
            if !std::mem::take(&mut state.keep_id) {
                state.boots += 1;
            }
            state.up = true;
            let boot_id = state.boot_id(number);
            happened.push(Happened::NodeUp { boot_id });
        }
        // The door first: whoever reads the event may go and look.
        self.doors.set(Door::Node(number), node.address, state.up);
        for what in happened {
            self.events.add(now, number, what);
        }
        let due = [state.down_at, state.up_at].into_iter().flatten();
        if let Some(due) = due.min_by(f64::total_cmp) {
            self.timer.at(self.clock.at(due), Wake::Node(number));
        }
    }

    fn node_off(&self, number: usize) {
        if let Some(node) = self.nodes.get(number) {
            let mut state = node.lock();
            state.down_at = Some(self.clock.now());
            state.up_at = None;
        }
        self.advance_node(number);
    }

    fn node_boots(&self, number: usize, down: f64) {
        let (Some(node), Some(settings), Some(bmc)) = (
            self.nodes.get(number),
            self.config.nodes,
            self.bmcs.get(number),
        ) else {
            return;
        };
        let (never, takes, same) = {
            let state = bmc.lock();
            let takes = state.rules.standing(|fault| match fault {
                Fault::NodeBootTakes { seconds } => Some(*seconds),
                _ => None,
            });
            (
                state.rules.has(&Fault::NodeNeverUp),
                takes.unwrap_or(settings.boot),
                state.rules.has(&Fault::NodeSameBootId),
            )
        };
        let down_at = self.clock.now() + down;
        {
            let mut state = node.lock();
            state.down_at = Some(down_at);
            state.up_at = (!never).then_some(down_at + takes);
            state.keep_id = same;
        }
        self.advance_node(number);
    }
}
