//! What children do: one blocking step for one node or a set of them, a line for each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use fork_worker::Report;
use xcat_tables::{Location, Tables};

use crate::ladder::State;
use crate::request::{BootDevice, Options};
use crate::route::{Node, Route, Ways};
use crate::rpower::{self, Failed};
use crate::{answers_ssh, controller, partition, shell};

/// Two readings of a node's power that are to be equal are this far apart.
pub(crate) const BETWEEN: Duration = Duration::from_millis(500);

/// The kinds of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// Sets the one-shot boot device.
    SetBoot,
    /// Runs the configuration again.
    Configure,
    /// Tries ssh ports.
    Port,
    /// Asks for the boot id.
    BootId,
    /// Reboots by ssh.
    SshReboot,
    /// Asks to shut down.
    SoftOff,
    /// Cuts the power.
    HardOff,
    /// Is it off?
    LookOff,
    /// Switches on.
    On,
    /// Is it on?
    LookOn,
    /// One command boots it: the site's, or its HMC's.
    Hook,
    /// What xCAT's table says.
    Statuses,
}

/// What came of a step for one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is done.
    Done,
    /// It is done, but.
    DoneBut(String),
    /// It was asked for and takes time.
    Started,
    /// It failed.
    Failed(String),
    /// The port answers.
    Open,
    /// The port does not.
    Closed,
    /// The boot it runs.
    BootId(String),
    /// ssh failed.
    NoSsh(String),
    /// Not there yet; the text is what was read.
    Reading(String),
    /// When its status was set (empty: never), a `|`, and what it is.
    Status(String),
}

/// What all steps of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) ways: Ways,
    pub(crate) options: Options,
    pub(crate) location: Location,
}

/// One child's work.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) step: Step,
    pub(crate) nodes: Vec<(usize, Rc<Node>)>,
    pub(crate) shared: Rc<Shared>,
}

impl Step {
    /// What is done in a state; in a watched state: how it is looked at.
    pub(crate) fn of(state: State) -> Option<Step> {
        Some(match state {
            State::SetBoot => Step::SetBoot,
            State::Configure => Step::Configure,
            State::Port | State::GoingDown | State::ComingUp => Step::Port,
            State::Identify => Step::BootId,
            State::SshReboot => Step::SshReboot,
            State::SoftOff => Step::SoftOff,
            State::HardOff => Step::HardOff,
            State::SoftWait | State::HardWait => Step::LookOff,
            State::On => Step::On,
            State::OnWait => Step::LookOn,
            State::Hook => Step::Hook,
            State::Queued | State::Settled(_) => return None,
        })
    }

    /// What it is, in a message about its failure.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::SetBoot => "boot device",
            Step::Configure => "configuration",
            Step::Port => "ssh port",
            Step::BootId | Step::SshReboot => "ssh",
            Step::SoftOff => "soft off",
            Step::HardOff => "power off",
            Step::LookOff | Step::LookOn => "power state",
            Step::On => "power on",
            Step::Hook => "boot command",
            Step::Statuses => "status",
        }
    }

    fn is_power(self) -> bool {
        matches!(
            self,
            Step::SetBoot | Step::SoftOff | Step::HardOff | Step::LookOff | Step::On | Step::LookOn
        )
    }

    /// How many nodes one child takes.
    pub(crate) fn set(self, route: &Route) -> usize {
        match (self, route) {
            (Step::Port | Step::Statuses, _) => usize::MAX,
            (Step::Hook, Route::Partition(_)) => 1,
            (Step::Configure | Step::Hook, _) => 64,
            (step, Route::Rpower) if step.is_power() => 256,
            _ => 1,
        }
    }
}

impl Said {
    pub(crate) fn line(&self) -> String {
        let (word, text) = match self {
            Said::Done => ("done", ""),
            Said::DoneBut(text) => ("done-but", text.as_str()),
            Said::Started => ("started", ""),
            Said::Failed(why) => ("failed", why.as_str()),
            Said::Open => ("open", ""),
            Said::Closed => ("closed", ""),
            Said::BootId(id) => ("id", id.as_str()),
            Said::NoSsh(why) => ("nossh", why.as_str()),
            Said::Reading(text) => ("reading", text.as_str()),
            Said::Status(text) => ("status", text.as_str()),
        };
        format!("{word} {}", program::escape(text))
    }

    pub(crate) fn parse(line: &str) -> Option<Said> {
        let (word, text) = line.split_once(' ')?;
        Some(match word {
            "done" => Said::Done,
            "done-but" => Said::DoneBut(text.into()),
            "started" => Said::Started,
            "failed" => Said::Failed(text.into()),
            "open" => Said::Open,
            "closed" => Said::Closed,
            "id" => Said::BootId(text.into()),
            "nossh" => Said::NoSsh(text.into()),
            "reading" => Said::Reading(text.into()),
            "status" => Said::Status(text.into()),
            _ => return None,
        })
    }
}

