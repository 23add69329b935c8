//! What a plan must ask the world outside the tables.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use fork_worker::command::{self, Spec};

use xcat_tables::Tables;

use crate::interfaces::{Interface, interfaces};
use crate::remote;

/// One call to one host.
const CALL: Duration = Duration::from_secs(60);
/// What a host says in front of a directory that it does not have, and when it has looked at all.
const MISSING: &str = "missing:";
const LOOKED: &str = "looked";

/// Names, and what the hosts behind them say. Asked by a plan, never changed by one.
pub trait World {
    /// The addresses of a host name; none: it does not resolve.
    fn addresses(&self, host: &str) -> Vec<IpAddr>;
    /// The addresses of this machine.
    fn own(&self) -> Vec<Interface>;
    /// The addresses of a service node, as it says itself; else why it does not.
    fn interfaces(&self, service_node: &str) -> Result<Vec<Interface>, String>;
    /// Which of these directories a host does not have; else why it does not say.
    fn missing(&self, host: &str, directories: &[&str]) -> Result<Vec<String>, String>;
    /// Which of these hosts answer on their ssh port. By name, with an address to try.
    fn answering(&self, hosts: &BTreeMap<String, IpAddr>) -> Vec<String>;
    /// One of xCAT's commands, if it is installed.
    fn command(&self, name: &str) -> Option<PathBuf>;
}

/// The machine that this runs on.
#[derive(Debug, Default, Clone)]
pub struct ThisHost {
    /// What `hosts.ip` says; all other names are the resolver's.
    hosts: BTreeMap<String, IpAddr>,
}

impl ThisHost {
    /// With the addresses of the `hosts` table.
    ///
    /// # Errors
    /// What the tables say.
    pub fn new(tables: &Tables) -> Result<ThisHost, crate::Error> {
        let names: Vec<String> = tables
            .rows("nodelist")?
            .iter()
            .filter_map(|row| row.get("node").map(str::to_string))
            .collect();
        let hosts = tables.attribute("hosts", "ip", &names)?;
        let parsed = hosts.into_iter();
        Ok(ThisHost {
            hosts: parsed
                .filter_map(|(host, ip)| Some((host, ip.trim().parse().ok()?)))
                .collect(),
        })
    }
}

impl ThisHost {
    /// What a command on a host printed, and the text to report if that is not what was hoped for.
    fn said(&self, host: &str, command: &str) -> Result<(String, String), String> {
        let spec = match self.command("xdsh") {
            Some(xdsh) => Spec::new(xdsh).args([host, "-s", command]).deadline(CALL),
            None => remote::ssh(host, &self.addresses(host), command, CALL)?,
        };
        let finished =
            command::run(&spec).map_err(|error| format!("{}: {error}", spec.program.display()))?;
        let stderr = String::from_utf8_lossy(&finished.stderr);
        let why = match stderr.trim().lines().last() {
            Some(why) => program::escape(why).into_owned(),
            None => "it said nothing of use".to_string(),
        };
        Ok((String::from_utf8_lossy(&finished.stdout).into_owned(), why))
    }
}

impl World for ThisHost {
    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        // What the tables say needs no resolver, which for thousands of names may be far and slow.
        if let Some(known) = self.hosts.get(host) {
            return vec![*known];
        }
        let found = (host, 0).to_socket_addrs().into_iter().flatten();
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found.map(|each| each.ip()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    fn own(&self) -> Vec<Interface> {
        let found = nix::ifaddrs::getifaddrs().into_iter().flatten();
        found
            .filter_map(|each| {
                let address = each.address?.as_sockaddr_in()?.ip();
                let mask = each
                    .netmask
                    .and_then(|mask| Some(mask.as_sockaddr_in()?.ip()));
                Some(Interface {
                    address,
                    is_alias: mask == Some(Ipv4Addr::BROADCAST),
                })
            })
            .collect()
    }

    fn interfaces(&self, service_node: &str) -> Result<Vec<Interface>, String> {
        let (said, why) = self.said(service_node, "/sbin/ip addr ")?;
        match interfaces(&said) {
            none if none.is_empty() => Err(why),
            found => Ok(found),
        }
    }

    fn missing(&self, host: &str, directories: &[&str]) -> Result<Vec<String>, String> {
        let harmless = |path: &&str| path.chars().all(|c| !c.is_control() && c != '\'');
        if let Some(strange) = directories.iter().find(|path| !harmless(path)) {
            return Err(format!("{}: is no usual name", program::escape(strange)));
        }
        let quoted: Vec<String> = directories.iter().map(|path| format!("'{path}'")).collect();
        let script = format!(
            "for d in {}; do test -d \"$d\" || echo \"{MISSING}$d\"; done; echo {LOOKED}",
            quoted.join(" ")
        );
        let (said, why) = self.said(host, &script)?;
        if !said.lines().any(|line| line.trim_end().ends_with(LOOKED)) {
            return Err(why);
        }
        let missing = said.lines().filter_map(|line| line.split_once(MISSING));
        Ok(missing
            .map(|(_, path)| path.trim_end().to_string())
            .collect())
    }

    fn answering(&self, hosts: &BTreeMap<String, IpAddr>) -> Vec<String> {
        let targets: Vec<_> = hosts
            .iter()
            .map(|(host, address)| (host.clone(), (*address, 22).into()))
            .collect();
        let answered = node_reboot::answers_ssh(&targets, Duration::from_secs(5));
        answered.unwrap_or_default().into_iter().collect()
    }

    fn command(&self, name: &str) -> Option<PathBuf> {
        program::paths::xcat_command(name)
    }
}
