//! Who was the one server, as the servers themselves wrote it down; and whether there ever were two.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// One incarnation, by its first and last stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reign {
    /// Its number.
    pub epoch: u64,
    /// Its process.
    pub pid: u32,
    /// Nanoseconds of the kernel's monotonic clock.
    pub first: u64,
    /// The same.
    pub last: u64,
}

/// What the history says.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many there were.
    pub reigns: usize,
    /// Two at a time, an epoch twice, or a greater epoch before a smaller one.
    pub faults: Vec<String>,
    /// Longest time without a server.
    pub longest_gap: Duration,
}

/// Reads stamps `TIME EPOCH PID` in any order.
pub fn read(journal: &Path) -> Vec<Reign> {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    judge_lines(&text)
}

fn judge_lines(text: &str) -> Vec<Reign> {
    let mut reigns: BTreeMap<(u64, u32), Reign> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ').map(str::parse::<u64>);
        let (Some(Ok(time)), Some(Ok(epoch)), Some(Ok(pid))) =
            (words.next(), words.next(), words.next())
        else {
            // The last stamp of one that was killed in it.
            continue;
        };
        let pid = u32::try_from(pid).unwrap_or(0);
        let reign = reigns.entry((epoch, pid)).or_insert(Reign {
            epoch,
            pid,
            first: time,
            last: time,
        });
        reign.first = reign.first.min(time);
        reign.last = reign.last.max(time);
    }
    let mut reigns: Vec<Reign> = reigns.into_values().collect();
    reigns.sort_by_key(|reign| reign.first);
    reigns
}

/// Judges reigns in the order of their first stamps.
pub fn judge(reigns: &[Reign]) -> Verdict {
    let mut verdict = Verdict {
        reigns: reigns.len(),
        ..Verdict::default()
    };
    let mut latest: Option<Reign> = None;
    for reign in reigns {
        let Some(before) = latest else {
            latest = Some(*reign);
            continue;
        };
        if reign.first <= before.last {
            verdict
                .faults
                .push(format!("two at once: {before:?} and {reign:?}"));
        }
        if reign.epoch <= before.epoch {
            verdict
                .faults
                .push(format!("epochs do not grow: {before:?}, then {reign:?}"));
        }
        let gap = Duration::from_nanos(reign.first.saturating_sub(before.last));
        verdict.longest_gap = verdict.longest_gap.max(gap);
        if reign.last >= before.last {
            latest = Some(*reign);
        }
    }
    verdict
}

/// What one who watched was told, `oneserver watch --json` in a file: epochs that go back, or servers that
/// there never were.
pub fn judge_told(told: &Path, reigns: &[Reign]) -> Vec<String> {
    let (mut faults, mut last) = (Vec::new(), 0);
    for (event, epoch) in events(told) {
        if epoch < last {
            faults.push(format!("{}: {event} {epoch} after {last}", told.display()));
        }
        last = last.max(epoch);
        if event == "ready" && !reigns.iter().any(|reign| reign.epoch == epoch) {
            faults.push(format!("{}: {epoch} never was", told.display()));
        }
    }
    faults
}

/// The epoch of the server that is ready, as the last event says.
pub fn last_told(told: &Path) -> Option<u64> {
    let (event, epoch) = events(told).pop()?;
    (event == "ready").then_some(epoch)
}

/// Those that say something of a server, with its epoch.
fn events(told: &Path) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(told).unwrap_or_default();
    let events = text.lines().filter_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        let name = event["event"].as_str()?;
        let aside = matches!(name, "waiting" | "reloaded");
        (!aside).then(|| Some((name.to_string(), event["epoch"].as_u64()?)))?
    });
    events.filter(|(_, epoch)| *epoch > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nor_deaf() {
        let dir = tempfile::tempdir().expect("a directory");
        let told = dir.path().join("told");
        let reigns = judge_lines("10 1 7\n15 2 8\n31 4 9\n");
        let lines = |lines: &[(&str, u64)]| {
            let lines: String = lines
                .iter()
                .map(|(event, epoch)| format!("{{\"event\":\"{event}\",\"epoch\":{epoch}}}\n"))
                .collect();
            std::fs::write(&told, lines).expect("a file");
        };
        lines(&[
            ("ready", 1),
            ("lost", 1),
            ("starting", 3),
            ("waiting", 1),
            ("ready", 4),
        ]);
        assert_eq!(judge_told(&told, &reigns), [""; 0]);
        assert_eq!(last_told(&told), Some(4));
        for more in [("ready", 2), ("lost", 3), ("ready", 5)] {
            lines(&[("ready", 4), more]);
            assert_eq!(judge_told(&told, &reigns).len(), 1, "{more:?}");
        }
    }

    #[test]
    fn the_judge_is_not_blind() {
        let good = "10 1 7\n12 1 7\n15 2 8\n20 2 8\n31 4 9\n";
        let verdict = judge(&judge_lines(good));
        assert_eq!((verdict.reigns, verdict.faults.len()), (3, 0));
        assert_eq!(verdict.longest_gap, Duration::from_nanos(11));
        // A late stamp; an epoch twice; an older epoch after a newer one; one reign inside another.
        for more in ["16 1 7\n", "40 4 10\n", "40 3 10\n", "17 2 11\n"] {
            let verdict = judge(&judge_lines(&format!("{good}{more}")));
            assert!(!verdict.faults.is_empty(), "{more}");
        }
    }
}
