//! The ladder of one node, as a table: state, event, next state.
//!
//! Gentle first: by ssh, where it answers. Then power: asked to shut down, cut off, and on again when
//! two equal readings say that it is off. Pure: what an event means is found out elsewhere.

use std::time::Duration;

use crate::limits::Limits;
use crate::verdict::Status;

/// Where a node is on its ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum State {
    /// Not begun.
    Queued,
    /// Its one-shot boot device is being set.
    SetBoot,
    /// Its configuration runs again.
    Configure,
    /// Does its ssh port answer?
    Port,
    /// Its boot id is asked for: may we in, and which boot is it.
    Identify,
    /// It is told to reboot.
    SshReboot,
    /// It was told, and is still there.
    GoingDown,
    /// It is asked to shut down.
    SoftOff,
    /// It was asked, and is still on.
    SoftWait,
    /// Its power is cut.
    HardOff,
    /// It was cut, and still reads on.
    HardWait,
    /// It is switched on.
    On,
    /// It was switched on, and still reads off.
    OnWait,
    /// The one command that boots it has it: the site's, or its HMC's.
    Hook,
    /// It is waited for.
    ComingUp,
    /// The end.
    Settled(Status),
}

/// What happened to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Event {
    /// Its turn has come.
    Begin,
    /// The step is done.
    Done,
    /// The step is done, and what it is for takes time.
    Started,
    /// The step failed.
    Failed,
    /// Its ssh port answers.
    Open,
    /// Its ssh port does not answer.
    Closed,
    /// It runs another boot than before.
    Up,
    /// It says that it failed.
    Broken,
    /// The state's time is over.
    Limit,
    /// Everything is to end.
    Cancel,
}

/// What is possible and wanted for one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// A one-shot boot device is wanted.
    pub(crate) boot: bool,
    /// Configuration in the place of a reboot is wanted.
    pub(crate) configure: bool,
    /// It can be tried by ssh.
    pub(crate) ssh: bool,
    /// How its power is switched.
    pub(crate) power: Power,
    /// It is waited for until it is up.
    pub(crate) wait: bool,
}

/// How a node's power can be switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    /// Not at all.
    None,
    /// By the site's boot command, which knows no steps.
    Whole,
    /// Off and on.
    Hard,
    /// It can be asked to shut down, too.
    Soft,
}

/// The table.
pub(crate) fn next(state: State, event: Event, rules: &Rules) -> State {
    use Event as E;
    use State as S;
    match (state, event) {
        (S::Settled(_), _) => state,
        (_, E::Cancel) => S::Settled(Status::CANCELLED),

        (S::Queued, E::Begin) if rules.boot => S::SetBoot,
        (S::Queued, E::Begin) | (S::SetBoot, E::Done) if rules.configure => S::Configure,
        (S::Queued, E::Begin) | (S::SetBoot, E::Done) | (S::Configure, E::Failed | E::Limit) => {
            gentle(rules)
        }
        (S::SetBoot, E::Failed | E::Limit) => S::Settled(Status::POWER_FAILED),
        (S::Configure, E::Done) => S::Settled(Status::DONE),

        (S::Port, E::Open) => S::Identify,
        (S::Identify, E::Done) => S::SshReboot,
        (S::SshReboot, E::Done) => S::GoingDown,
        (S::Port, E::Closed | E::Failed | E::Limit)
        | (S::Identify | S::SshReboot, E::Failed | E::Limit) => power(rules, Status::NOT_STARTED),
        (S::GoingDown, E::Up) => S::Settled(Status::DONE),
        (S::GoingDown, E::Closed) => after(rules),
        (S::GoingDown, E::Limit) => power(rules, Status::STILL_UP),

        (S::SoftOff | S::SoftWait | S::HardOff | S::HardWait, E::Done) => S::On,
        (S::SoftOff, E::Started) => S::SoftWait,
        (S::SoftOff, E::Failed | E::Limit) | (S::SoftWait, E::Limit) => S::HardOff,
        (S::HardOff, E::Started) => S::HardWait,
        (S::HardOff, E::Failed | E::Limit) => S::Settled(Status::POWER_FAILED),
        (S::HardWait, E::Limit) => S::Settled(Status::STILL_UP),
        (S::On | S::OnWait | S::Hook, E::Done) => after(rules),
        (S::On, E::Started) => S::OnWait,
        (S::On | S::Hook, E::Failed | E::Limit) | (S::OnWait, E::Limit) => {
            S::Settled(Status::POWER_FAILED)
        }

        (S::ComingUp, E::Up) => S::Settled(Status::DONE),
        (S::ComingUp, E::Broken) => S::Settled(Status::FAILURE),
        (S::ComingUp, E::Limit) => S::Settled(Status::NOT_UP),

        // Whatever else is seen changes nothing.
        _ => state,
    }
}

