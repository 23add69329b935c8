//! The questions to each service node, and for each node: children, since each may wait.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use fork_worker::Job;

use super::dhcp::Offer;
use super::{Holds, Subject, dns, http, nfs, tftp, wire};
use crate::children::gather;

/// Where xCAT's daemon listens.
const XCATD: u16 = 3001;
/// Longer than all tries of a job together.
const LIMIT: Duration = Duration::from_secs(60);

/// Two answers.
pub(crate) type Pair = [Holds; 2];

/// NFS and xcatd, by service node.
pub(crate) fn hosts(subjects: &[Subject]) -> BTreeMap<String, Pair> {
    let mut servers: BTreeMap<&str, (Ipv4Addr, Vec<String>)> = BTreeMap::new();
    for subject in subjects {
        let of_host = servers.entry(&subject.service_node);
        let (_, mounted) = of_host.or_insert((subject.server, Vec::new()));
        let more = subject
            .nfs
            .iter()
            .filter(|directory| !mounted.contains(directory));
        let more: Vec<String> = more.cloned().collect();
        mounted.extend(more);
    }
    let job = |(server, mounted): (Ipv4Addr, Vec<String>)| {
        move || {
            let xcatd = wire::call(server, XCATD, &[])
                .map(|_| format!("port {XCATD} is open"))
                .map_err(|why| format!("port {XCATD}: {why}"));
            let exports = match mounted.is_empty() {
                true => Holds::Unused,
                false => Holds::of(nfs::exports(server, &mounted)),
            };
            [exports, Holds::of(xcatd)]
        }
    };
    run(servers
        .into_iter()
        .map(|(name, of_host)| (name.to_string(), job(of_host))))
}

/// The boot file and the name, by node.
pub(crate) fn nodes(
    subjects: &[Subject],
    offered: &BTreeMap<&str, Offer>,
    domain: Option<&str>,
) -> BTreeMap<String, Pair> {
    let job = |subject: &Subject| {
        let server = subject.server;
        let offer = offered.get(subject.node.as_str());
        let file = offer.and_then(|offer| offer.boot_file.clone());
        let is_offered = offer.is_some();
        let name = match domain {
            Some(domain) => format!("{}.{}", subject.node, domain.trim()),
            None => subject.node.clone(),
        };
        let with_dns = subject.dns;
        move || {
            let file = match file {
                Some(file) => Holds::of(boot_file(server, &file)),
                None if is_offered => Holds::No("the offer names no boot file".to_string()),
                // Without an offer nobody knows what the node would boot.
                None => Holds::Unused,
            };
            let name = if with_dns {
                Holds::of(dns::knows(server, &name))
            } else {
                Holds::Unused
            };
            [file, name]
        }
    };
    run(subjects
        .iter()
        .map(|subject| (subject.node.clone(), job(subject))))
}

fn boot_file(server: Ipv4Addr, file: &str) -> Result<String, String> {
    match http::parts(file) {
        Some((port, path)) => http::has(server, port, path),
        None => tftp::has(server, file),
    }
}

fn run<W: FnOnce() -> Pair + 'static>(
    jobs: impl Iterator<Item = (String, W)>,
) -> BTreeMap<String, Pair> {
    let jobs = jobs.map(|(name, work)| {
        let job = move |_: &mut fork_worker::Report| {
            serde_json::to_string(&work()).map_err(|error| error.to_string())
        };
        (name, Job::new(job).deadline(LIMIT))
    });
    let pair = |came: Result<String, String>| match came {
        Ok(text) => serde_json::from_str(&text).ok(),
        Err(why) => Some([Holds::No(why.clone()), Holds::No(why)]),
    };
    let came = gather(jobs).into_iter();
    came.filter_map(|(name, came)| Some((name, pair(came)?)))
        .collect()
}
