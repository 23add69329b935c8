//! What will be done with each node: read from the tables, by set, before anything is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};

use xcat_tables::{Location, Tables};

use crate::Refused;
use crate::hook::Hook;
use crate::ladder::Rules;
use crate::partition::partitions;
use crate::permission;
use crate::power::HOOK_KEY;
use crate::request::{BootDevice, Options, Request};
use crate::route::{Node, Route, Ways};
use crate::rpower::Rpower;
use crate::tools;
use crate::verdict::{NodeResult, Status};
use crate::virsh::Guest;

/// Where ssh servers listen.
pub(crate) const SSH_PORT: u16 = 22;
/// How long the system's resolver may take for all names together: with a dead name server each takes
/// many seconds.
const RESOLVER: Duration = Duration::from_secs(30);
/// Kinds of management that we speak ourselves.
pub(crate) const SPOKEN: [&str; 3] = ["ipmi", "openbmc", "redfish"];
/// What `nodelist.status` says of a node that waits in genesis to be told its next step.
const WAITING: [&str; 2] = ["standingby", "shell"];

/// A request that may be carried out, and how.
#[derive(Debug)]
pub struct Plan {
    pub(crate) nodes: Vec<Node>,
    pub(crate) ways: Ways,
    pub(crate) options: Options,
    pub(crate) location: Location,
    /// xCAT keeps nodes' statuses here.
    pub(crate) statuses: bool,
    settled: Vec<NodeResult>,
}

impl Plan {
    /// Reads what a request comes to. Changes nothing.
    ///
    /// # Errors
    /// [`Refused`]: nothing will be done for any node.
    pub fn read(tables: &Tables, request: &Request) -> Result<Plan, Refused> {
        let options = &request.options;
        permission::check(tables, &request.caller, &request.nodes, options)?;
        let names = known(tables, &request.nodes)?;
        let mut plan = Plan {
            nodes: Vec::new(),
            ways: ways(tables)?,
            options: options.clone(),
            location: tables.location().clone(),
            statuses: keeps_statuses(tables)?,
            settled: Vec::new(),
        };
        let left = plan.vetoed(names)?;
        let left = plan.claimed(tables, left)?;
        plan.look_up(tables, left)?;
        plan.drop_guests(tables)?;
        Ok(plan)
    }

    /// Nodes that are settled before anything begins.
    pub fn settled(&self) -> &[NodeResult] {
        &self.settled
    }

    /// The other nodes, each with what will be tried, in words.
    pub fn begun(&self) -> impl Iterator<Item = (&str, String)> {
        self.nodes.iter().map(|node| {
            let rules = self.rules(node);
            let mut steps = Vec::new();
            if rules.boot {
                steps.push("set its boot device");
            }
            if rules.configure {
                steps.push("run its configuration again");
            }
            if rules.ssh {
                steps.push("reboot it by ssh");
            }
            if !matches!(node.route, Route::None) {
                steps.push(node.route.words());
            }
            (node.name.as_str(), steps.join(", else "))
        })
    }

    /// What its ladder may do for a node.
    pub(crate) fn rules(&self, node: &Node) -> Rules {
        let options = &self.options;
        let at_once = options.at_once || (options.kill_waiting && node.waiting);
        let power = match node.route.power() {
            crate::ladder::Power::Soft if at_once => crate::ladder::Power::Hard,
            power => power,
        };
        // What boots it from its server is one command; what reboots by itself boots from anywhere.
        let is_partition = matches!(node.route, Route::Partition(_));
        Rules {
            boot: options.boot.is_some() && !is_partition,
            configure: options.configure,
            ssh: node.ssh.is_some() && self.ways.ssh.is_some() && !at_once && !is_partition,
            power,
            wait: options.wait.is_some(),
        }
    }

    fn settle(&mut self, node: &str, status: Status, why: impl Into<String>) {
        self.settled.push(NodeResult::new(node, status, why));
    }

    /// Asks the site's hooks.
    fn vetoed(&mut self, names: Vec<String>) -> Result<Vec<String>, Refused> {
        let directory = program::paths::config_dir().join("veto.d");
        let vetoes = fork_worker::veto::consult(&directory, "nodereboot", "reboot", &names)?;
        let mut status = Status::REFUSED;
        if self.options.idle_only {
            // Without anybody who knows, no node is known to be idle.
            if !has_hooks(&directory) {
                return Err(Refused::NobodyKnows(directory));
            }
            status = Status::SKIPPED;
        }
        for (node, why) in &vetoes {
            self.settle(node, status, format!("vetoed: {why}"));
        }
        let left = names.into_iter().filter(|node| !vetoes.contains_key(node));
        Ok(left.collect())
    }