impl Work {
    /// The longest that the child may take.
    pub(crate) fn deadline(&self) -> Duration {
        let limits = &self.shared.options.limits;
        let slack = Duration::from_secs(10);
        slack
            + match self.step {
                // 512 silent hosts take one limit.
                Step::Port => limits.port * u32::try_from(self.nodes.len() / 512 + 1).unwrap_or(1),
                Step::BootId | Step::SshReboot => limits.ssh,
                Step::Configure => limits.configure,
                Step::SetBoot => limits.boot,
                Step::Statuses => Duration::from_secs(50),
                Step::Hook if !self.is_set() => partition::NETBOOT + limits.power,
                Step::Hook | Step::On if self.is_set() => Duration::from_secs(820),
                _ => limits.power * 2,
            }
    }

    fn is_set(&self) -> bool {
        self.nodes
            .first()
            .is_some_and(|(_, node)| self.step.set(&node.route) > 1)
    }

    /// Does it, in the child: a line `NUMBER WORD TEXT` for each node.
    pub(crate) fn run(&self, report: &mut Report) -> Result<String, String> {
        let said = self.outcome();
        for (number, said) in said {
            report
                .line(&format!("{number} {}", said.line()))
                .map_err(|error| error.to_string())?;
        }
        Ok(String::new())
    }

    fn outcome(&self) -> Vec<(usize, Said)> {
        match self.step {
            Step::Port => self.ports(),
            Step::Statuses => self.statuses(),
            Step::Configure => self.configure(),
            Step::Hook => self.hook(),
            Step::BootId | Step::SshReboot => self.each(|node| self.ssh(node)),
            _ => match self.nodes.first().map(|(_, node)| &node.route) {
                Some(Route::Rpower) => self.rpower(),
                _ => self.each(|node| self.power(node)),
            },
        }
    }

    fn each(&self, act: impl Fn(&Node) -> Said) -> Vec<(usize, Said)> {
        let nodes = self.nodes.iter();
        nodes.map(|(number, node)| (*number, act(node))).collect()
    }

    fn names(&self) -> Vec<String> {
        self.nodes
            .iter()
            .map(|(_, node)| node.name.clone())
            .collect()
    }

    fn ports(&self) -> Vec<(usize, Said)> {
        let addresses: Vec<(String, SocketAddr)> = self
            .nodes
            .iter()
            .filter_map(|(_, node)| Some((node.name.clone(), node.ssh?)))
            .collect();
        match answers_ssh(&addresses, self.shared.options.limits.port) {
            Ok(open) => self.each(|node| match open.contains(&node.name) {
                true => Said::Open,
                false => Said::Closed,
            }),
            Err(error) => self.each(|_| Said::Failed(error.to_string())),
        }
    }

    fn ssh(&self, node: &Node) -> Said {
        let options = &self.shared.options;
        let limit = options.limits.ssh;
        let (Some(ssh), Some(address)) = (&self.shared.ways.ssh, node.ssh) else {
            return Said::NoSsh("ssh: is not installed".into());
        };
        if self.step == Step::BootId {
            return match shell::boot_id(ssh, &node.name, address, limit) {
                Ok(id) => Said::BootId(id),
                Err(why) => Said::NoSsh(why),
            };
        }
        match shell::reboot(ssh, &node.name, address, options.prepare, limit) {
            Ok(()) => Said::Done,
            Err(why) => Said::Failed(why),
        }
    }

    fn configure(&self) -> Vec<(usize, Said)> {
        let Some(updatenode) = &self.shared.ways.updatenode else {
            return self.each(|_| Said::Failed("xCAT's updatenode is not installed".into()));
        };
        let limit = self.shared.options.limits.configure;
        self.sorted(
            rpower::call(updatenode, &self.names(), &["-P"], limit),
            Said::Done,
        )
    }

    fn hook(&self) -> Vec<(usize, Said)> {
        if let Some(Route::Partition(partition)) = self.nodes.first().map(|(_, node)| &node.route) {
            return self.each(|_| partition.boot().map_or_else(Said::Failed, |()| Said::Done));
        }
        match &self.shared.ways.hook {
            Some(hook) => self.sorted(hook.boot("reboot", "", &self.names(), &[]), Said::Done),
            None => self.each(|_| Said::Failed("there is none".into())),
        }
    }

