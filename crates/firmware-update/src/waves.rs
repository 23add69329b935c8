//! Which nodes may begin: canaries, batches, and when it is enough.

use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How starts are held back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waves {
    /// So many first, and the rest only if all of those are good.
    pub canary: Option<usize>,
    /// After so many starts comes a pause.
    pub batch: Option<usize>,
    /// The pause.
    pub pause: Duration,
    /// More failures than this among the nodes that began end all further starts.
    pub max_fail: Option<MaxFail>,
}

/// `--max-fail N` or `N%` of all nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MaxFail {
    /// So many failed nodes are borne.
    Nodes(usize),
    /// So many of a hundred.
    Percent(u8),
}

impl FromStr for MaxFail {
    type Err = String;

    fn from_str(text: &str) -> Result<MaxFail, String> {
        let wrong = || "is neither a number nor a percentage up to 100%".to_string();
        match text.strip_suffix('%') {
            Some(number) => match number.parse() {
                Ok(percent) if percent <= 100 => Ok(MaxFail::Percent(percent)),
                _ => Err(wrong()),
            },
            None => text.parse().map(MaxFail::Nodes).map_err(|_| wrong()),
        }
    }
}

/// How far the nodes of a run are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Nodes that are to be flashed.
    pub all: usize,
    /// Began, ended or not.
    pub started: usize,
    /// Ended well.
    pub good: usize,
    /// Ended badly.
    pub failed: usize,
}

/// Whether one more may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Now.
    Now,
    /// Not before somebody has ended.
    Later,
    /// Not before this time.
    At(Instant),
    /// Never: the reason for those that are left.
    Never(String),
}

/// The gate that every node passes before its first byte.
#[derive(Debug)]
pub struct Gate {
    waves: Waves,
    in_batch: usize,
    pause_until: Option<Instant>,
}

impl Gate {
    /// An open gate.
    pub fn new(waves: Waves) -> Gate {
        Gate {
            waves,
            in_batch: 0,
            pause_until: None,
        }
    }

    /// Whether one more node may begin.
    pub fn look(&self, counts: &Counts, now: Instant) -> Start {
        if let Some(why) = self.enough(counts) {
            return Start::Never(why);
        }
        if let Some(canary) = self.waves.canary
            && counts.started >= canary
            && counts.good < canary
        {
            return Start::Later;
        }
        match self.pause_until {
            Some(until) if until > now => Start::At(until),
            _ => Start::Now,
        }
    }

    /// A node has begun.
    pub fn started(&mut self, now: Instant) {
        let Some(batch) = self.waves.batch.filter(|batch| *batch > 0) else {
            return;
        };
        self.in_batch += 1;
        if self.in_batch >= batch {
            self.in_batch = 0;
            self.pause_until = now.checked_add(self.waves.pause);
        }
    }

    fn enough(&self, counts: &Counts) -> Option<String> {
        if let Some(canary) = self.waves.canary
            && counts.failed > 0
            && counts.started <= canary
        {
            return Some("not touched: a canary failed".into());
        }
        let most = match self.waves.max_fail? {
            MaxFail::Nodes(nodes) => nodes,
            MaxFail::Percent(percent) => counts.all * usize::from(percent) / 100,
        };
        (counts.failed > most).then(|| {
            format!(
                "not touched: {} nodes failed, more than --max-fail allows",
                counts.failed
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use super::{Counts, Gate, MaxFail, Start, Waves};

    fn counts(started: usize, good: usize, failed: usize) -> Counts {
        Counts {
            all: 100,
            started,
            good,
            failed,
        }
    }

    #[test]
    fn the_rest_waits_for_every_canary() {
        let gate = Gate::new(Waves {
            canary: Some(3),
            ..Waves::default()
        });
        let now = Instant::now();
        assert_eq!(gate.look(&counts(2, 0, 0), now), Start::Now);
        assert_eq!(gate.look(&counts(3, 2, 0), now), Start::Later);
        assert_eq!(gate.look(&counts(3, 3, 0), now), Start::Now);
        assert!(matches!(gate.look(&counts(3, 2, 1), now), Start::Never(_)));
        assert!(matches!(gate.look(&counts(1, 0, 1), now), Start::Never(_)));
        // Later failures are --max-fail's matter.
        assert_eq!(gate.look(&counts(10, 5, 2), now), Start::Now);
    }

    #[test]
    fn too_many_failures_stop_the_starts() {
        let now = Instant::now();
        for (text, borne, stop) in [("0", 0, 1), ("5", 5, 6), ("10%", 10, 11), ("0%", 0, 1)] {
            let gate = Gate::new(Waves {
                max_fail: Some(text.parse().unwrap()),
                ..Waves::default()
            });
            assert_eq!(gate.look(&counts(50, 0, borne), now), Start::Now, "{text}");
            assert!(
                matches!(gate.look(&counts(50, 0, stop), now), Start::Never(_)),
                "{text}"
            );
        }
        for text in ["", "-1", "101%", "x%", "5 %"] {
            assert!(text.parse::<MaxFail>().is_err(), "{text}");
        }
    }

    #[test]
    fn batches_pause() {
        let waves = Waves {
            batch: Some(2),
            pause: Duration::from_secs(10),
            ..Waves::default()
        };
        let mut gate = Gate::new(waves);
        let now = Instant::now();
        gate.started(now);
        assert_eq!(gate.look(&counts(1, 0, 0), now), Start::Now);
        gate.started(now);
        let later = now + Duration::from_secs(10);
        assert_eq!(gate.look(&counts(2, 0, 0), now), Start::At(later));
        assert_eq!(gate.look(&counts(2, 0, 0), later), Start::Now);
    }
}
