//! `xtab doctor`: a line per finding, with what mends it.

use std::path::PathBuf;

use ::doctor::{Check, Host, examine};
use anyhow::Context;
use program::{Output, escape, exit, paths};
use serde_json::json;
use xcat_tables::Tables;

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
    let program = std::env::current_exe().context("this program")?;
    let programs = program.parent().map_or_else(PathBuf::new, PathBuf::from);
    let cfgloc = paths::under("/etc/xcat/cfgloc");
    let named = std::env::var_os("XCATCFG").is_some_and(|setting| !setting.is_empty());
    Ok(Host {
        proc: "/proc".into(),
        path: std::env::var_os("PATH").unwrap_or_default(),
        xcat_root: paths::xcat_root(),
        programs,
        run_dir: paths::run_dir(),
        setting: match (named, cfgloc.symlink_metadata().is_ok()) {
            (true, _) => "XCATCFG".into(),
            (false, true) => cfgloc.display().to_string(),
            (false, false) => "nobody: it is the usual place".into(),
        },
    })
}
