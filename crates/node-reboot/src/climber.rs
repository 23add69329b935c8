//! One node on its ladder: its state, its times, and what was seen of it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::evidence::{Evidence, Seen};
use crate::ladder::{Event, Rules, State};
use crate::route::{Node, Route};
use crate::step::{Said, Step};
use crate::verdict::Status;

/// Between two looks at a node that goes down, and from an order to the first look at its power.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at a node's power, at most: each is a login, and there may be thousands.
const LOOK_RARELY: Duration = Duration::from_secs(8);
/// Between two looks at a node that comes up.
const LOOK_UP: Duration = Duration::from_secs(2);
/// Between two questions for the boot id: each is a login.
const ASK: Duration = Duration::from_secs(5);
/// Before a node is switched on again after that failed: it is off because of us.
const AGAIN: Duration = Duration::from_secs(2);
/// How often that is done.
const TRIES: u8 = 2;

/// A node and where it is.
#[derive(Debug)]
pub(crate) struct Climber {
    pub(crate) node: Rc<Node>,
    pub(crate) rules: Rules,
    pub(crate) state: State,
    /// How long it may stay in the state.
    allowed: Duration,
    /// Its time is over, but for a last look.
    pub(crate) overdue: bool,
    /// Looks at its power, in this state.
    looks: u32,
    /// When it was begun.
    begun: Option<Instant>,
    /// When the state's time is over.
    pub(crate) limit: Option<Instant>,
    /// When it is looked at next.
    pub(crate) look: Option<Instant>,
    /// The supervisor's timer for it.
    pub(crate) timer: Option<Instant>,
    asked: Option<Instant>,
    evidence: Evidence,
    /// xCAT's status when it began to come up.
    status: Option<String>,
    /// What failed on the way.
    trail: Vec<String>,
    reading: String,
    how: &'static str,
    tries: u8,
    was_off: bool,
}

impl Climber {
    pub(crate) fn new(node: Rc<Node>, rules: Rules) -> Climber {
        Climber {
            node,
            rules,
            state: State::Queued,
            allowed: Duration::ZERO,
            overdue: false,
            looks: 0,
            begun: None,
            limit: None,
            look: None,
            timer: None,
            asked: None,
            evidence: Evidence::default(),
            status: None,
            trail: Vec::new(),
            reading: String::new(),
            how: "",
            tries: 0,
            was_off: true,
        }
    }

    /// Moves to `state`, whose time is `limit`; the step to do there at once.
    pub(crate) fn enter(
        &mut self,
        state: State,
        limit: Option<Duration>,
        now: Instant,
    ) -> Option<Step> {
        if self.state == State::Queued {
            self.begun = Some(now);
        }
        let watched = state.is_watched();
        self.note_passage(state);
        self.state = state;
        self.allowed = limit.unwrap_or_default();
        (self.overdue, self.looks) = (false, 0);
        self.limit = limit
            .filter(|_| watched)
            .and_then(|limit| now.checked_add(limit));
        self.look = None;
        if watched {
            self.look_again(now);
            return None;
        }
        Step::of(state)
    }

    /// What `said` means here, if it means anything; `ask` is set if the boot id is wanted next.
    pub(crate) fn judge(
        &mut self,
        step: Step,
        said: Said,
        now: Instant,
        ask: &mut bool,
    ) -> Option<Event> {
        let watching = matches!(self.state, State::GoingDown | State::ComingUp);
        let seen = match said {
            Said::Done => return Some(Event::Done),
            Said::DoneBut(text) => {
                self.trail.push(text);
                return Some(Event::Done);
            }
            Said::Started => return Some(Event::Started),
            // The child that was to ask has failed: as good as ssh itself.
            Said::Failed(why) if watching && step == Step::BootId => Seen::NoSsh(why),
            Said::Failed(why) => return self.failed(step, why, now),
            Said::Reading(text) => {
                self.reading = text;
                return None;
            }
            Said::BootId(id) if self.state == State::Identify => {
                self.evidence.was(id);
                return Some(Event::Done);
            }
            Said::NoSsh(why) if self.state == State::Identify => {
                self.trail.push(why);
                return Some(Event::Failed);
            }
            Said::Open if !watching => return Some(Event::Open),
            Said::Closed if !watching => return Some(Event::Closed),
            Said::Open => {
                let due = self
                    .asked
                    .is_none_or(|asked| now.duration_since(asked) >= ASK);
                *ask = due && self.rules_allow_ssh();
                if *ask {
                    self.asked = Some(now);
                }
                Seen::Open
            }
            Said::Closed => Seen::Closed,
            Said::BootId(id) => Seen::BootId(id),
            Said::NoSsh(why) => Seen::NoSsh(why),
            Said::Status(text) => return self.new_status(&text),
        };
        match self.state {
            State::GoingDown => self.evidence.going_down(&seen),
            State::ComingUp => self.evidence.coming_up(&seen),
            _ => None,
        }
    }

    /// Sets the time of the next look.
    pub(crate) fn look_again(&mut self, now: Instant) {
        let pause = match self.state {
            State::ComingUp => LOOK_UP,
            State::GoingDown => LOOK,
            _ => (LOOK * 2u32.saturating_pow(self.looks)).min(LOOK_RARELY),
        };
        self.looks = (self.looks + 1).min(8);
        self.look = now.checked_add(pause);
    }

