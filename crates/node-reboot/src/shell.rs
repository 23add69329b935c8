//! One call of ssh: what boot does the node run, and reboot it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use fork_worker::command::{self, Spec};

use crate::tools::find;

/// Never a question, never a forwarded anything. A host key that is new is taken, one that has
/// changed is refused: such a node is rebooted by its power.
const OPTIONS: [&str; 9] = [
    "-oBatchMode=yes",
    "-oConnectTimeout=10",
    "-oConnectionAttempts=1",
    "-oServerAliveInterval=5",
    "-oServerAliveCountMax=1",
    "-oStrictHostKeyChecking=accept-new",
    "-oForwardAgent=no",
    "-oForwardX11=no",
    "-oClearAllForwardings=yes",
];
/// What each boot of Linux has of its own.
const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
/// The same words for every node.
const REBOOT: &str = "exec /sbin/reboot";
/// A site's script on the node, which reboots it when it is done; else a plain reboot.
const PREPARE: &str = "if test -x /etc/xcat-nodetools/prepare; then exec /etc/xcat-nodetools/prepare; else exec /sbin/reboot; fi";
/// A boot id is 36 characters; a login banner goes elsewhere.
const OUTPUT: usize = 4096;

/// Asks for the boot id.
pub(crate) fn boot_id(
    ssh: &Path,
    node: &str,
    address: SocketAddr,
    limit: Duration,
) -> Result<String, String> {
    let (status, out, err) = call(ssh, node, address, BOOT_ID, limit)?;
    let id = out.trim();
    if status == Some(0) && id.len() == 36 && id.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-')
    {
        return Ok(id.to_string());
    }
    Err(match status {
        Some(0) => "ssh: what it says is no boot id".to_string(),
        _ => last_words(status, &err),
    })
}

/// Tells the node to reboot. ssh may end in any way when the far side goes away: only a shell there
/// that could not run the command, and a call that hangs, count as failures.
pub(crate) fn reboot(
    ssh: &Path,
    node: &str,
    address: SocketAddr,
    prepare: bool,
    limit: Duration,
) -> Result<(), String> {
    let command = if prepare { PREPARE } else { REBOOT };
    let (status, _, err) = call(ssh, node, address, command, limit)?;
    match status {
        Some(126 | 127) => Err(last_words(status, &err)),
        _ => Ok(()),
    }
}

/// The call of ssh that reaches a node as root without a question; the command is to be added. `None`: no ssh here.
pub fn ssh_to(node: &str, address: SocketAddr) -> Option<Spec> {
    ssh_as("root", node, address)
}

/// The same as somebody else.
pub(crate) fn ssh_as(user: &str, host: &str, address: SocketAddr) -> Option<Spec> {
    Some(Spec::new(find("ssh")?).args(arguments(user, host, address)))
}

fn arguments(user: &str, node: &str, address: SocketAddr) -> Vec<String> {
    let mut arguments: Vec<String> = OPTIONS.map(String::from).into();
    // The tables' address: names need not resolve, keys stay the name's.
    arguments.push(format!("-oHostName={}", address.ip()));
    arguments.push(format!("-oHostKeyAlias={node}"));
    arguments.push(format!("-p{}", address.port()));
    arguments.push(format!("-l{user}"));
    // After `--` no name can be an option.
    arguments.extend(["--".into(), node.into()]);
    arguments
}

type Said = (Option<i32>, String, String);

fn call(
    ssh: &Path,
    node: &str,
    address: SocketAddr,
    command: &str,
    limit: Duration,
) -> Result<Said, String> {
    let mut spec = Spec::new(ssh)
        .args(arguments("root", node, address))
        .arg(command)
        .deadline(limit);
    spec.output_limit = OUTPUT;
    let finished = command::run(&spec).map_err(|error| error.to_string())?;
    if finished.timed_out {
        return Err(format!("ssh: did not end within {} s", limit.as_secs()));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((
        finished.status.code(),
        text(&finished.stdout),
        text(&finished.stderr),
    ))
}

fn last_words(status: Option<i32>, err: &str) -> String {
    let last = err.trim().lines().last().unwrap_or("said nothing");
    let last: String = last.chars().take(200).collect();
    match status {
        Some(status) => format!("ssh: ended with {status}: {last}"),
        None => format!("ssh: was ended by a signal: {last}"),
    }
}
