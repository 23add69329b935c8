//! A process that cannot be taken for another one of the same number.

use std::fmt;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// A process by its number and its start, in the kernel's ticks since boot. The files that hold one are
/// gone after a boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    start: u64,
}

impl Process {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<Process> {
        let (state, start) = stat(pid)?;
        (state != 'Z').then_some(Process { pid, start })
    }

    /// True if it still runs.
    pub fn lives(&self) -> bool {
        Process::of(self.pid) == Some(*self)
    }

    /// Kills it and its group, if it still runs.
    pub fn kill(&self) {
        if self.lives() {
            let pid = Pid::from_raw(self.pid);
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Process> {
        let (pid, start) = text.split_once(' ')?;
        Some(Process {
            pid: pid.parse().ok().filter(|pid| *pid > 1)?,
            start: start.parse().ok()?,
        })
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.start)
    }
}

/// Its state and start time: fields 3 and 22, counted after the name, which may hold anything.
fn stat(pid: i32) -> Option<(char, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Process;

    #[test]
    fn a_number_alone_is_not_enough() {
        let me = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(me.lives());
        assert_eq!(Process::parse(&me.to_string()), Some(me));
        let earlier = Process {
            start: me.start - 1,
            ..me
        };
        assert!(!earlier.lives());
        assert!(Process::of(0).is_none());
        for text in ["", "1 5", "x 5", "7", "7 ", "-3 5"] {
            assert_eq!(Process::parse(text), None, "{text}");
        }
    }
}
