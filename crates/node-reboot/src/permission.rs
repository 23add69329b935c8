//! May the caller reboot these nodes? The first step of every start; a front cannot pass it by.

use fork_worker::privilege::user_name;
use program::syslog::{Level, log};
use xcat_tables::Tables;
use xcat_tables::policy::{Call, Policy, Request, Verdict};

use crate::privileged::arguments;
use crate::request::{BootDevice, Caller, Options};

/// Nothing is done for any node.
#[derive(Debug, thiserror::Error)]
#[error("not permitted: {0}")]
pub struct Denied(pub String);

/// Passes if `caller` may reboot each of `nodes`, by the name of the real user and xCAT's policy; one
/// that it may not refuses the whole request. Root that acts for nobody may all.
pub fn check(
    tables: &Tables,
    caller: &Caller,
    nodes: &[String],
    options: &Options,
) -> Result<(), Denied> {
    let asked = Asked {
        command: "nodereboot",
        arguments: arguments(options),
        stands_for: stands_for(options),
    };
    judge(tables, caller, nodes, asked)
}

/// What a caller asks for, in policy's words.
#[derive(Debug)]
pub struct Asked {
    /// Our own command.
    pub command: &'static str,
    /// Its arguments, which a rule's `parameters` are matched with.
    pub arguments: Vec<String>,
    /// Without any rule for our command each of these must be allowed.
    pub stands_for: Vec<Call>,
}

/// As [`check`], for another command that works on nodes.
pub fn judge(
    tables: &Tables,
    caller: &Caller,
    nodes: &[String],
    asked: Asked,
) -> Result<(), Denied> {
    let uid = match (caller.effective, caller.behind) {
        (0, None | Some(0)) => return Ok(()),
        (0, Some(uid)) => uid,
        _ => {
            return Err(Denied(
                "root's rights are needed, and there are none".into(),
            ));
        }
    };
    let user = match user_name(uid) {
        Ok(Some(name)) => name,
        Ok(None) => return Err(Denied(format!("user id {uid} has no name"))),
        Err(error) => return Err(Denied(format!("user id {uid}: {error}"))),
    };
    let arguments = &asked.arguments;
    let request = Request {
        user,
        hosts: hosts(),
        call: Call::new(asked.command, arguments.iter().map(String::as_str)),
        stands_for: asked.stands_for,
        nodes: nodes.to_vec(),
    };
    let policy = Policy::read(tables).map_err(|error| Denied(error.to_string()))?;
    let verdict = policy.judge(&request);
    let (level, word) = match &verdict {
        Verdict::Allowed => (Level::Info, "allowed".to_string()),
        Verdict::Refused { why } => (Level::Warning, format!("refused: {why}")),
    };
    let folded = noderange::fold(nodes.iter().map(String::as_str));
    let (user, arguments) = (&request.user, arguments.join(" "));
    // Who and what, before anything is done.
    log(
        asked.command,
        level,
        &format!("{user} ({uid}): {word}: {arguments} {folded}"),
    );
    match verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Refused { why } => Err(Denied(why)),
    }
}

/// What it comes to in xCAT's commands, each with the arguments that policy may speak of.
fn stands_for(options: &Options) -> Vec<Call> {
    let mut calls: Vec<Call> = ["stat", "softoff", "off", "on"]
        .into_iter()
        .filter(|verb| *verb != "softoff" || !options.at_once)
        .map(|verb| Call::new("rpower", [verb]))
        .collect();
    calls.extend(options.boot.map(|device| {
        let word = match device {
            BootDevice::DirectNetwork => return Call::new("rnetboot", []),
            BootDevice::Network => "net",
            BootDevice::Disk => "hd",
            BootDevice::None => "default",
        };
        Call::new("rsetboot", [word])
    }));
    if options.configure {
        calls.push(Call::new("updatenode", []));
    }
    calls
}

/// The names of this host: a request comes from nowhere else.
fn hosts() -> Vec<String> {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    let short = name.split('.').next().unwrap_or_default().to_string();
    if short == name {
        vec![name]
    } else {
        vec![name, short]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn caller(effective: u32, behind: Option<u32>) -> Caller {
        Caller {
            effective,
            real: effective,
            behind,
        }
    }

    #[test]
    fn root_may_and_nobody_else_by_default() {
        let dir = tempfile::tempdir().unwrap();
        let tables = Tables::open(&xcat_tables::Location::sqlite(dir.path())).unwrap();
        let nodes = ["n1".to_string()];
        let check = |caller| check(&tables, &caller, &nodes, &Options::default());
        check(caller(0, None)).unwrap();
        check(caller(0, Some(0))).unwrap();
        for (denied, why) in [
            (caller(1, None), "root's rights are needed"),
            (caller(1, Some(0)), "root's rights are needed"),
            // nobody has no row; no row is no permission.
            (caller(0, Some(65534)), "no policy row allows rpower on n1"),
            (caller(0, Some(u32::MAX)), "has no name"),
        ] {
            let text = check(denied).unwrap_err().to_string();
            assert!(
                text.starts_with("not permitted: ") && text.contains(why),
                "{text}"
            );
        }
    }

    #[test]
    fn what_a_request_stands_for() {
        let text = |options: &Options| {
            let calls = stands_for(options);
            let words = calls
                .iter()
                .map(|call| format!("{} {}", call.command, call.arguments.join(" ")));
            words.collect::<Vec<_>>().join(",")
        };
        assert_eq!(
            text(&Options::default()),
            "rpower stat,rpower softoff,rpower off,rpower on"
        );
        let options = Options {
            at_once: true,
            boot: Some(BootDevice::Disk),
            ..Options::default()
        };
        assert_eq!(
            text(&options),
            "rpower stat,rpower off,rpower on,rsetboot hd"
        );
        let options = Options {
            at_once: true,
            boot: Some(BootDevice::DirectNetwork),
            ..Options::default()
        };
        assert_eq!(text(&options), "rpower stat,rpower off,rpower on,rnetboot ");
    }
}
