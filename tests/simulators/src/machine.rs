//! The host behind a BMC: its power, and what it boots from. Knows no dialect and no fault.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A power state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Power {
    /// Off.
    Off,
    /// On its way.
    PoweringOn,
    /// On.
    On,
    /// On its way down.
    PoweringOff,
}

impl Power {
    /// Redfish's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Power::Off => "Off",
            Power::PoweringOn => "PoweringOn",
            Power::On => "On",
            Power::PoweringOff => "PoweringOff",
        }
    }
}

/// What a host can be told, in Redfish's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Power on.
    On,
    /// Power on.
    ForceOn,
    /// Power off at once.
    ForceOff,
    /// Shut down.
    GracefulShutdown,
    /// Reset at once.
    ForceRestart,
    /// Shut down, then boot.
    GracefulRestart,
    /// Off and on.
    PowerCycle,
}

/// How this host takes an order now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) notice: f64,
    pub(crate) on: f64,
    pub(crate) hard_off: f64,
    pub(crate) soft_off: f64,
    pub(crate) pause: f64,
}

/// What changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Power(Power),
    /// The host starts its boot from this device.
    Boot(String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    Power(Power),
    Reset,
}

/// Power, what is to come, boot settings.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) power: Power,
    steps: VecDeque<(f64, Step)>,
    pub(crate) boots: u64,
    pub(crate) booted_from: String,
    pub(crate) boot: Boot,
}

/// What the next boot is from. Targets are Redfish's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Boot {
    pub(crate) once: Option<String>,
    pub(crate) always: Option<String>,
    pub(crate) mode: String,
}

impl Machine {
    pub(crate) fn new(on: bool) -> Machine {
        Machine {
            power: if on { Power::On } else { Power::Off },
            steps: VecDeque::new(),
            boots: 0,
            booted_from: String::new(),
            boot: Boot {
                once: None,
                always: None,
                mode: "Legacy".to_string(),
            },
        }
    }

    /// Plans what an order leads to; what was planned before is dropped. An order that fits the
    /// present state (on when on) plans nothing.
    pub(crate) fn order(&mut self, order: Order, now: f64, pace: &Pace) {
        use Power::{Off, On, PoweringOff, PoweringOn};
        let begin = now + pace.notice;
        let up = |from: f64| {
            [
                (from, Step::Power(PoweringOn)),
                (from + pace.on, Step::Power(On)),
            ]
        };
        let down = |takes: f64| {
            [
                (begin, Step::Power(PoweringOff)),
                (begin + takes, Step::Power(Off)),
            ]
        };
        let off = matches!(self.power, Off);
        let mut plan: Vec<(f64, Step)> = Vec::new();
        match order {
            Order::On | Order::ForceOn if matches!(self.power, On | PoweringOn) => {
                // What is under way goes on, unless it leads down.
                if !self.leads_down() {
                    return;
                }
            }
            Order::On | Order::ForceOn => plan.extend(up(begin)),
            Order::ForceOff | Order::GracefulShutdown if off => {}
            Order::ForceOff => plan.extend(down(pace.hard_off)),
            Order::GracefulShutdown => plan.extend(down(pace.soft_off)),
            Order::ForceRestart if off => plan.extend(up(begin)),
            Order::ForceRestart => plan.push((begin, Step::Reset)),
            Order::GracefulRestart | Order::PowerCycle if off => plan.extend(up(begin)),
            Order::GracefulRestart | Order::PowerCycle => {
                let takes = if order == Order::PowerCycle {
                    pace.hard_off
                } else {
                    pace.soft_off
                };
                plan.extend(down(takes));
                plan.extend(up(begin + takes + pace.pause));
            }
        }
        self.steps = plan.into();
    }

    /// Does what is due.
    pub(crate) fn advance(&mut self, now: f64) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some((at, step)) = self.steps.front().copied() {
            if at > now {
                break;
            }
            self.steps.pop_front();
            match step {
                Step::Power(power) => {
                    self.power = power;
                    changes.push(Change::Power(power));
                    if power == Power::On {
                        changes.push(self.start());
                    }
                }
                Step::Reset => {
                    self.power = Power::On;
                    changes.push(self.start());
                }
            }
        }
        changes
    }

    /// When something is due next.
    pub(crate) fn due(&self) -> Option<f64> {
        self.steps.front().map(|(at, _)| *at)
    }

    fn leads_down(&self) -> bool {
        let last = self.steps.back().map(|(_, step)| *step);
        matches!(last, Some(Step::Power(Power::Off | Power::PoweringOff)))
    }

    fn start(&mut self) -> Change {
        self.boots += 1;
        let from = self.boot.once.take().or_else(|| self.boot.always.clone());
        self.booted_from = from.unwrap_or_else(|| "None".to_string());
        Change::Boot(self.booted_from.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        notice: 1.0,
        on: 5.0,
        hard_off: 2.0,
        soft_off: 20.0,
        pause: 3.0,
    };

    #[test]
    fn states_follow_the_answer_late() {
        let mut machine = Machine::new(true);
        machine.order(Order::ForceOff, 0.0, &PACE);
        assert!(machine.advance(0.9).is_empty());
        assert_eq!(machine.power, Power::On);
        machine.advance(1.0);
        assert_eq!(machine.power, Power::PoweringOff);
        machine.advance(3.0);
        assert_eq!(machine.power, Power::Off);
        machine.boot.once = Some("Pxe".to_string());
        machine.order(Order::On, 10.0, &PACE);
        let changes = machine.advance(16.0);
        assert_eq!(changes.last(), Some(&Change::Boot("Pxe".to_string())));
        assert_eq!(machine.boot.once, None);
    }

    #[test]
    fn on_takes_back_an_order_to_go_down_before_it_begins() {
        let mut machine = Machine::new(true);
        machine.order(Order::GracefulShutdown, 0.0, &PACE);
        machine.order(Order::On, 0.5, &PACE);
        assert!(machine.advance(100.0).is_empty());
        assert_eq!(machine.power, Power::On);
    }
}