    /// A node whose report somebody else waits for is in the middle of something.
    fn claimed(&mut self, tables: &Tables, names: Vec<String>) -> Result<Vec<String>, Refused> {
        let claims = node_report::claims_of_others(tables)?;
        let (held, left): (Vec<String>, Vec<String>) = names
            .into_iter()
            .partition(|node| claims.contains_key(node));
        let status = match self.options.idle_only {
            true => Status::SKIPPED,
            false => Status::NOT_STARTED,
        };
        for node in held {
            let why = format!("is waited for by {}", claims[&node].holder_text());
            self.settle(&node, status, why);
        }
        Ok(left)
    }

    fn look_up(&mut self, tables: &Tables, names: Vec<String>) -> Result<(), Refused> {
        let kinds = kinds(tables, &names)?;
        let hosts = tables.attribute("vm", "host", &names)?;
        let chassis = chassis(tables, &names)?;
        let states = tables.attribute("nodelist", "status", &names)?;
        let addresses = addresses(tables, &names)?;
        let mut partitions = match self.options.boot {
            Some(BootDevice::DirectNetwork) => partitions(tables, &names, &kinds)?,
            _ => BTreeMap::new(),
        };
        let mut controllers = self.controllers(tables, &kinds)?;
        for name in names {
            let controller = controllers.remove(&name);
            let route = match partitions.remove(&name) {
                Some(found) => found.map(Route::Partition),
                None => self.route(&name, kinds.get(&name), hosts.get(&name), controller),
            };
            let route = match route {
                Ok(route) => route,
                Err(why) => {
                    self.settle(&name, Status::NOT_STARTED, why);
                    continue;
                }
            };
            let ssh = addresses
                .get(&name)
                .map(|ip| SocketAddr::new(*ip, SSH_PORT));
            if self.options.wait.is_some() && ssh.is_none() && !self.statuses {
                let why = "cannot be waited for: it has no address, and site.nodestatus is off";
                self.settle(&name, Status::NOT_STARTED, why);
                continue;
            }
            let state = states.get(&name).map(String::as_str).unwrap_or_default();
            self.nodes.push(Node {
                route,
                ssh,
                chassis: chassis.get(&name).cloned(),
                waiting: WAITING.contains(&state),
                name,
            });
        }
        Ok(())
    }

