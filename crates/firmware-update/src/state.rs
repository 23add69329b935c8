//! The way of one node through an update, as a table.
//!
//! A state is what is being waited for; an event is what came of one step. Nothing but this table says
//! what follows what. A pair that is not in it cannot happen: the node fails by name.

use serde::{Deserialize, Serialize};

/// Where a node stands. Journals hold these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Logged in, looked at; nothing is changed.
    Preflight,
    /// Waits until waves and limits let it begin.
    Gate,
    /// The archive is on its way.
    Upload,
    /// The image is looked for in the BMC's list.
    Find,
    /// The BMC is asked to activate it.
    Activate,
    /// The BMC writes its flash.
    Flash,
    /// The image is made the one to boot next.
    First,
    /// The BMC is asked to restart.
    Reset,
    /// Waits until the BMC runs the wanted version and has answered three times in a row.
    Back,
    /// The host is asked to go off.
    HostOff,
    /// Until it is.
    OffWait,
    /// The host is asked to go on.
    HostOn,
    /// Until it runs the wanted version.
    OnWait,
    /// Settled: done as asked.
    Good,
    /// Settled: not done.
    Failed,
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// As hoped: on to the next thing.
    Good,
    /// Nothing more is to be done for this node.
    Enough,
    /// Not yet: ask again after a while, until the state's limit.
    Again,
    /// No upload is needed: there is an ID already.
    Known,
    /// The BMC activates by itself what it is sent (Redfish).
    Flashing,
    /// One more archive is to be sent.
    NextUpload,
    /// One more image is to be activated.
    NextActivate,
    /// Active, but another image boots next.
    NotFirst,
    /// Only the host's firmware is new: the BMC need not restart.
    HostOnly,
    /// The BMC restarts by itself.
    Gone,
    /// It cannot be.
    Fail,
    /// The state's limit has passed.
    Late,
}

/// What follows. See the module's text.
pub const TABLE: &[(State, Event, State)] = {
    use Event::*;
    use State::{
        Activate, Back, Find, First, Flash, Gate, HostOff, HostOn, OffWait, OnWait, Preflight,
        Reset, Upload,
    };
    const GOOD: State = State::Good;
    const FAILED: State = State::Failed;
    &[
        (Preflight, Good, Gate),
        (Preflight, Enough, GOOD),
        (Preflight, Again, Preflight),
        (Preflight, Fail, FAILED),
        (Preflight, Late, FAILED),
        (Gate, Good, Upload),
        (Gate, Known, Activate),
        (Gate, Fail, FAILED),
        (Upload, Good, Find),
        (Upload, Again, Upload),
        (Upload, Fail, FAILED),
        (Upload, Late, FAILED),
        (Find, Good, Activate),
        (Find, Flashing, Flash),
        (Find, NextUpload, Upload),
        (Find, Enough, GOOD),
        (Find, Again, Find),
        (Find, Gone, Back),
        (Find, Fail, FAILED),
        (Find, Late, FAILED),
        (Activate, Good, Flash),
        (Activate, Again, Activate),
        (Activate, Fail, FAILED),
        (Activate, Late, FAILED),
        (Flash, Good, Reset),
        (Flash, HostOnly, HostOff),
        (Flash, NextUpload, Upload),
        (Flash, NextActivate, Activate),
        (Flash, NotFirst, First),
        (Flash, Enough, GOOD),
        (Flash, Again, Flash),
        (Flash, Gone, Back),
        (Flash, Fail, FAILED),
        (Flash, Late, FAILED),
        (First, Good, Flash),
        (First, Again, First),
        (First, Fail, FAILED),
        (First, Late, FAILED),
        (Reset, Good, Back),
        (Reset, Gone, Back),
        (Reset, Again, Reset),
        (Reset, Fail, FAILED),
        (Reset, Late, FAILED),
        (Back, Good, HostOff),
        (Back, Enough, GOOD),
        (Back, NextUpload, Upload),
        (Back, Again, Back),
        (Back, Fail, FAILED),
        (Back, Late, FAILED),
        (HostOff, Good, OffWait),
        (HostOff, Again, HostOff),
        (HostOff, Fail, FAILED),
        (HostOff, Late, FAILED),
        (OffWait, Good, HostOn),
        (OffWait, Again, OffWait),
        (OffWait, Fail, FAILED),
        (OffWait, Late, FAILED),
        (HostOn, Good, OnWait),
        (HostOn, Again, HostOn),
        (HostOn, Fail, FAILED),
        (HostOn, Late, FAILED),
        (OnWait, Enough, GOOD),
        (OnWait, Again, OnWait),
        (OnWait, Fail, FAILED),
        (OnWait, Late, FAILED),
    ]
};

