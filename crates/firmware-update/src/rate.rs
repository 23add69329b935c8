//! One rate for all uploads together: `--rate`.

use std::time::{Duration, Instant};

/// Hands out bytes at a rate. What is not taken does not pile up beyond a tenth of a second.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: u64,
    /// When everything handed out so far will have passed.
    until: Option<Instant>,
}

impl Bucket {
    /// `rate` bytes a second, at least one.
    pub(crate) fn new(rate: u64) -> Bucket {
        Bucket {
            rate: rate.max(1),
            until: None,
        }
    }

    /// True if `bytes` may go now.
    pub(crate) fn take(&mut self, bytes: u64, now: Instant) -> bool {
        if self.next(now) > now {
            return false;
        }
        let slack = Duration::from_millis(100);
        let from = self.until.map_or(now, |until| {
            until.max(now.checked_sub(slack).unwrap_or(now))
        });
        let time = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        self.until = from.checked_add(time);
        true
    }

    /// When something may go.
    pub(crate) fn next(&self, now: Instant) -> Instant {
        self.until.map_or(now, |until| until.max(now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Bucket;

    #[test]
    fn the_rate_holds_whoever_asks() {
        let mut bucket = Bucket::new(1000);
        let start = Instant::now();
        let mut now = start;
        let mut sent = 0;
        while sent < 100_000 {
            if bucket.take(100, now) {
                sent += 100;
            } else {
                now = bucket.next(now);
            }
        }
        let took = now - start;
        assert!(
            took > Duration::from_secs(99) && took < Duration::from_secs(101),
            "{took:?}"
        );
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut bucket = Bucket::new(1000);
        let start = Instant::now();
        assert!(bucket.take(1000, start));
        let later = start + Duration::from_secs(100);
        assert!(bucket.take(1000, later));
        assert!(!bucket.take(1000, later));
    }
}