    /// The management controllers that we speak with, where the site has no command of its own.
    fn controllers(
        &mut self,
        tables: &Tables,
        kinds: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, Result<bmc::Target, bmc::Error>>, Refused> {
        let spoken = kinds
            .iter()
            .filter(|(_, kind)| SPOKEN.contains(&kind.as_str()));
        let names: Vec<String> = spoken.map(|(name, _)| name.clone()).collect();
        if names.is_empty() || self.ways.hook.is_some() {
            return Ok(BTreeMap::new());
        }
        let options = &self.options;
        let limits = bmc::Limits {
            total: options.limits.power,
            ..bmc::Limits::default()
        };
        self.ways.bmc = Some(bmc::Settings::of_site(tables, &options.trust, limits)?);
        Ok(bmc::targets(tables, &names)?)
    }

    fn route(
        &self,
        name: &str,
        kind: Option<&String>,
        host: Option<&String>,
        controller: Option<Result<bmc::Target, bmc::Error>>,
    ) -> Result<Route, String> {
        if self.ways.hook.is_some() {
            return Ok(Route::Hook);
        }
        let Some(kind) = kind else {
            return match self.options.force {
                true => Ok(Route::None),
                false => Err(
                    "has neither nodehm.power nor nodehm.mgt; -F reboots it by ssh alone".into(),
                ),
            };
        };
        let route = match (kind.as_str(), host, controller) {
            (_, _, Some(found)) => found.map(Route::Bmc).map_err(|error| error.to_string()),
            ("kvm", Some(host), _) => Guest::new(host, name).map(Route::Virsh),
            ("kvm", None, _) => Err("is a kvm guest without vm.host".into()),
            _ if self.ways.rpower.is_some() => Ok(Route::Rpower),
            (kind, ..) => Err(format!("nothing here switches the power of {kind} nodes")),
        };
        match route {
            Err(_) if self.options.force => Ok(Route::None),
            route => route,
        }
    }

    /// A guest goes down with its host, and comes back with it.
    fn drop_guests(&mut self, tables: &Tables) -> Result<(), Refused> {
        let names: Vec<String> = self.nodes.iter().map(|node| node.name.clone()).collect();
        let hosts = tables.attribute("vm", "host", &names)?;
        let reboot: BTreeSet<&String> = names.iter().collect();
        let dropped: BTreeMap<&String, &String> = hosts
            .iter()
            .filter(|(_, host)| reboot.contains(host))
            .collect();
        self.nodes.retain(|node| !dropped.contains_key(&node.name));
        for (node, host) in dropped {
            let why = format!("its host {host} reboots in the same request");
            self.settle(node, Status::SKIPPED, why);
        }
        Ok(())
    }
}

/// The names without repeats, all of them nodes.
///
/// # Errors
/// [`Refused::NoNodes`], [`Refused::Unknown`], and tables that cannot be read.
pub fn known(tables: &Tables, names: &[String]) -> Result<Vec<String>, Refused> {
    if names.is_empty() {
        return Err(Refused::NoNodes);
    }
    let rows = tables.rows("nodelist")?;
    let known: BTreeSet<&str> = rows.iter().filter_map(|row| row.get("node")).collect();
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let unknown: Vec<&str> = wanted
        .iter()
        .filter(|name| !known.contains(*name) || !boot_target::is_plain(name))
        .copied()
        .collect();
    if !unknown.is_empty() {
        return Err(Refused::Unknown(unknown.join(",")));
    }
    Ok(wanted.into_iter().map(String::from).collect())
}

fn ways(tables: &Tables) -> Result<Ways, Refused> {
    let hook = match tables.site(HOOK_KEY)? {
        Some(value) => Some(Hook::parse(&value)?),
        None => None,
    };
    let command = program::paths::xcat_command;
    Ok(Ways {
        hook,
        bmc: None,
        rpower: command("rpower").map(|rpower| Rpower::new(rpower, tables)),
        rsetboot: command("rsetboot"),
        updatenode: command("updatenode"),
        ssh: tools::find("ssh"),
    })
}

/// `nodehm.power`, else `nodehm.mgt`.
fn kinds(tables: &Tables, names: &[String]) -> Result<BTreeMap<String, String>, Refused> {
    let mut kinds = tables.attribute("nodehm", "mgt", names)?;
    kinds.extend(tables.attribute("nodehm", "power", names)?);
    Ok(kinds)
}

fn chassis(tables: &Tables, names: &[String]) -> Result<BTreeMap<String, String>, Refused> {
    let mut places = tables.attribute("nodepos", "chassis", names)?;
    let racks = tables.attribute("nodepos", "rack", names)?;
    for (node, place) in &mut places {
        // Numbers of chassis repeat from rack to rack.
        *place = format!("{} {place}", racks.get(node).map_or("", String::as_str));
    }
    Ok(places)
}

/// `hosts.ip`, else what the resolver says. A node of which neither knows an address is not tried by
/// ssh.
pub(crate) fn addresses(
    tables: &Tables,
    names: &[String],
) -> Result<BTreeMap<String, IpAddr>, xcat_tables::Error> {
    let written = tables.attribute("hosts", "ip", names)?;
    let mut addresses = BTreeMap::new();
    let mut spent = Duration::ZERO;
    for name in names {
        let address = match written.get(name) {
            Some(text) => text.trim().parse().ok(),
            None if spent >= RESOLVER => None,
            None => {
                let start = Instant::now();
                let found = (name.as_str(), SSH_PORT).to_socket_addrs();
                spent += start.elapsed();
                let first = found.ok().and_then(|mut found| found.next());
                first.map(|found| found.ip())
            }
        };
        addresses.extend(address.map(|address| (name.clone(), address)));
    }
    Ok(addresses)
}

fn keeps_statuses(tables: &Tables) -> Result<bool, Refused> {
    let value = tables.site("nodestatus")?.unwrap_or_default();
    Ok(!matches!(value.trim(), "n" | "N" | "no" | "0"))
}

fn has_hooks(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
    })
}