impl State {
    /// What follows upon `event`.
    pub fn next(self, event: Event) -> Option<State> {
        let row = TABLE.iter().find(|row| row.0 == self && row.1 == event);
        row.map(|row| row.2)
    }

    /// Nothing follows any more.
    pub fn is_settled(self) -> bool {
        matches!(self, State::Good | State::Failed)
    }

    /// For people: what the node does.
    pub fn words(self) -> &'static str {
        match self {
            State::Preflight => "preflight",
            State::Gate => "waiting",
            State::Upload => "uploading",
            State::Find => "unpacking",
            State::Activate | State::Flash | State::First => "activating",
            State::Reset => "resetting",
            State::Back => "waiting for the BMC",
            State::HostOff | State::OffWait => "host going off",
            State::HostOn | State::OnWait => "host going on",
            State::Good => "done",
            State::Failed => "failed",
        }
    }

    /// All states, in the order of the way.
    pub const ALL: [State; 15] = [
        State::Preflight,
        State::Gate,
        State::Upload,
        State::Find,
        State::Activate,
        State::Flash,
        State::First,
        State::Reset,
        State::Back,
        State::HostOff,
        State::OffWait,
        State::HostOn,
        State::OnWait,
        State::Good,
        State::Failed,
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Event, State, TABLE};

    #[test]
    fn nothing_is_said_twice() {
        let pairs: BTreeSet<_> = TABLE.iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(pairs.len(), TABLE.len());
    }

    #[test]
    fn every_state_can_be_reached_fails_and_has_an_end() {
        let mut reached = BTreeSet::from([State::Preflight]);
        for _ in State::ALL {
            let more: Vec<State> = TABLE
                .iter()
                .filter(|row| reached.contains(&row.0))
                .map(|row| row.2)
                .collect();
            reached.extend(more);
        }
        assert_eq!(reached.len(), State::ALL.len());
        for state in State::ALL {
            if state.is_settled() {
                assert!(TABLE.iter().all(|row| row.0 != state));
                continue;
            }
            assert_eq!(state.next(Event::Fail), Some(State::Failed), "{state:?}");
            // Whatever is asked again has a limit.
            let again = state.next(Event::Again);
            assert!(again.is_none() || again == Some(state), "{state:?}");
            assert_eq!(
                again.is_some(),
                state.next(Event::Late).is_some(),
                "{state:?}"
            );
        }
    }

    #[test]
    fn a_bmc_is_only_reset_after_its_flash_was_written() {
        let before: Vec<State> = TABLE
            .iter()
            .filter(|row| row.2 == State::Reset && row.0 != State::Reset)
            .map(|row| row.0)
            .collect();
        assert_eq!(before, [State::Flash]);
        let good: BTreeSet<State> = TABLE
            .iter()
            .filter(|row| row.2 == State::Good)
            .map(|row| row.0)
            .collect();
        // "Accepted" is never "done".
        for state in [
            State::Gate,
            State::Upload,
            State::Activate,
            State::Reset,
            State::HostOff,
            State::HostOn,
        ] {
            assert!(!good.contains(&state), "{state:?}");
        }
    }
}
