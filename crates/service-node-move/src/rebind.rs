//! The nodes' DHCP clients find the new server, over ssh, many at once.

use std::collections::BTreeMap;
use std::time::Duration;

use boot_target::Ending;
use fork_worker::command::{self, Spec};
use fork_worker::{Crew, Job, Limits, What};

/// A lease is asked for in seconds; NetworkManager may take a minute.
const DEADLINE: Duration = Duration::from_secs(120);
/// What runs on the node. It takes no argument, so nothing needs to be quoted.
const SCRIPT: &str = include_str!("rebind.sh");
/// Never a question; a key that is known or new, a changed one is refused.
const OPTIONS: [&str; 4] = [
    "-oBatchMode=yes",
    "-oConnectTimeout=10",
    "-oStrictHostKeyChecking=accept-new",
    "-oClearAllForwardings=yes",
];

/// What each node says of its lease; why not, for one that cannot be asked.
pub(crate) fn rebind(nodes: &[String]) -> BTreeMap<String, String> {
    let mut crew = Crew::new(Limits::default());
    for node in nodes {
        let name = node.clone();
        crew.start(
            node.clone(),
            Job::new(move |_| ask(&name)).deadline(DEADLINE + Duration::from_secs(10)),
        );
    }
    let mut said = BTreeMap::new();
    while !crew.is_idle() {
        let Ok(ready) = crew.wait(&[], None) else {
            break;
        };
        for event in ready.events {
            if let What::Ended(ended) = event.what {
                let text = ended.unwrap_or_else(|failure| {
                    format!("its DHCP client was not asked: {failure}; it finds the new server when its lease ends")
                });
                said.insert(event.key, program::escape(&text).into_owned());
            }
        }
    }
    said
}

fn ask(node: &str) -> Result<String, String> {
    let mut spec = Spec::new("ssh")
        .args(OPTIONS)
        .args(["--", node, "sh -s"])
        .deadline(DEADLINE);
    spec.stdin = SCRIPT.as_bytes().to_vec();
    spec.output_limit = 4096;
    let finished = command::run(&spec).map_err(|error| error.to_string())?;
    let last = |bytes: &[u8]| {
        String::from_utf8_lossy(bytes)
            .trim()
            .lines()
            .last()
            .unwrap_or("nothing")
            .to_string()
    };
    match Ending::of(&finished, DEADLINE) {
        Ending::Good => Ok(last(&finished.stdout)),
        Ending::Broken(why) => Err(format!("ssh {why}")),
        Ending::Status(_) => Err(last(&finished.stderr)),
    }
}
