//! A rate that all connections share.

use std::time::{Duration, Instant};

/// A bucket never holds more than what flows in during this time.
const BURST: Duration = Duration::from_millis(50);

/// Smallest piece that is worth a call.
const PIECE: f64 = 16.0 * 1024.0;

/// Bytes that may be sent now.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Bytes a second; None: as fast as it goes.
    rate: Option<f64>,
    bytes: f64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Option<u64>, now: Instant) -> Bucket {
        Bucket {
            rate: rate.map(|rate| rate.max(1) as f64),
            bytes: 0.0,
            filled: now,
        }
    }

    /// How many of `most` bytes may be sent.
    pub(crate) fn allows(&mut self, most: usize, now: Instant) -> usize {
        let Some(rate) = self.rate else {
            return most;
        };
        let passed = now.saturating_duration_since(self.filled);
        self.filled = now;
        let full = (rate * BURST.as_secs_f64()).max(PIECE);
        self.bytes = (self.bytes + rate * passed.as_secs_f64()).min(full);
        // A crumb now would only cost a call: better a piece later.
        if self.bytes < PIECE.min(most as f64) {
            return 0;
        }
        most.min(self.bytes as usize)
    }

    /// So many have been sent.
    pub(crate) fn take(&mut self, bytes: usize) {
        if self.rate.is_some() {
            self.bytes -= bytes as f64;
        }
    }

    /// When there will be something again.
    pub(crate) fn wait(&self) -> Duration {
        let rate = self.rate.unwrap_or(f64::MAX);
        Duration::from_secs_f64(((PIECE - self.bytes) / rate).clamp(0.001, 10.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_ten_seconds_it_is_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(1_000_000), start);
        let mut sent = 0;
        for step in 0..10_000 {
            let now = start + Duration::from_millis(step);
            let may = bucket.allows(1 << 20, now);
            bucket.take(may);
            sent += may;
        }
        assert!((9_900_000..=10_100_000).contains(&sent), "{sent}");
        assert_eq!(Bucket::new(None, start).allows(77, start), 77);
    }

    #[test]
    fn a_low_rate_still_flows() {
        let start = Instant::now();
        let mut bucket = Bucket::new(Some(1), start);
        assert_eq!(bucket.allows(1 << 20, start), 0);
        let day = start + Duration::from_secs(86_400);
        assert_eq!(bucket.allows(1 << 20, day), 16 << 10);
    }
}
