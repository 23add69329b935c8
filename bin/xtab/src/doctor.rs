//! `xtab doctor`: a line per finding, with what mends it.

use std::path::PathBuf;

use ::doctor::{Check, Host, Programs, TakeOverError, examine};
use anyhow::Context;
use node_report::Place;
use program::{Output, Usage, complain, escape, exit, paths};
use serde_json::json;
use xcat_tables::Tables;

/// Where the programs are that have an xCAT command's name; `make LIBEXECDIR=...` builds another one in.
const CLASHING: &str = match option_env!("NODETOOLS_LIBEXECDIR") {
    Some(directory) => directory,
    None => "/usr/libexec/xcat-nodetools",
};

/// Prints what is worth knowing, then what is wrong.
pub(crate) fn doctor(out: &mut Output, tables: &Tables, json: bool) -> anyhow::Result<u8> {
    let checks = examine(tables, &host()?)?;
    for check in &checks {
        print(out, check, json);
    }
    match checks.iter().all(|check| check.findings.is_empty()) {
        true => Ok(exit::DONE),
        false => Ok(exit::SOME_FAILED),
    }
}

/// From the next login on, shells find our program.
pub(crate) fn take_over(out: &mut Output, name: &str) -> anyhow::Result<u8> {
    let program = programs()?.take_over(name).map_err(refused)?;
    out.line(&format!(
        "{name}: is {} from the next login on",
        escape(&program.display().to_string())
    ));
    Ok(exit::DONE)
}

/// The way back.
pub(crate) fn give_back(out: &mut Output, name: &str) -> anyhow::Result<u8> {
    programs()?.give_back(name).map_err(refused)?;
    out.line(&format!("{name}: is no longer ours from the next login on"));
    Ok(exit::DONE)
}

/// Stores what waits in the spool, and removes claims that nobody living has.
pub(crate) fn release_claims(out: &mut Output, tables: Tables) -> anyhow::Result<u8> {
    let place = Place::open(tables)?;
    let stored = place.apply();
    for done in &stored.applied {
        out.line(&format!("{}: its report is stored", escape(&done.node)));
    }
    for (node, why) in &stored.rejected {
        complain(
            crate::NAME,
            &format!("{node}: its report is put aside: {why}"),
        );
    }
    for claim in place.forget()? {
        out.line(&format!(
            "{}: released, claimed by {}",
            escape(&claim.node),
            escape(&claim.holder_text())
        ));
    }
    match stored.failed {
        Some(error) => Err(error.into()),
        None => Ok(exit::DONE),
    }
}

fn refused(error: TakeOverError) -> anyhow::Error {
    match error {
        TakeOverError::Unknown(_) => Usage(error.to_string()).into(),
        other => other.into(),
    }
}

fn print(out: &mut Output, check: &Check, json: bool) {
    let name = check.name;
    for (subject, what) in &check.facts {
        out.line(&match json {
            true => json!({ "check": name, "subject": subject, "fact": what }).to_string(),
            false => format!("{name}: {}: {}", escape(subject), escape(what)),
        });
    }
    for found in &check.findings {
        let (subject, what, fix) = (&found.subject, &found.what, &found.fix);
        out.line(&match json {
            true => {
                json!({ "check": name, "subject": subject, "what": what, "fix": fix }).to_string()
            }
            false => format!(
                "{name}: {}: WRONG: {}: FIX: {}",
                escape(subject),
                escape(what),
                escape(fix)
            ),
        });
    }
}

fn host() -> anyhow::Result<Host> {
    let cfgloc = paths::under("/etc/xcat/cfgloc");
    let named = std::env::var_os("XCATCFG").is_some_and(|setting| !setting.is_empty());
    Ok(Host {
        proc: "/proc".into(),
        path: std::env::var_os("PATH").unwrap_or_default(),
        xcat_root: paths::xcat_root(),
        programs: programs()?,
        run_dir: paths::run_dir(),
        setting: match (named, cfgloc.symlink_metadata().is_ok()) {
            (true, _) => "XCATCFG".into(),
            (false, true) => cfgloc.display().to_string(),
            (false, false) => "nobody: it is the usual place".into(),
        },
    })
}

fn programs() -> anyhow::Result<Programs> {
    let program = std::env::current_exe().context("this program")?;
    Ok(Programs {
        directory: program.parent().map_or_else(PathBuf::new, PathBuf::from),
        clashing: CLASHING.into(),
        taken: paths::config_dir().join("take-over"),
        profile: paths::under("/etc/profile.d"),
    })
}
