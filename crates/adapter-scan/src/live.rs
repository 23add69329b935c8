//! Asking a node that runs: `findadapter-agent --print` over ssh, no reboot.

use std::net::IpAddr;
use std::time::Duration;

use boot_target::Ending;
use fork_worker::Job;
use fork_worker::command::{self, Spec};
use xcat_request::{Limits, parse};

/// One node may take this long.
const DEADLINE: Duration = Duration::from_secs(60);

/// A report's limit.
const OUTPUT: usize = 1 << 20;

/// How ssh is called: never a question, never a forwarded anything, a key that is known or new (a
/// changed one is refused).
const OPTIONS: [&str; 5] = [
    "-oBatchMode=yes",
    "-oConnectTimeout=10",
    "-oStrictHostKeyChecking=accept-new",
    "-oForwardAgent=no",
    "-oClearAllForwardings=yes",
];

/// The job that asks one node; its verdict is the node's XML on one line's worth of JSON text.
pub(crate) fn job(node: String, address: Option<IpAddr>) -> Job {
    Job::new(move |_| ask(&node, address))
        .deadline(DEADLINE)
        .line_limit(2 << 20)
}

/// Reads what the job brought.
pub(crate) fn facts(verdict: &str) -> Result<adapter_facts::Facts, String> {
    let text: String = serde_json::from_str(verdict).map_err(|error| error.to_string())?;
    let root = parse(text.as_bytes(), &Limits::default()).map_err(|error| error.to_string())?;
    Ok(adapter_facts::from_request(&root))
}

fn ask(node: &str, address: Option<IpAddr>) -> Result<String, String> {
    let mut arguments: Vec<String> = OPTIONS.map(String::from).into();
    // The tables' address where they have one: names need not resolve, keys stay the name's.
    if let Some(address) = address {
        arguments.push(format!("-oHostName={address}"));
        arguments.push(format!("-oHostKeyAlias={node}"));
    }
    // After `--` no name can be an option.
    arguments.extend(["--".into(), node.into(), "findadapter-agent --print".into()]);
    let mut spec = Spec::new("ssh").args(arguments).deadline(DEADLINE);
    spec.output_limit = OUTPUT;
    let finished = command::run(&spec).map_err(|error| format!("ssh: {error}"))?;
    match Ending::of(&finished, DEADLINE) {
        Ending::Good => {}
        Ending::Broken(why) => return Err(format!("ssh: {why}")),
        Ending::Status(status) => {
            let said = String::from_utf8_lossy(&finished.stderr);
            let last = said.trim().lines().last().unwrap_or("said nothing");
            return Err(format!("ssh: ended with {status}: {last}"));
        }
    }
    serde_json::to_string(&String::from_utf8_lossy(&finished.stdout))
        .map_err(|error| error.to_string())
}
