//! What changed between two reports of one node.

use serde::{Deserialize, Serialize};

use crate::adapter::Adapter;
use crate::value::{Interface, LinkState, Location, Mac};

/// One change. Its text is one line, safe to print, with the port first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A port is there no more.
    Gone {
        /// The port.
        port: Port,
    },
    /// A port was not there before.
    New {
        /// The port.
        port: Port,
    },
    /// Another NIC stands where one stood: the same name or location, another address.
    Swapped {
        /// The port as it is now.
        port: Port,
        /// The address it had.
        was: Mac,
    },
    /// The same NIC has another name or sits elsewhere.
    Moved {
        /// The port as it is now.
        port: Port,
        /// The port as it was.
        was: Port,
    },
    /// The link came or went.
    Link {
        /// The port as it is now.
        port: Port,
        /// The state it had.
        was: LinkState,
        /// The state it has.
        now: LinkState,
    },
}

/// By what a port is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Port {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Interface>,
    /// Where it sits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci: Option<Location>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
}

/// What changed from `old` to `new`: for the ports of `new` in their order, then those that are
/// gone. `old` may come from the column: only what both sides know is compared.
///
/// A port is the same as before if name and address are; else if it is hardware of the same address; else if
/// the name is; else if the location is. The addresses of virtual devices are often random, so a new
/// one there is no swap.
pub fn diff(old: &[Adapter], new: &[Adapter]) -> Vec<Change> {
    let mut pairs: Vec<Option<usize>> = vec![None; new.len()];
    let mut taken = vec![false; old.len()];
    for same in [same_name_and_mac, same_card, same_name, same_place] {
        for (adapter, pair) in new
            .iter()
            .zip(&mut pairs)
            .filter(|(_, pair)| pair.is_none())
        {
            let found = (0..old.len()).find(|&at| !taken[at] && same(&old[at], adapter));
            if let Some(at) = found {
                taken[at] = true;
                *pair = Some(at);
            }
        }
    }
    let mut changes = Vec::new();
    for (adapter, pair) in new.iter().zip(&pairs) {
        match pair {
            Some(at) => compare(&old[*at], adapter, &mut changes),
            None => changes.push(Change::New {
                port: Port::of(adapter),
            }),
        }
    }
    let gone = old.iter().zip(taken).filter(|(_, taken)| !taken);
    changes.extend(gone.map(|(adapter, _)| Change::Gone {
        port: Port::of(adapter),
    }));
    changes
}

impl Port {
    fn of(adapter: &Adapter) -> Port {
        let mac = adapter.mac.clone();
        Port {
            interface: adapter.interface.clone(),
            pci: adapter.pci.clone().filter(|pci| !pci.as_str().is_empty()),
            mac: mac.filter(|mac| !mac.as_str().is_empty()),
        }
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.interface, &self.pci, &self.mac) {
            (Some(name), _, _) => name.fmt(f),
            (None, Some(pci), _) => pci.fmt(f),
            (None, None, Some(mac)) => mac.fmt(f),
            (None, None, None) => f.write_str("a device"),
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mac = |port: &Port| {
            port.mac
                .as_ref()
                .map(|mac| format!(" (mac {mac})"))
                .unwrap_or_default()
        };
        let place = |port: &Port| {
            port.pci
                .as_ref()
                .map(|pci| format!(" at {pci}"))
                .unwrap_or_default()
        };
        match self {
            Change::Gone { port } => write!(f, "{port}: gone{}", mac(port)),
            Change::New { port } => write!(f, "{port}: new{}", mac(port)),
            Change::Swapped { port, was } => write!(f, "{port}: NIC swapped, mac was {was}{}", {
                port.mac
                    .as_ref()
                    .map(|mac| format!(", is {mac}"))
                    .unwrap_or_default()
            }),
            Change::Moved { port, was } => {
                write!(
                    f,
                    "{port}{}: same NIC as {was}{} before{}",
                    place(port),
                    place(was),
                    mac(port)
                )
            }
            Change::Link { port, was, now } => write!(f, "{port}: link {was} -> {now}"),
        }
    }
}

fn compare(old: &Adapter, new: &Adapter, changes: &mut Vec<Change>) {
    let (was, now) = (Port::of(old), Port::of(new));
    let virtual_now = new.pci.as_ref().is_some_and(Location::is_virtual);
    if let (Some(mac_was), Some(mac_now)) = (&was.mac, &now.mac)
        && !same_text(mac_was.as_str(), mac_now.as_str())
        && !virtual_now
    {
        changes.push(Change::Swapped {
            port: now.clone(),
            was: mac_was.clone(),
        });
    } else if differ(&was.interface, &now.interface) || differ(&was.pci, &now.pci) {
        changes.push(Change::Moved {
            port: now.clone(),
            was,
        });
    }
    if let (Some(was), Some(state)) = (&old.linkstate, &new.linkstate)
        && was != state
        && !was.as_str().is_empty()
        && !state.as_str().is_empty()
    {
        changes.push(Change::Link {
            port: now,
            was: was.clone(),
            now: state.clone(),
        });
    }
}

fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

fn same_name_and_mac(old: &Adapter, new: &Adapter) -> bool {
    same_name(old, new) && same_mac(old, new)
}

fn same_card(old: &Adapter, new: &Adapter) -> bool {
    // A bridge bears the address of a port of its; only hardware is found again by it. One that
    // sits elsewhere now is found by its address too: no two cards have the same.
    let hardware = |a: &Adapter| {
        a.pci
            .as_ref()
            .is_some_and(|pci| !pci.is_virtual() && !pci.as_str().is_empty())
    };
    same_mac(old, new) && hardware(old) && hardware(new)
}

fn same_name(old: &Adapter, new: &Adapter) -> bool {
    old.interface.is_some() && old.interface == new.interface
}

fn same_place(old: &Adapter, new: &Adapter) -> bool {
    let place = new
        .pci
        .as_ref()
        .filter(|pci| !pci.is_virtual() && !pci.as_str().is_empty());
    place.is_some() && old.pci.as_ref() == place
}

fn same_mac(old: &Adapter, new: &Adapter) -> bool {
    match (&old.mac, &new.mac) {
        (Some(old), Some(new)) => !old.as_str().is_empty() && same_text(old.as_str(), new.as_str()),
        _ => false,
    }
}

/// Hex digits have no case.
fn same_text(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests;