    /// When something is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        match (self.limit, self.look) {
            (Some(limit), Some(look)) => Some(limit.min(look)),
            (limit, look) => limit.or(look),
        }
    }

    /// Notes why the state's time is over.
    pub(crate) fn ran_out(&mut self) {
        let seconds = self.allowed.as_secs();
        let text = match self.state {
            State::GoingDown => format!("still up {seconds} s after the reboot by ssh"),
            State::SoftWait => format!("still on {seconds} s after the soft off{}", self.read()),
            State::HardWait => format!("still on {seconds} s after the power off{}", self.read()),
            State::OnWait => format!("still off {seconds} s after the power on{}", self.read()),
            State::ComingUp => format!("after {seconds} s: {}", self.evidence.last()),
            state => format!("{} for {seconds} s", state.doing()),
        };
        self.trail.push(text);
    }

    /// Notes why a step failed.
    pub(crate) fn push(&mut self, why: String) {
        self.trail.push(why);
    }

    /// The story of a node that is settled.
    pub(crate) fn story(&self, status: Status, before: State, now: Instant) -> String {
        let trail = self.trail.join("; ");
        let seconds = self
            .begun
            .map_or(0, |begun| now.duration_since(begun).as_secs());
        match status {
            Status::DONE => {
                let up = match before {
                    State::ComingUp => format!(", up after {seconds} s"),
                    State::GoingDown if self.rules.wait => format!(", up after {seconds} s"),
                    _ => String::new(),
                };
                let after = match trail.is_empty() {
                    true => String::new(),
                    false => format!(" ({trail})"),
                };
                format!("{}{up}{after}", self.how)
            }
            Status::CANCELLED if before == State::Queued => "was not begun".into(),
            Status::CANCELLED => {
                let off = match before.may_be_off() {
                    true => "; it may be without power",
                    false => "",
                };
                format!("while this program {}{off}", before.doing())
            }
            _ if trail.is_empty() => {
                "has no power that could be switched, and does not answer ssh".into()
            }
            _ => trail,
        }
    }

    /// The status that a later one is told by, as `TIME|STATUS`, once it has been read.
    pub(crate) fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    fn rules_allow_ssh(&self) -> bool {
        self.node.ssh.is_some()
    }

    fn failed(&mut self, step: Step, why: String, now: Instant) -> Option<Event> {
        if self.state.is_watched() {
            self.reading = why;
            return None;
        }
        // Switched off by us, it is not given up at the first refusal.
        if self.state == State::On && self.tries < TRIES {
            self.tries += 1;
            self.look = now.checked_add(AGAIN);
            return None;
        }
        self.trail.push(match why.starts_with(step.name()) {
            true => why,
            false => format!("{}: {why}", step.name()),
        });
        Some(Event::Failed)
    }

    /// `TIME|STATUS`: counts once it is another than when the node began to come up.
    fn new_status(&mut self, text: &str) -> Option<Event> {
        let then = match &self.status {
            Some(then) if then != text => then,
            Some(_) => return None,
            None => {
                self.status = Some(text.into());
                return None;
            }
        };
        let (time, status) = text.split_once('|')?;
        if !is_later(time, then.split_once('|').map_or("", |(time, _)| time)) {
            return None;
        }
        match self.state {
            State::ComingUp => self.evidence.coming_up(&Seen::Status(status.into())),
            _ => None,
        }
    }

    fn read(&self) -> String {
        match self.reading.is_empty() {
            true => String::new(),
            false => format!(": {}", self.reading),
        }
    }

    fn note_passage(&mut self, to: State) {
        let is_partition = matches!(self.node.route, Route::Partition(_));
        match (self.state, to) {
            (State::SoftOff | State::SoftWait | State::HardOff | State::HardWait, State::On) => {
                self.evidence.is_gone();
                self.how = match self.was_off {
                    true => "was off, switched on",
                    false => "rebooted by power",
                };
            }
            (_, State::SoftWait | State::HardWait) => self.was_off = false,
            (_, State::GoingDown) => self.how = "rebooted by ssh",
            (State::Hook, State::ComingUp) if is_partition => self.evidence.is_gone(),
            (_, State::Hook) if is_partition => self.how = "booted by its HMC's lpar_netboot",
            (_, State::Hook) => self.how = "rebooted by the site's boot command",
            (_, State::Configure) => self.how = "configured again, not rebooted",
            _ => {}
        }
    }
}

/// Compares two times as xCAT writes them, `MM-DD-YYYY HH:MM:SS`. An empty one is never.
fn is_later(time: &str, than: &str) -> bool {
    let sortable = |time: &str| -> Option<String> {
        let (month_day, rest) = (time.get(..5)?, time.get(6..)?);
        let (year, clock) = (rest.get(..4)?, rest.get(5..)?);
        Some(format!("{year}-{month_day} {clock}"))
    };
    match (sortable(time.trim()), sortable(than.trim())) {
        (Some(time), Some(than)) => time > than,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_later;

    #[test]
    fn xcats_times_are_compared_as_times() {
        let early = "12-31-2025 23:59:59";
        let late = "01-01-2026 00:00:00";
        assert!(is_later(late, early) && !is_later(early, late) && !is_later(late, late));
        assert!(is_later(late, "") && !is_later("", late) && !is_later("soon", early));
    }
}
