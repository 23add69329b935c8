//! The resource agent: what a cluster resource manager asks, in its own exit codes.
//!
//! The manager decides where, the lock decides whether.

mod actions;
mod settings;

use program::Output;

use actions::Agent;
use settings::{Model, Settings};

/// Exit codes of the OCF resource agent API 1.1.
mod code {
    pub(super) const SUCCESS: u8 = 0;
    pub(super) const GENERIC: u8 = 1;
    pub(super) const ARGS: u8 = 2;
    pub(super) const UNIMPLEMENTED: u8 = 3;
    pub(super) const PERMISSION: u8 = 4;
    pub(super) const NOT_INSTALLED: u8 = 5;
    pub(super) const NOT_CONFIGURED: u8 = 6;
    pub(super) const NOT_RUNNING: u8 = 7;
    pub(super) const PROMOTED: u8 = 8;
    pub(super) const FAILED_PROMOTED: u8 = 9;
}

/// An exit code, and why for people.
#[derive(Debug)]
struct Refusal(u8, String);

/// Does what is asked for; its exit code.
pub(crate) fn act(action: &str, out: &mut Output) -> u8 {
    if action == "meta-data" {
        out.bytes(include_bytes!("metadata.xml"));
        return code::SUCCESS;
    }
    match done(action) {
        Ok(code) => code,
        Err(Refusal(code, why)) => {
            // What the manager shows.
            program::complain("ocf-exit-reason", &why);
            code
        }
    }
}

fn done(action: &str) -> Result<u8, Refusal> {
    let settings = Settings::read()?;
    let level = settings.level;
    if action == "validate-all" {
        return settings.validate(level >= 10).map(|()| code::SUCCESS);
    }
    let agent = Agent::new(settings);
    let promotable = agent.settings.model == Model::Promotable;
    match action {
        "start" => agent.start(),
        "stop" => agent.stop(),
        "monitor" | "status" => agent.monitor(level),
        "promote" if promotable => agent.promote(),
        "demote" if promotable => agent.demote(),
        "notify" if promotable => Ok(code::SUCCESS),
        "recover" => agent.recover(),
        "reload" => agent.reload(),
        // What is reloadable is read anew by each action.
        "reload-agent" => Ok(code::SUCCESS),
        _ => {
            let why = format!("{action}: is no action of this agent");
            Err(Refusal(code::UNIMPLEMENTED, why))
        }
    }
}
