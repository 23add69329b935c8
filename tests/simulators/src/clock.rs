//! Simulated time.

use std::time::{Duration, Instant};

/// Seconds since the start, times a factor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    scale: f64,
}

impl Clock {
    pub(crate) fn new(scale: f64) -> Clock {
        Clock {
            start: Instant::now(),
            scale: if scale > 0.0 { scale } else { 1.0 },
        }
    }

    /// Simulated seconds since the start.
    pub(crate) fn now(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * self.scale
    }

    /// How long a simulated time really takes.
    pub(crate) fn real(&self, seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds.max(0.0) / self.scale).unwrap_or(Duration::MAX)
    }

    /// The moment of a simulated time.
    pub(crate) fn at(&self, time: f64) -> Instant {
        let far = self.start + Duration::from_secs(10 * 365 * 86_400);
        self.start.checked_add(self.real(time)).unwrap_or(far)
    }

    /// Lets a simulated time pass.
    pub(crate) fn pass(&self, seconds: f64) {
        if seconds > 0.0 {
            std::thread::sleep(self.real(seconds));
        }
    }
}