fn gentle(rules: &Rules) -> State {
    if rules.ssh {
        State::Port
    } else {
        power(rules, Status::NOT_STARTED)
    }
}

fn power(rules: &Rules, otherwise: Status) -> State {
    match rules.power {
        Power::None => State::Settled(otherwise),
        Power::Whole => State::Hook,
        Power::Hard => State::HardOff,
        Power::Soft => State::SoftOff,
    }
}

fn after(rules: &Rules) -> State {
    if rules.wait {
        State::ComingUp
    } else {
        State::Settled(Status::DONE)
    }
}

impl State {
    /// How long a node may stay in it; for a state that is one step: how long that step may take.
    pub(crate) fn limit(self, limits: &Limits, prepare: bool, wait: Duration) -> Option<Duration> {
        match self {
            State::Queued | State::Settled(_) | State::Hook => None,
            State::SetBoot => Some(limits.boot),
            State::Configure => Some(limits.configure),
            State::Port => Some(limits.port),
            State::Identify | State::SshReboot => Some(limits.ssh),
            State::GoingDown if prepare => Some(limits.prepare),
            State::GoingDown => Some(limits.down),
            State::SoftWait => Some(limits.soft),
            State::HardWait => Some(limits.off),
            State::OnWait => Some(limits.on),
            State::SoftOff | State::HardOff | State::On => Some(limits.power),
            State::ComingUp => Some(wait),
        }
    }

    /// True if the node is looked at again and again; else the state is one step, which has the limit
    /// for itself, counted from its start.
    pub(crate) fn is_watched(self) -> bool {
        matches!(
            self,
            State::GoingDown | State::SoftWait | State::HardWait | State::OnWait | State::ComingUp
        )
    }

