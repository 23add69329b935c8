//! Wakes BMCs and nodes when something is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Whom to wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wake {
    Bmc(usize),
    Node(usize),
}

/// Wakes that are to come. One too many does no harm: whoever is woken looks at the clock.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    heap: Mutex<BinaryHeap<Reverse<(Instant, Wake)>>>,
    earlier: Condvar,
}

impl Timer {
    pub(crate) fn at(&self, when: Instant, wake: Wake) {
        if let Ok(mut heap) = self.heap.lock() {
            heap.push(Reverse((when, wake)));
        }
        self.earlier.notify_one();
    }

    /// Waits for the next that is due; `None` after a second without one.
    pub(crate) fn next(&self) -> Option<Wake> {
        let end = Instant::now() + Duration::from_secs(1);
        let mut heap = self.heap.lock().ok()?;
        loop {
            let now = Instant::now();
            let first = heap.peek().map(|Reverse((when, _))| *when);
            match first {
                Some(when) if when <= now => return heap.pop().map(|Reverse((_, wake))| wake),
                _ if now >= end => return None,
                _ => {}
            }
            let until = first.map_or(end, |when| when.min(end));
            heap = self.earlier.wait_timeout(heap, until - now).ok()?.0;
        }
    }
}
