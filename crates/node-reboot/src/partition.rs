//! Partitions of POWER servers, booted by their HMC: its `lpar_netboot` takes a partition down, starts its firmware,
//! and has that ask one boot server by its address instead of the whole network (direct bootp).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use fork_worker::command;
use xcat_tables::{Error, Gateway, Network, Tables, narrowest};

use crate::plan::{SSH_PORT, addresses};
use crate::shell::ssh_as;

/// What a node's management must be.
const KIND: &str = "hmc";
/// Who an HMC knows, unless the tables say otherwise.
const USER: &str = "hscroot";
/// One question to an HMC.
const ASK: Duration = Duration::from_secs(60);
/// `lpar_netboot` drives the firmware by hand.
pub(crate) const NETBOOT: Duration = Duration::from_secs(600);

/// A partition, and all that its HMC must be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    hmc: String,
    address: IpAddr,
    user: String,
    /// The managed system, as `lssyscfg -m` takes it: `9117-MMA*10F6F3D`, or its name.
    system: String,
    /// Its number there.
    id: String,
    profile: String,
    /// Without colons.
    mac: String,
    server: Ipv4Addr,
    client: Ipv4Addr,
    gateway: Ipv4Addr,
    mask: Ipv4Addr,
}

/// The nodes as partitions, each with what its boot needs, or why it cannot be booted so.
pub(crate) fn partitions(
    tables: &Tables,
    nodes: &[String],
    kinds: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Result<Partition, String>>, Error> {
    let known = Known::read(tables, nodes)?;
    let partition = |node: &String| known.partition(node, kinds.get(node).map(String::as_str));
    Ok(nodes
        .iter()
        .map(|node| (node.clone(), partition(node)))
        .collect())
}

impl Partition {
    /// Boots it; returns when its firmware has begun to load.
    pub(crate) fn boot(&self) -> Result<(), String> {
        let (system, id) = (&self.system, &self.id);
        // Tables know a partition's number; lpar_netboot wants its name.
        let question = format!("lssyscfg -r lpar -m \"{system}\" --filter lpar_ids={id} -F name");
        let name = self.call(&question, ASK)?;
        if !is_value(&name) {
            return Err(format!("lssyscfg: {name}: is no name of a partition"));
        }
        self.call(&self.netboot(&name), NETBOOT).map(drop)
    }

    fn netboot(&self, name: &str) -> String {
        format!(
            "lpar_netboot -t ent -f -i -m {} -s auto -d auto -S {} -G {} -C {} -K {} \"{name}\" \"{}\" \"{}\"",
            self.mac, self.server, self.gateway, self.client, self.mask, self.profile, self.system
        )
    }

    /// What it said last, of a command that ended well.
    fn call(&self, text: &str, limit: Duration) -> Result<String, String> {
        let at = SocketAddr::new(self.address, SSH_PORT);
        let spec = ssh_as(&self.user, &self.hmc, at).ok_or("ssh: is not installed")?;
        let verb = text.split(' ').next().unwrap_or_default();
        let failed = |why: &str| format!("{verb} at {}: {why}", self.hmc);
        let spec = spec.arg(text).deadline(limit);
        let finished = command::run(&spec).map_err(|error| failed(&error.to_string()))?;
        if finished.timed_out {
            return Err(failed(&format!("did not end within {} s", limit.as_secs())));
        }
        let last = |bytes: &[u8]| {
            let said = String::from_utf8_lossy(bytes);
            let last = said.trim().lines().last().unwrap_or_default();
            last.chars().take(200).collect::<String>()
        };
        let said = last(&finished.stdout);
        if finished.status.success() {
            return Ok(said);
        }
        // An HMC says on either why it refused.
        match last(&finished.stderr) {
            why if !why.is_empty() => Err(failed(&why)),
            _ if !said.is_empty() => Err(failed(&said)),
            _ => Err(failed(&finished.status.to_string())),
        }
    }
}

/// What the tables say, by node or host.
struct Known {
    hmcs: BTreeMap<String, String>,
    ids: BTreeMap<String, String>,
    profiles: BTreeMap<String, String>,
    parents: BTreeMap<String, String>,
    models: BTreeMap<String, String>,
    serials: BTreeMap<String, String>,
    macs: BTreeMap<String, String>,
    masters: BTreeMap<String, String>,
    users: BTreeMap<String, String>,
    master: Option<String>,
    networks: Vec<Network>,
    addresses: BTreeMap<String, IpAddr>,
}

impl Known {
    fn read(tables: &Tables, nodes: &[String]) -> Result<Known, Error> {
        let of = |table: &str, column: &str| tables.attribute(table, column, nodes);
        let parents = of("ppc", "parent")?;
        let systems: Vec<String> = parents.values().cloned().collect();
        let hmcs: BTreeMap<String, String> = of("ppc", "hcp")?
            .into_iter()
            .map(|(node, hmcs)| (node, first(&hmcs)))
            .collect();
        let masters = of("noderes", "xcatmaster")?;
        let master = tables.site("master")?;
        let mut hosts: Vec<String> = nodes.to_vec();
        hosts.extend(
            hmcs.values()
                .chain(masters.values())
                .chain(&master)
                .cloned(),
        );
        hosts.sort_unstable();
        hosts.dedup();
        let mut users = BTreeMap::new();
        for row in tables.rows("ppchcp")? {
            if let (Some(hmc), Some(user)) = (row.get("hcp"), row.get("username")) {
                users.insert(hmc.to_string(), user.to_string());
            }
        }
        Ok(Known {
            ids: of("ppc", "id")?,
            profiles: of("ppc", "pprofile")?,
            models: tables.attribute("vpd", "mtm", &systems)?,
            serials: tables.attribute("vpd", "serial", &systems)?,
            macs: of("mac", "mac")?,
            networks: tables
                .rows("networks")?
                .iter()
                .filter_map(Network::of)
                .collect(),
            addresses: addresses(tables, &hosts)?,
            hmcs,
            parents,
            masters,
            users,
            master,
        })
    }

    fn partition(&self, node: &str, kind: Option<&str>) -> Result<Partition, String> {
        if kind != Some(KIND) {
            let kind = kind.unwrap_or("not set");
            return Err(format!(
                "direct bootp is asked of an HMC, and its nodehm.mgt is {kind}"
            ));
        }
        let value = |values: &BTreeMap<String, String>, place: &str, node: &str| {
            let found = values.get(node).map(|text| text.trim());
            let found = found.ok_or_else(|| format!("{place} is not set"))?;
            match is_value(found) {
                true => Ok(found.to_string()),
                false => Err(format!("{place}: {found}: is no usual value")),
            }
        };
        let hmc = value(&self.hmcs, "ppc.hcp", node)?;
        let parent = value(&self.parents, "ppc.parent", node)?;
        let system = match (self.models.get(&parent), self.serials.get(&parent)) {
            (Some(_), Some(_)) => format!(
                "{}*{}",
                value(&self.models, "vpd.mtm", &parent)?,
                value(&self.serials, "vpd.serial", &parent)?
            ),
            _ => parent,
        };
        let master = self.masters.get(node).or(self.master.as_ref());
        let master = master.ok_or("neither noderes.xcatmaster nor site.master is set")?;
        let server = self.address(master)?;
        let client = self.address(node)?;
        let network = narrowest(&self.networks, client)
            .ok_or_else(|| format!("no row of networks holds {client}"))?;
        let user = match self.users.get(&hmc) {
            Some(_) => value(&self.users, "ppchcp.username", &hmc)?,
            None => USER.to_string(),
        };
        Ok(Partition {
            address: *self
                .addresses
                .get(&hmc)
                .ok_or_else(|| format!("{hmc}: does not resolve"))?,
            user,
            id: value(&self.ids, "ppc.id", node)?,
            profile: value(&self.profiles, "ppc.pprofile", node)?,
            mac: mac(self.macs.get(node))?,
            // HMCs of today take no 0.0.0.0 for "none".
            gateway: match network.gateway {
                Gateway::At(gateway) => gateway,
                Gateway::None | Gateway::Master => server,
            },
            mask: network.mask(),
            hmc,
            system,
            server,
            client,
        })
    }

    fn address(&self, host: &str) -> Result<Ipv4Addr, String> {
        match self.addresses.get(host) {
            Some(IpAddr::V4(address)) => Ok(*address),
            Some(IpAddr::V6(_)) => Err(format!("{host}: has no IPv4 address")),
            None => Err(format!("{host}: does not resolve")),
        }
    }
}

/// The first MAC of `mac.mac` (`MAC!NAME|MAC!NAME`), as HMCs write it.
fn mac(text: Option<&String>) -> Result<String, String> {
    let text = text.ok_or("mac.mac is not set")?;
    let first = text.split(['|', '!']).next().unwrap_or_default().trim();
    let digits: String = first.chars().filter(|c| *c != ':').collect();
    match digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(digits.to_ascii_lowercase()),
        false => Err(format!("mac.mac: {first}: is no MAC")),
    }
}

fn first(list: &str) -> String {
    list.split(',')
        .next()
        .unwrap_or_default()
        .trim()
        .to_string()
}

/// True for what may stand between double quotes in a command of the HMC's shell, and is no option.
fn is_value(text: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b" ._*+-".contains(&byte);
    (1..=64).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(is_usual)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_mac_as_an_hmc_writes_it() {
        let read = |text: &str| mac(Some(&text.to_string()));
        assert_eq!(
            read("52:54:00:00:AB:01!n1|52:54:00:00:00:02").unwrap(),
            "52540000ab01"
        );
        for text in ["", "52:54", "52:54:00:00:00:0g", "$(reboot)"] {
            assert!(read(text).unwrap_err().starts_with("mac.mac: "), "{text}");
        }
        assert_eq!(mac(None).unwrap_err(), "mac.mac is not set");
    }

    #[test]
    fn what_an_hmc_s_shell_would_read_otherwise_is_no_value() {
        for text in ["9117-MMA*10F6F3D", "lpar 1", "n1.cluster"] {
            assert!(is_value(text), "{text}");
        }
        for text in ["", "-m", "a\"b", "$HOME", "`x`", "a\nb", "a;b", "\\"] {
            assert!(!is_value(text), "{text}");
        }
    }
}