    fn rpower(&self) -> Vec<(usize, Said)> {
        let names = self.names();
        let Some(rpower) = &self.shared.ways.rpower else {
            return self.each(|_| Said::Failed("xCAT's rpower is not installed".into()));
        };
        match self.step {
            Step::SetBoot => self.set_boot(&names),
            Step::On => self.sorted(rpower.on(&names), Said::Started),
            Step::LookOff | Step::LookOn => {
                let limit = self.shared.options.limits.power;
                let wanted = self.step == Step::LookOff;
                let first = rpower.states(&names, limit);
                let there = |state: &Result<String, String>| matches!(state, Ok(state) if rpower::is_off(state) == wanted);
                let again: Vec<String> = first
                    .iter()
                    .filter(|(_, state)| there(state))
                    .map(|(name, _)| name.clone())
                    .collect();
                let mut second = BTreeMap::new();
                if !again.is_empty() {
                    std::thread::sleep(BETWEEN);
                    second = rpower.states(&again, limit);
                }
                self.each(
                    |node| match second.get(&node.name).or(first.get(&node.name)) {
                        Some(state) if there(state) => Said::Done,
                        Some(Ok(state)) => Said::Reading(state.clone()),
                        Some(Err(why)) => Said::Reading(why.clone()),
                        None => Said::Reading("nothing".into()),
                    },
                )
            }
            _ => self.sorted(rpower.off(&names), Said::Started),
        }
    }

    fn set_boot(&self, names: &[String]) -> Vec<(usize, Said)> {
        let Some(rsetboot) = &self.shared.ways.rsetboot else {
            return self.each(|_| Said::Failed("xCAT's rsetboot is not installed".into()));
        };
        let device = match self.shared.options.boot {
            Some(BootDevice::Network | BootDevice::DirectNetwork) => "net",
            Some(BootDevice::Disk) => "hd",
            Some(BootDevice::None) | None => "default",
        };
        let limit = self.shared.options.limits.boot;
        self.sorted(rpower::call(rsetboot, names, &[device], limit), Said::Done)
    }

    fn power(&self, node: &Node) -> Said {
        let limit = self.shared.options.limits.power;
        let done = match &node.route {
            Route::Virsh(guest) => match self.step {
                Step::SoftOff | Step::HardOff => guest.is_off(limit).and_then(|off| {
                    if off {
                        return Ok(Said::Done);
                    }
                    match self.step {
                        Step::SoftOff => guest.shut_down(limit)?,
                        _ => guest.cut(limit)?,
                    }
                    Ok(Said::Started)
                }),
                Step::On => guest.start(limit).map(|()| Said::Started),
                Step::LookOff | Step::LookOn => {
                    guest
                        .is_off(limit)
                        .map(|off| match off == (self.step == Step::LookOff) {
                            true => Said::Done,
                            false => Said::Reading(if off { "off" } else { "on" }.into()),
                        })
                }
                _ => Err("a guest has no one-shot boot device".into()),
            },
            Route::Bmc(target) => self.controller(target),
            route => Err(format!("{} has no such step", route.words())),
        };
        done.unwrap_or_else(Said::Failed)
    }

    fn controller(&self, target: &bmc::Target) -> Result<Said, String> {
        let settings = self.shared.ways.bmc.as_ref().ok_or("no settings")?;
        controller::act(self.step, self.shared.options.boot, target, settings)
            .map_err(|error| error.to_string())
    }

    fn statuses(&self) -> Vec<(usize, Said)> {
        let read = || {
            let tables = Tables::open(&self.shared.location)?;
            tables.attributes("nodelist", &["status", "statustime"], &self.names())
        };
        let found = match read() {
            Ok(found) => found,
            Err(error) => return self.each(|_| Said::Reading(error.to_string())),
        };
        self.each(|node| {
            let row = found.get(&node.name).and_then(|rows| rows.first());
            let value = |column| row.and_then(|row| row.get(column)).unwrap_or_default();
            Said::Status(format!("{}|{}", value("statustime"), value("status")))
        })
    }

    fn sorted(&self, failed: Failed, otherwise: Said) -> Vec<(usize, Said)> {
        self.each(|node| match failed.get(&node.name) {
            Some(why) => Said::Failed(why.clone()),
            None => otherwise.clone(),
        })
    }
}

/// A child that runs.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) step: Step,
    /// The way that its nodes share.
    pub(crate) way: u8,
    /// It may take several nodes.
    pub(crate) set: bool,
    /// The state of its node, if its answer counts in that state alone and nobody waits for it.
    pub(crate) aside: Option<State>,
    /// The numbers of its nodes that it has not spoken of.
    pub(crate) left: BTreeSet<usize>,
}

impl Flight {
    /// Reads a line of the child; None if it speaks of nobody who waits for it.
    pub(crate) fn read(&mut self, line: &str) -> Option<(usize, Said)> {
        let (number, said) = line.split_once(' ')?;
        let number = number.parse().ok()?;
        let said = Said::parse(said)?;
        self.left.remove(&number).then_some((number, said))
    }
}
