//! Commands on other hosts, over ssh, many at once.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use boot_target::{Answers, Ending};
use fork_worker::Job;
use fork_worker::command::{self, Spec};

use crate::children::gather;

/// What is kept of one host's words.
const OUTPUT: usize = 64 * 1024;
/// Time to end after the deadline of the call itself.
const GRACE: Duration = Duration::from_secs(10);

/// One ssh to a host at the first of its addresses.
///
/// # Errors
/// It has none, or there is no ssh.
pub(crate) fn ssh(
    host: &str,
    addresses: &[IpAddr],
    command: &str,
    limit: Duration,
) -> Result<Spec, String> {
    let address = addresses.first().ok_or("does not resolve")?;
    let call =
        node_reboot::ssh_to(host, SocketAddr::new(*address, 22)).ok_or("ssh: is not installed")?;
    let mut spec = call.arg(command).deadline(limit);
    spec.output_limit = OUTPUT;
    Ok(spec)
}

/// Runs a command, with something on its standard input, on each host: the last line that it printed, or why it
/// failed.
pub(crate) fn each(
    hosts: &BTreeMap<String, Vec<IpAddr>>,
    command: &str,
    input: &str,
    limit: Duration,
) -> BTreeMap<String, Result<String, String>> {
    let mut said = BTreeMap::new();
    let mut jobs = Vec::new();
    for (host, addresses) in hosts {
        match ssh(host, addresses, command, limit) {
            Ok(mut spec) => {
                spec.stdin = input.as_bytes().to_vec();
                let job = Job::new(move |_| one(&spec, limit)).deadline(limit + GRACE);
                jobs.push((host.clone(), job));
            }
            Err(why) => {
                said.insert(host.clone(), Err(why));
            }
        }
    }
    said.extend(gather(jobs));
    said
}

/// The same as `xdsh` would answer it.
pub(crate) fn answers(
    hosts: &BTreeMap<String, Vec<IpAddr>>,
    command: &str,
    limit: Duration,
) -> Answers {
    let mut answers = Answers {
        good: true,
        ..Answers::default()
    };
    for (host, said) in each(hosts, command, "", limit) {
        match said {
            Ok(line) if line.is_empty() => {}
            Ok(line) => {
                answers.said.insert(host, vec![line]);
            }
            Err(why) => {
                answers.good = false;
                answers.failed.insert(host, why);
            }
        }
    }
    answers
}

fn one(spec: &Spec, limit: Duration) -> Result<String, String> {
    let finished = command::run(spec).map_err(|error| format!("ssh: {error}"))?;
    let last = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.trim().lines().last().unwrap_or_default().to_string()
    };
    match Ending::of(&finished, limit) {
        Ending::Good => Ok(last(&finished.stdout)),
        Ending::Broken(why) => Err(format!("ssh {why}")),
        Ending::Status(status) => match last(&finished.stderr) {
            said if said.is_empty() => Err(format!("ssh ended with {status}")),
            said => Err(said),
        },
    }
}
