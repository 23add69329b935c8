//! The light stand-in of a node: a port that is open while the node is up.

use std::net::SocketAddrV4;
use std::sync::{Mutex, MutexGuard};

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) address: SocketAddrV4,
    state: Mutex<State>,
}

/// What changes.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) up: bool,
    pub(crate) boots: u64,
    pub(crate) down_at: Option<f64>,
    pub(crate) up_at: Option<f64>,
    /// The next boot keeps the boot id.
    pub(crate) keep_id: bool,
}

impl Node {
    pub(crate) fn new(number: usize, address: SocketAddrV4, up: bool) -> Node {
        Node {
            number,
            address,
            state: Mutex::new(State {
                up,
                ..State::default()
            }),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    pub(crate) fn boot_id(&self, number: usize) -> String {
        format!("{number:08x}-0000-4000-8000-{:012x}", self.boots)
    }
}
