//! Which node is begun when: batches, chassis, canaries, and when to stop.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::request::{MaxFail, Options};

/// Lets nodes begin.
#[derive(Debug)]
pub(crate) struct Pace {
    queue: VecDeque<usize>,
    /// Chassis of each node, if it has one.
    chassis: Vec<Option<String>>,
    under_way: BTreeMap<String, usize>,
    per_chassis: Option<usize>,
    batch: usize,
    pause: Duration,
    begun_in_batch: usize,
    pause_until: Option<Instant>,
    /// Canaries that are to begin, and those that have not ended.
    canaries_to_begin: usize,
    canaries_left: usize,
    failures: usize,
    most_failures: Option<usize>,
    ended: Option<String>,
}

impl Pace {
    /// For nodes 0 to n-1, in that order; `chassis` has one entry for each.
    pub(crate) fn new(chassis: Vec<Option<String>>, options: &Options) -> Pace {
        let nodes = chassis.len();
        let canaries = options.canary.min(nodes);
        Pace {
            queue: (0..nodes).collect(),
            chassis,
            under_way: BTreeMap::new(),
            per_chassis: options.per_chassis,
            batch: options.batch,
            pause: options.pause,
            begun_in_batch: 0,
            pause_until: None,
            canaries_to_begin: canaries,
            canaries_left: canaries,
            failures: 0,
            most_failures: options.max_fail.map(|most| match most {
                MaxFail::Nodes(number) => number,
                MaxFail::Percent(percent) => nodes * percent / 100,
            }),
            ended: None,
        }
    }

    /// The nodes that begin now.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<usize> {
        let mut due = Vec::new();
        let mut at = 0;
        while at < self.queue.len() && self.may_begin(now) {
            if self.is_crowded(self.queue[at]) {
                at += 1;
                continue;
            }
            let Some(node) = self.queue.remove(at) else {
                break;
            };
            self.begin(node, now);
            due.push(node);
        }
        due
    }

    /// When [`Pace::due`] may have something to say, if only time is missing.
    pub(crate) fn next(&self) -> Option<Instant> {
        let waits = !self.queue.is_empty() && !self.waits_for_canaries();
        self.pause_until.filter(|_| waits)
    }

    /// A node that was begun has ended.
    pub(crate) fn ended(&mut self, node: usize, failed: bool, name: &str) {
        if let Some(chassis) = self.chassis.get(node).and_then(Option::as_ref)
            && let Some(count) = self.under_way.get_mut(chassis)
        {
            *count = count.saturating_sub(1);
        }
        // Canaries are the first in the list, so they are also the first numbers that begin.
        let canary = self.canaries_left > 0;
        if canary {
            self.canaries_left -= 1;
        }
        if failed {
            self.failures += 1;
            if canary && self.ended.is_none() {
                self.ended = Some(format!("{name}, which went first, failed"));
            }
        }
        if let Some(most) = self.most_failures
            && self.failures > most
            && self.ended.is_none()
        {
            self.ended = Some(format!("{} nodes failed", self.failures));
        }
    }

    /// Nodes that will not begin any more, and why: taken out of the queue.
    pub(crate) fn dropped(&mut self) -> Option<(Vec<usize>, String)> {
        let why = self.ended.clone()?;
        let nodes: Vec<usize> = std::mem::take(&mut self.queue).into();
        (!nodes.is_empty()).then_some((nodes, why))
    }

    fn may_begin(&self, now: Instant) -> bool {
        self.ended.is_none()
            && !self.waits_for_canaries()
            && self.pause_until.is_none_or(|until| until <= now)
    }

    fn waits_for_canaries(&self) -> bool {
        self.canaries_to_begin == 0 && self.canaries_left > 0
    }

    fn is_crowded(&self, node: usize) -> bool {
        let Some(most) = self.per_chassis else {
            return false;
        };
        let chassis = self.chassis.get(node).and_then(Option::as_ref);
        chassis.is_some_and(|chassis| {
            self.under_way
                .get(chassis)
                .is_some_and(|n| *n >= most.max(1))
        })
    }

    fn begin(&mut self, node: usize, now: Instant) {
        if let Some(chassis) = self.chassis.get(node).cloned().flatten() {
            *self.under_way.entry(chassis).or_default() += 1;
        }
        self.canaries_to_begin = self.canaries_to_begin.saturating_sub(1);
        if self.batch == 0 {
            return;
        }
        self.begun_in_batch += 1;
        if self.begun_in_batch >= self.batch {
            self.begun_in_batch = 0;
            self.pause_until = now.checked_add(self.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(nodes: usize, options: Options) -> Pace {
        Pace::new(vec![None; nodes], &options)
    }

    #[test]
    fn batches_have_pauses_between_them() {
        let mut pace = pace(
            30,
            Options {
                batch: 12,
                ..Options::default()
            },
        );
        let start = Instant::now();
        assert_eq!(pace.due(start).len(), 12);
        assert!(pace.due(start + Duration::from_secs(4)).is_empty());
        assert_eq!(pace.next(), Some(start + Duration::from_secs(5)));
        assert_eq!(pace.due(start + Duration::from_secs(5)).len(), 12);
        assert_eq!(
            pace.due(start + Duration::from_secs(10)),
            (24..30).collect::<Vec<_>>()
        );
        assert_eq!(pace.next(), None);
    }

    #[test]
    fn others_wait_for_the_canaries() {
        let options = Options {
            batch: 0,
            canary: 2,
            ..Options::default()
        };
        let mut good = pace(5, options.clone());
        let now = Instant::now();
        assert_eq!(good.due(now), [0, 1]);
        good.ended(1, false, "n1");
        assert!(good.due(now).is_empty());
        good.ended(0, false, "n0");
        assert_eq!(good.due(now), [2, 3, 4]);
        let mut bad = pace(5, options);
        assert_eq!(bad.due(now), [0, 1]);
        bad.ended(0, true, "n0");
        bad.ended(1, false, "n1");
        assert!(bad.due(now).is_empty());
        let (nodes, why) = bad.dropped().unwrap_or_default();
        assert_eq!(nodes, [2, 3, 4]);
        assert!(why.starts_with("n0"), "{why}");
    }

    #[test]
    fn too_many_failures_end_the_run() {
        let options = Options {
            batch: 4,
            max_fail: Some(MaxFail::Percent(20)),
            ..Options::default()
        };
        let mut pace = pace(10, options);
        let now = Instant::now();
        assert_eq!(pace.due(now).len(), 4);
        pace.ended(0, true, "n0");
        pace.ended(1, true, "n1");
        assert_eq!(pace.dropped(), None);
        pace.ended(2, true, "n2");
        assert_eq!(pace.dropped().map(|(nodes, _)| nodes.len()), Some(6));
    }

    #[test]
    fn a_chassis_is_not_crowded() {
        let chassis = (0..6).map(|i| Some(format!("c{}", i / 3))).collect();
        let options = Options {
            batch: 0,
            per_chassis: Some(2),
            ..Options::default()
        };
        let mut pace = Pace::new(chassis, &options);
        let now = Instant::now();
        assert_eq!(pace.due(now), [0, 1, 3, 4]);
        pace.ended(3, false, "n3");
        assert_eq!(pace.due(now), [5]);
        pace.ended(0, false, "n0");
        assert_eq!(pace.due(now), [2]);
    }
}
