//! What to simulate.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Flavour, Rule};

/// The whole simulation. BMCs are numbered from 0 through all groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which BMCs there are.
    pub groups: Vec<Group>,
    /// The user that all of them know.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// Simulated seconds per real second.
    pub scale: f64,
    /// How long things take.
    pub timing: Timing,
    /// A light stand-in of a node for each BMC.
    pub nodes: Option<Nodes>,
    /// Faults from the start, by BMC.
    pub faults: BTreeMap<usize, Vec<Rule>>,
    /// False: requests are counted but not kept one by one (long runs).
    pub log_requests: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            groups: Vec::new(),
            user: "root".to_string(),
            password: "0penBmc".to_string(),
            scale: 1.0,
            timing: Timing::default(),
            nodes: None,
            faults: BTreeMap::new(),
            log_requests: true,
        }
    }
}

impl Config {
    /// `count` BMCs of one flavour from address `first` on.
    pub fn of(flavour: Flavour, count: usize, first: Ipv4Addr) -> Config {
        Config {
            groups: vec![Group {
                flavour,
                count,
                first,
                ..Group::default()
            }],
            ..Config::default()
        }
    }
}

/// BMCs of one kind at consecutive addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    /// What they speak.
    pub flavour: Flavour,
    /// How many.
    pub count: usize,
    /// The address of the first one.
    pub first: Ipv4Addr,
    /// Their port.
    pub port: u16,
    /// Where their certificates come from.
    pub certificates: Certificates,
    /// The BMC version that runs at the start.
    pub bmc_version: String,
    /// The host version that runs at the start.
    pub host_version: String,
    /// The machine that images must be for, if they say one.
    pub machine_name: String,
    /// Longest image, instead of the flavour's.
    pub image_limit: Option<u64>,
    /// Whether their hosts are on at the start.
    pub on: bool,
}

impl Default for Group {
    fn default() -> Group {
        Group {
            flavour: Flavour::Bmcweb2026,
            count: 1,
            first: Ipv4Addr::new(127, 2, 0, 1),
            port: 443,
            certificates: Certificates::Shared,
            bmc_version: "2.14.0".to_string(),
            host_version: "host-1.0".to_string(),
            machine_name: "witherspoon".to_string(),
            image_limit: None,
            on: true,
        }
    }
}

/// Which certificate a BMC shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificates {
    /// All the same self-signed one.
    Shared,
    /// A self-signed one each.
    Each,
    /// The certificate, its chain and its key in this file.
    File(PathBuf),
}

/// How long things take, in simulated seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// From the answer to an order until the power state begins to change.
    pub notice: f64,
    /// Powering on.
    pub on: f64,
    /// Powering off at once.
    pub hard_off: f64,
    /// Shutting the host down.
    pub soft_off: f64,
    /// The pause between off and on in a power cycle.
    pub pause: f64,
    /// From the last byte of an image until it is there.
    pub unpack: f64,
    /// Writing an image.
    pub activate: f64,
    /// A reboot of the BMC.
    pub bmc_reboot: f64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            notice: 1.0,
            on: 8.0,
            hard_off: 4.0,
            soft_off: 20.0,
            pause: 3.0,
            unpack: 3.0,
            activate: 120.0,
            bmc_reboot: 180.0,
        }
    }
}

/// Light stand-ins of nodes: node I belongs to BMC I and listens while it is up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nodes {
    /// The address of node 0; the others follow.
    pub first: Ipv4Addr,
    /// The port that is open while the node is up.
    pub port: u16,
    /// From the boot until the port is open.
    pub boot: f64,
    /// From an orderly reboot's start until the port closes.
    pub down: f64,
}

impl Default for Nodes {
    fn default() -> Nodes {
        Nodes {
            first: Ipv4Addr::new(127, 3, 0, 1),
            port: 22,
            boot: 60.0,
            down: 5.0,
        }
    }
}

/// The address `i` places after `first`.
pub(crate) fn address(first: Ipv4Addr, i: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(first).wrapping_add(u32::try_from(i).unwrap_or(u32::MAX)))
}
