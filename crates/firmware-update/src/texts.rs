//! xCAT's words, where scripts may look for them.

use std::path::Path;
use std::time::Duration;

use crate::node::Node;
use crate::plan::{Goal, Plan};
use crate::state::{Event, State};

/// The line around a summary.
pub const RULE: &str = "-------------------------------------------------------";

/// A text upon a change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The words.
    pub text: String,
    /// Only with `-V`.
    pub verbose: bool,
    /// Goes to the node's log.
    pub log: bool,
}

/// A BMC takes our ssh key, and was logged in to with it.
pub const KEY_COPIED: &str = "ssh keys copied to BMC";
/// It does not take it.
pub const KEY_NOT_COPIED: &str = "Error copying ssh keys to BMC";
/// It has taken it, and asks for a password all the same. The command is the original's.
pub const KEY_NOT_TESTED: &str =
    "Testing the ssh connection to BMC failed. Please rerun rspconfig command.";

/// Another process has the node's lock.
pub fn locked(node: &str) -> String {
    format!("Unable to rflash {node}. Another process is already flashing this node.")
}

/// An upload begins.
pub fn uploading(path: &Path) -> String {
    format!("Uploading {} ...", path.display())
}

/// The image is not in the BMC's list yet.
pub fn not_found_yet(plan: &Plan, node: &Node, poll: Duration) -> String {
    let version = version(plan, node);
    format!(
        "Could not find ID for firmware {version} to activate, waiting {} seconds and retry...",
        poll.as_secs()
    )
}

/// How far an activation is.
pub fn percent(plan: &Plan, node: &Node, percent: Option<u8>) -> Option<String> {
    let percent = percent?;
    Some(match version(plan, node) {
        "" => format!("Activating Firmware...  {percent}%"),
        version => format!("Activating Firmware {version}...  {percent}%"),
    })
}

/// A state lasted too long.
pub fn late(plan: &Plan, node: &Node, limit: Duration) -> String {
    let seconds = limit.as_secs();
    let last = if node.why.is_empty() {
        String::new()
    } else {
        format!(" ({})", node.why)
    };
    match node.state {
        State::Find => format!(
            "Could not find firmware {} after waiting {seconds} seconds.{last}",
            version(plan, node)
        ),
        State::Flash => format!(
            "Firmware {} activation made no progress for {seconds} seconds.{last}",
            version(plan, node)
        ),
        State::Back => {
            let state = if node.silent { "NotReady" } else { "Ready" };
            format!(
                "Sent bmcreboot but state did not change to BMC Ready after waiting {seconds} seconds. (State=BMC {state}).{last}"
            )
        }
        State::OffWait => format!(
            "Sent power-off command but state did not change to off after waiting {seconds} seconds. (State=on).{last}"
        ),
        State::OnWait => format!(
            "Sent power-on command but state did not change to on after waiting {seconds} seconds.{last}"
        ),
        state => format!(
            "{}: no success within {seconds} seconds{last}",
            state.words()
        ),
    }
}

/// What `nodelist.status` says upon entering a state.
pub fn node_status(state: State) -> Option<&'static str> {
    match state {
        State::HostOff => Some("powering-off"),
        State::HostOn => Some("powering-on"),
        _ => None,
    }
}

/// What is said when a node goes from one state to the next.
pub fn transition(plan: &Plan, before: &Node, node: &Node, event: Event) -> Vec<Text> {
    let plain = |text: String| Text {
        text,
        verbose: false,
        log: true,
    };
    let detail = |text: String| Text {
        text,
        verbose: true,
        log: true,
    };
    // The image that was worked on, which a step to the next image no longer shows.
    let version = version(plan, before);
    let mut texts = Vec::new();
    match (before.state, event) {
        (State::Upload, Event::Good) => {
            let text = "Firmware upload successful. Use -l option to list.".to_string();
            texts.push(Text {
                text,
                verbose: plan.goal != Goal::Upload,
                log: true,
            });
        }
        (State::Find, Event::Good | Event::Flashing | Event::NextUpload)
            if plan.goal != Goal::Upload =>
        {
            let slot = node.slots.get(before.image);
            if let Some(id) = slot.and_then(|slot| slot.id.as_ref()) {
                texts.push(plain(format!("Firmware upload successful. Attempting to activate firmware: {version} (ID: {id})")));
            }
        }
        (
            State::Flash,
            Event::Good | Event::Enough | Event::NextActivate | Event::NextUpload | Event::HostOnly,
        ) => {
            texts.push(plain(match version {
                "" => "Firmware activation successful.".to_string(),
                version => format!("Firmware {version} activation successful."),
            }));
        }
        (State::Activate, Event::Good) => {
            texts.push(detail(format!("rflash {version} started, please wait...")))
        }
        (State::Reset, Event::Good | Event::Gone) => texts.push(plain("BMC reboot".into())),
        (State::Back, Event::Good | Event::Enough | Event::NextUpload) => {
            texts.push(plain("BMC Ready".into()))
        }
        (State::HostOn, Event::Good) => texts.push(plain("reset".into())),
        (State::OnWait, Event::Enough) => texts.push(plain("on".into())),
        _ => {}
    }
    texts
}

/// The block at the end of `-a` and `-d`.
pub fn summary<'a>(nodes: impl Iterator<Item = &'a Node> + Clone) -> Vec<String> {
    let total = nodes.clone().count();
    let failed: Vec<&Node> = nodes.filter(|node| node.state != State::Good).collect();
    let mut lines = vec![
        RULE.to_string(),
        format!(
            "Firmware update complete: Total={total} Success={} Failed={}",
            total - failed.len(),
            failed.len()
        ),
    ];
    for node in failed {
        lines.push(format!("{}: {}", node.node, program::escape(&node.why)));
    }
    lines.push(RULE.to_string());
    lines
}

fn version<'a>(plan: &'a Plan, node: &Node) -> &'a str {
    plan.images
        .get(node.image)
        .map_or("", |image| image.manifest.version.as_str())
}
