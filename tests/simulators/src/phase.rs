//! A BMC that reboots: how far it has come.

/// What a BMC answers while it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Everything.
    Up,
    /// Connections are refused.
    Refused,
    /// 503 to everything.
    Unavailable,
    /// 404 to everything.
    NotFound,
    /// 500 with nothing in it, but for what needs no login.
    Broken,
    /// Everything, but the manager says that it starts.
    Starting,
}

/// Ends of the phases as parts of the whole time away.
pub(crate) type Course = &'static [(f64, Phase)];

/// Servers before bmcweb of today.
pub(crate) const OLD: Course = &[
    (0.70, Phase::Refused),
    (0.80, Phase::Unavailable),
    (0.88, Phase::NotFound),
    (1.0, Phase::Starting),
];

/// Today's bmcweb.
pub(crate) const NEW: Course = &[
    (0.75, Phase::Refused),
    (0.88, Phase::Broken),
    (1.0, Phase::Starting),
];

/// From when for how long a BMC is away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Away {
    pub(crate) since: f64,
    pub(crate) seconds: f64,
}

impl Away {
    pub(crate) fn phase(&self, course: Course, now: f64) -> Phase {
        let part = (now - self.since) / self.seconds;
        let at = course.iter().find(|(end, _)| part < *end);
        at.map_or(Phase::Up, |(_, phase)| *phase)
    }

    /// When the next phase begins.
    pub(crate) fn due(&self, course: Course, now: f64) -> Option<f64> {
        let ends = course
            .iter()
            .map(|(end, _)| self.since + end * self.seconds);
        ends.filter(|end| *end > now).min_by(f64::total_cmp)
    }
}