    /// What is done there, for people.
    pub(crate) fn doing(self) -> &'static str {
        match self {
            State::Queued => "waits for its turn",
            State::SetBoot => "sets the one-shot boot device",
            State::Configure => "runs its configuration again",
            State::Port => "looks whether its ssh port answers",
            State::Identify => "asks for its boot id by ssh",
            State::SshReboot => "reboots it by ssh",
            State::GoingDown => "waits until it goes down",
            State::SoftOff => "asks it to shut down",
            State::SoftWait => "waits until it is off",
            State::HardOff => "cuts its power",
            State::HardWait => "waits until its power is off",
            State::On => "switches it on",
            State::OnWait => "waits until it is on",
            State::Hook => "hands it to the command that boots it",
            State::ComingUp => "waits until it is up",
            State::Settled(_) => "is settled",
        }
    }

    /// True while the node may be without power because of us.
    pub(crate) fn may_be_off(self) -> bool {
        matches!(
            self,
            State::SoftOff | State::SoftWait | State::HardOff | State::HardWait | State::On
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        boot: false,
        configure: false,
        ssh: true,
        power: Power::Soft,
        wait: false,
    };

    fn walk(rules: Rules, events: &[Event]) -> State {
        events
            .iter()
            .fold(State::Queued, |state, event| next(state, *event, &rules))
    }

    #[test]
    fn a_node_that_answers_ssh_is_rebooted_by_ssh() {
        use Event::*;
        let path = [Begin, Open, Done, Done, Closed];
        assert_eq!(walk(RULES, &path), State::Settled(Status::DONE));
        let waits = Rules {
            wait: true,
            ..RULES
        };
        assert_eq!(walk(waits, &path), State::ComingUp);
        assert_eq!(
            walk(waits, &[&path[..], &[Up]].concat()),
            State::Settled(Status::DONE)
        );
        // So quick that nobody saw it down.
        let quick = [Begin, Open, Done, Done, Up];
        assert_eq!(walk(waits, &quick), State::Settled(Status::DONE));
    }

    #[test]
    fn each_rung_that_fails_leads_to_the_next() {
        use Event::*;
        let mut path = vec![Begin];
        for (event, state) in [
            (Open, State::Identify),
            (Done, State::SshReboot),
            (Done, State::GoingDown),
            (Limit, State::SoftOff),
            (Started, State::SoftWait),
            (Limit, State::HardOff),
            (Started, State::HardWait),
            (Done, State::On),
            (Started, State::OnWait),
            (Done, State::Settled(Status::DONE)),
        ] {
            path.push(event);
            assert_eq!(walk(RULES, &path), state, "{path:?}");
        }
    }

    #[test]
    fn a_node_that_is_off_is_switched_on() {
        use Event::*;
        assert_eq!(walk(RULES, &[Begin, Closed]), State::SoftOff);
        // SoftOff says Done when the node was off already.
        assert_eq!(walk(RULES, &[Begin, Closed, Done]), State::On);
        let hard = Rules {
            ssh: false,
            power: Power::Hard,
            ..RULES
        };
        assert_eq!(
            walk(hard, &[Begin, Done, Done]),
            State::Settled(Status::DONE)
        );
    }

    #[test]
    fn each_end_has_its_number() {
        use Event::*;
        let none = Rules {
            power: Power::None,
            ..RULES
        };
        let hard = Rules {
            ssh: false,
            power: Power::Hard,
            wait: true,
            ..RULES
        };
        let boot = Rules {
            boot: true,
            ..RULES
        };
        for (rules, path, status) in [
            (none, &[Begin, Closed][..], Status::NOT_STARTED),
            (none, &[Begin, Open, Failed], Status::NOT_STARTED),
            (none, &[Begin, Open, Done, Done, Limit], Status::STILL_UP),
            (hard, &[Begin, Failed], Status::POWER_FAILED),
            (hard, &[Begin, Started, Limit], Status::STILL_UP),
            (hard, &[Begin, Done, Failed], Status::POWER_FAILED),
            (hard, &[Begin, Done, Started, Limit], Status::POWER_FAILED),
            (hard, &[Begin, Done, Done, Limit], Status::NOT_UP),
            (hard, &[Begin, Done, Done, Broken], Status::FAILURE),
            (hard, &[Begin, Done, Done, Up], Status::DONE),
            (boot, &[Begin, Failed], Status::POWER_FAILED),
            (RULES, &[Begin, Open, Cancel], Status::CANCELLED),
        ] {
            assert_eq!(walk(rules, path), State::Settled(status), "{path:?}");
        }
    }

    #[test]
    fn configuration_takes_the_place_of_a_reboot_only_if_it_works() {
        use Event::*;
        let rules = Rules {
            configure: true,
            boot: true,
            ..RULES
        };
        assert_eq!(walk(rules, &[Begin, Done]), State::Configure);
        assert_eq!(
            walk(rules, &[Begin, Done, Done]),
            State::Settled(Status::DONE)
        );
        assert_eq!(walk(rules, &[Begin, Done, Failed]), State::Port);
    }

    fn event() -> impl Strategy<Value = Event> {
        use Event::*;
        prop::sample::select(vec![
            Begin, Done, Started, Failed, Open, Closed, Up, Broken, Limit, Cancel,
        ])
    }

    fn rules() -> impl Strategy<Value = Rules> {
        let powers = vec![Power::None, Power::Whole, Power::Hard, Power::Soft];
        (
            any::<(bool, bool, bool, bool)>(),
            prop::sample::select(powers),
        )
            .prop_map(|((boot, configure, ssh, wait), power)| Rules {
                boot,
                configure,
                ssh,
                power,
                wait,
            })
    }

    proptest! {
        #[test]
        fn a_settled_node_stays_settled(rules in rules(), events in prop::collection::vec(event(), 0..60)) {
            let mut state = State::Queued;
            for event in events {
                let after = next(state, event, &rules);
                prop_assert!(!matches!(state, State::Settled(_)) || after == state);
                state = after;
            }
        }

        #[test]
        fn time_alone_ends_every_ladder(rules in rules(), events in prop::collection::vec(event(), 0..60)) {
            let mut state = next(State::Queued, Event::Begin, &rules);
            for event in events {
                state = next(state, event, &rules);
            }
            for _ in 0..20 {
                state = next(state, Event::Limit, &rules);
            }
            prop_assert!(matches!(state, State::Settled(_)), "{:?}", state);
        }

        #[test]
        fn power_is_cut_only_after_ssh_had_its_chance(rules in rules(), events in prop::collection::vec(event(), 0..60)) {
            let (mut state, mut asked) = (State::Queued, false);
            for event in events {
                state = next(state, event, &rules);
                asked |= state == State::Port;
                prop_assert!(!state.may_be_off() || asked || !rules.ssh);
            }
        }
    }
}
