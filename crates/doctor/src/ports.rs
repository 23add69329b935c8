//! Who listens on the ports of xCAT's daemon.

use std::collections::BTreeSet;
use std::path::Path;

use xcat_tables::Tables;

use crate::cluster::Cluster;
use crate::{Check, Finding, Host, said};

/// Site key and default: where nodes and clients call, and where installers report.
const PORTS: [(&str, u16); 2] = [("xcatdport", 3001), ("xcatiport", 3002)];

/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

pub(crate) fn look(
    tables: &Tables,
    host: &Host,
    _: &Cluster,
    check: &mut Check,
) -> Result<(), String> {
    let xcatd = ["bin", "sbin"]
        .iter()
        .map(|directory| host.xcat_root.join(directory).join("xcatd"))
        .find(|path| path.is_file());
    for (key, usual) in PORTS {
        let port = match tables.site(key).map_err(said)? {
            None => usual,
            Some(text) => match text.trim().parse() {
                Ok(port) => port,
                Err(_) => {
                    check.findings.push(Finding::new(
                        format!("site.{key}"),
                        format!("{text:?}: is no port"),
                        format!("xtab set -k key={key} site.value={usual}"),
                    ));
                    continue;
                }
            },
        };
        let owner = owner(&host.proc, port)?;
        let subject = format!("port {port}");
        match (&xcatd, &owner) {
            (Some(xcatd), None) => check.findings.push(Finding::new(
                subject,
                format!("nobody listens, and {} is installed", xcatd.display()),
                "systemctl start xcatd",
            )),
            (Some(_), Some(owner)) if owner.starts_with("callbackd ") => {
                check.findings.push(Finding::new(
                    subject,
                    format!("{owner} has the port of xCAT's daemon, which is installed"),
                    "stop callbackd and set site.nodetoolsport to another port",
                ));
            }
            (_, owner) => {
                let who = owner.clone().unwrap_or_else(|| "nobody".into());
                check.facts.push((subject, who));
            }
        }
    }
    Ok(())
}

/// The process that listens there, as `name (process N)`.
fn owner(proc: &Path, port: u16) -> Result<Option<String>, String> {
    let mut sockets = BTreeSet::new();
    for file in ["tcp", "tcp6"] {
        let path = proc.join("self/net").join(file);
        match std::fs::read_to_string(&path) {
            Ok(text) => sockets.extend(text.lines().filter_map(|line| listening(line, port))),
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{}: {error}", path.display())),
        }
    }
    if sockets.is_empty() {
        return Ok(None);
    }
    let mut processes = BTreeSet::new();
    for entry in proc.read_dir().map_err(said)?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Another user's, or one that has just ended: it is not this one, or nobody may know.
        let Ok(descriptors) = entry.path().join("fd").read_dir() else {
            continue;
        };
        let holds = descriptors.flatten().any(|descriptor| {
            std::fs::read_link(descriptor.path()).is_ok_and(|target| {
                sockets
                    .iter()
                    .any(|socket| target.as_os_str() == socket.as_str())
            })
        });
        if holds {
            processes.insert(pid);
        }
    }
    let Some(pid) = processes.first() else {
        return Ok(Some("somebody (only root sees who)".into()));
    };
    let name = std::fs::read_to_string(proc.join(pid.to_string()).join("comm")).unwrap_or_default();
    Ok(Some(format!("{} (process {pid})", name.trim())))
}

/// What a descriptor of the socket leads to, if the line is of a listening one on the port.
fn listening(line: &str, port: u16) -> Option<String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
    let (_, hex) = local.rsplit_once(':')?;
    let fits = *state == LISTEN && u16::from_str_radix(hex, 16) == Ok(port);
    fits.then(|| format!("socket:[{inode}]"))
}
