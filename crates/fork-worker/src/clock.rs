//! Points in time for poll.

use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

/// `now + after`, or None if that is beyond what the clock can say: never.
pub(crate) fn later(now: Instant, after: Duration) -> Option<Instant> {
    now.checked_add(after)
}

/// The earlier of two points in time, where None is never.
pub(crate) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// How long poll may sleep. Rounded up: rounded down it would spin through the last millisecond.
pub(crate) fn sleep_until(due: Option<Instant>, now: Instant) -> PollTimeout {
    let Some(due) = due else {
        return PollTimeout::NONE;
    };
    let left = due.saturating_duration_since(now);
    let mut millis = left.as_millis();
    if left.subsec_nanos() % 1_000_000 != 0 {
        millis += 1;
    }
    i32::try_from(millis)
        .ok()
        .and_then(|millis| PollTimeout::try_from(millis).ok())
        .unwrap_or(PollTimeout::MAX)
}
