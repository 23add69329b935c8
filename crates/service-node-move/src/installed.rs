//! Steps are carried out by what is installed: xCAT's commands, and ssh.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use boot_target::Answers;

use crate::remote;
use crate::run::Commands;
use crate::{ThisHost, World};

/// `updatenode` may install packages.
const LIMIT: Duration = Duration::from_secs(1800);
/// A look at a route, and a change.
const ROUTE: Duration = Duration::from_secs(60);
/// A lease is asked for in seconds; NetworkManager may take a minute.
const REBIND: Duration = Duration::from_secs(120);
/// What runs on the node. It takes no argument, so nothing needs to be quoted.
const SCRIPT: &str = include_str!("rebind.sh");

/// xCAT's commands of this host; ssh where there is no `xdsh`.
#[derive(Debug)]
pub struct Installed {
    host: ThisHost,
}

impl Installed {
    /// With the names that this host knows.
    pub fn new(host: ThisHost) -> Installed {
        Installed { host }
    }

    fn addresses(&self, hosts: &[String]) -> BTreeMap<String, Vec<IpAddr>> {
        let each = hosts.iter();
        each.map(|host| (host.clone(), self.host.addresses(host)))
            .collect()
    }
}

impl Commands for Installed {
    fn xcat(&mut self, command: &str, nodes: &[String], args: &[&str]) -> Result<Answers, String> {
        match (program::paths::xcat_command(command), args) {
            (Some(path), _) => {
                boot_target::run(&path, nodes, args, LIMIT).map_err(|error| error.to_string())
            }
            // `xdsh NODES -v COMMAND`
            (None, [_, text]) if command == "xdsh" => {
                Ok(remote::answers(&self.addresses(nodes), text, LIMIT))
            }
            (None, _) => Err(format!("{command}: is not installed")),
        }
    }

    fn route(&mut self, nodes: &[String], new: &str, old: Option<&str>) -> Answers {
        remote::answers(&self.addresses(nodes), &route(new, old), ROUTE)
    }

    fn rebind(&mut self, nodes: &[String]) -> BTreeMap<String, String> {
        let said = remote::each(&self.addresses(nodes), "sh -s", SCRIPT, REBIND);
        let text = |said: Result<String, String>| {
            said.unwrap_or_else(|why| {
                format!("its DHCP client was not asked: {why}; it finds the new server when its lease ends")
            })
        };
        said.into_iter()
            .map(|(node, said)| (node, text(said)))
            .collect()
    }
}

/// Both are addresses: nothing needs to be quoted. Where there is no `ip`, `route` has added the new one before.
fn route(new: &str, old: Option<&str>) -> String {
    let by_ip = |gateway: &str| format!("ip route show default via {gateway} | grep -q .");
    let by_route = |gateway: &str| format!("route -n | grep -q '^0[.]0[.]0[.]0  *{gateway} '");
    let mut ip = format!("{{ {} || ip route add default via {new}; }}", by_ip(new));
    let mut route = by_route(new);
    if let Some(old) = old {
        ip.push_str(&format!(
            " && {{ ! {} || ip route del default via {old}; }}",
            by_ip(old)
        ));
        route.push_str(&format!(
            " && {{ ! {} || route del default gw {old}; }}",
            by_route(old)
        ));
    }
    format!("if command -v ip >/dev/null; then {ip}; else {route}; fi")
}
