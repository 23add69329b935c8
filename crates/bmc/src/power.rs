//! What is asked of a BMC, and what it says of a node's power.

use std::fmt;

/// A node's power, as its BMC has it. Right after a command that is often still the state before: what
/// counts is two equal reads in a row ([`PowerState::settled`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PowerState {
    /// On.
    On,
    /// Off.
    Off,
    /// On its way to on.
    PoweringOn,
    /// On its way to off.
    PoweringOff,
    /// Something else, in the BMC's word (escaped and cut).
    Unknown(String),
}

impl PowerState {
    /// True if both reads, one after the other, say `state`.
    pub fn settled(state: &PowerState, before: &PowerState, now: &PowerState) -> bool {
        before == state && now == state
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PowerState::On => "on",
            PowerState::Off => "off",
            PowerState::PoweringOn => "powering on",
            PowerState::PoweringOff => "powering off",
            PowerState::Unknown(word) => word,
        })
    }
}

/// How a node is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// The operating system is asked to shut down. It may take long, or never do it.
    Soft,
    /// Power is cut.
    Hard,
}

/// What a node boots the next time, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    /// The network.
    Network,
    /// Its disk.
    Disk,
    /// What it is set to: an earlier choice is taken back.
    None,
}

/// How long a choice of boot device holds, as the BMC says after taking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootOverride {
    /// For one boot, as asked (or none is left).
    Once,
    /// Until somebody changes it: the BMC took the device, but not the "once".
    Lasting,
}
