//! The start-up checks, in their order, and the program.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;

use fork_worker::inherited::{adopt_pipe_of, open_standard_streams};
use fork_worker::privilege::{
    Errand, Ids, clear_environment, new_privileges_are_off, run, settle, user_name,
};

use crate::args::Request;
use crate::{NOTHING, USAGE, installed, say};

/// The pipe to whoever called: its number comes in this variable, and goes on in it as 3.
const PIPE: &str = "REBOOTPIPENO";
/// The user behind a root process, as sudo has it.
const BEHIND: &str = "SUDO_UID";

/// Why nothing was done.
pub(crate) struct Refusal {
    /// The exit status.
    pub(crate) code: u8,
    /// Subject, what happened, why.
    pub(crate) why: String,
}

/// Does what is asked for; the exit status.
pub(crate) fn enter(request: &Request) -> Result<u8, Refusal> {
    let ids = Ids::here();
    if ids.effective != 0 {
        return Err(nothing(no_privilege()));
    }
    open_standard_streams().map_err(|error| nothing(format!("standard streams: {error}")))?;
    let user = caller(ids.real)?;
    let pipe = adopt_pipe_of(PIPE, user).map_err(|error| Refusal {
        code: USAGE,
        why: format!("{PIPE}: {error}"),
    })?;
    clear_environment();
    settle(pipe.as_ref()).map_err(|error| nothing(format!("inherited state: {error}")))?;
    let name = match user {
        0 => "root".into(),
        user => match user_name(user) {
            Ok(Some(name)) => name,
            Ok(None) => return Err(nothing(format!("user id {user}: has no name"))),
            Err(error) => return Err(nothing(format!("user id {user}: {error}"))),
        },
    };
    let program = installed::path(request.program);
    installed::check(&program).map_err(nothing)?;
    let mut args: Vec<OsString> = request.options.iter().map(OsString::from).collect();
    if let Some(nodes) = &request.nodes {
        args.extend(["--".into(), OsString::from(nodes)]);
    }
    say::log(&format!(
        "{name} ({user}): runs {} {} {}",
        program.display(),
        request.options.join(" "),
        request.nodes.as_deref().unwrap_or_default()
    ));
    let status = run(Errand {
        program: program.clone(),
        args,
        env: environment(user, pipe.is_some()),
        pipe,
        root: true,
        quiet: false,
    })
    .map_err(|error| nothing(error.to_string()))?;
    match status.code().map(u8::try_from) {
        Some(Ok(code)) => Ok(code),
        _ => {
            let signal = status.signal().unwrap_or_default();
            let why = format!("{}: was ended by signal {signal}", program.display());
            Err(nothing(why))
        }
    }
}

/// Who calls. Only root's own environment can say that root acts for somebody.
fn caller(real: u32) -> Result<u32, Refusal> {
    if real != 0 {
        return Ok(real);
    }
    match std::env::var_os(BEHIND) {
        None => Ok(0),
        Some(text) => text
            .to_str()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| nothing(format!("{BEHIND}: {text:?}: is no user id"))),
    }
}

fn no_privilege() -> String {
    let why = if std::env::var_os(PIPE).is_some() {
        "a caller without privilege has run this for its privilege, and there is none"
    } else {
        "there is none"
    };
    let cause = if new_privileges_are_off() {
        "no-new-privileges is on here (containers, service units), so the setuid bit has no effect"
    } else {
        "not installed setuid root, on a filesystem that has no nosuid, and not run by sudo"
    };
    format!("privilege: {why}: {cause}")
}

/// All that the program gets, and so all that its children can get.
fn environment(user: u32, pipe: bool) -> Vec<(OsString, OsString)> {
    let mut environment = vec![
        ("HOME".into(), "/root".into()),
        ("LANG".into(), "C".into()),
        ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
    ];
    if pipe {
        environment.push((PIPE.into(), "3".into()));
    }
    if user != 0 {
        environment.push((BEHIND.into(), user.to_string().into()));
    }
    environment
}

fn nothing(why: String) -> Refusal {
    Refusal { code: NOTHING, why }
}
