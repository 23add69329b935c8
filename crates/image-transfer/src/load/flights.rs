//! Frames on their way, and the memory for them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// When nothing else is left to ask for, a frame that is so long on its way is asked for once more,
/// of somebody else.
const LATE: Duration = Duration::from_secs(1);

/// Requests for one frame at a time.
const TWICE: u8 = 2;

/// What is on its way.
#[derive(Debug)]
pub(super) struct Flights {
    flying: HashMap<usize, (u8, Instant)>,
    /// Bytes that requests may still bring, and bytes that wait to be taken.
    used: usize,
    most: usize,
}

impl Flights {
    pub(super) fn new(most: usize) -> Flights {
        Flights {
            flying: HashMap::new(),
            used: 0,
            most,
        }
    }

    /// True if an answer of so many bytes fits. One always does: else nothing ever came.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.used == 0 || self.used + bytes <= self.most
    }

    /// An answer of at most so many bytes is asked for.
    pub(super) fn load(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// It has come, or will not.
    pub(super) fn unload(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }

    pub(super) fn begin(&mut self, frame: usize, now: Instant) {
        self.flying.entry(frame).or_insert((0, now)).0 += 1;
    }

    pub(super) fn end(&mut self, frame: usize) {
        if let Some((count, _)) = self.flying.get_mut(&frame) {
            *count -= 1;
            if *count == 0 {
                self.flying.remove(&frame);
            }
        }
    }

    pub(super) fn is_flying(&self, frame: usize) -> bool {
        self.flying.contains_key(&frame)
    }

    pub(super) fn count(&self) -> usize {
        self.flying.len()
    }

    /// It may be asked for although it is on its way.
    pub(super) fn is_late(&self, frame: usize, now: Instant) -> bool {
        let late = |(count, since): &(u8, Instant)| {
            *count < TWICE && now.saturating_duration_since(*since) >= LATE
        };
        self.flying.get(&frame).is_some_and(late)
    }
}
