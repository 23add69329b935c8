//! Programs of ours that a shell does not find, because another one has the same name.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use xcat_tables::Tables;

use crate::cluster::Cluster;
use crate::shell::word;
use crate::{Check, Finding, Host};

/// All of them; those that are installed count.
const PROGRAMS: [&str; 10] = [
    "callbackd",
    "findadapter-agent",
    "getadapter",
    "nodereboot",
    "nodereboot-priv",
    "oneserver",
    "osload",
    "rflash",
    "snmove",
    "xtab",
];

pub(crate) fn look(_: &Tables, host: &Host, _: &Cluster, check: &mut Check) -> Result<(), String> {
    for name in PROGRAMS {
        let ours = host.programs.join(name);
        if !is_command(&ours) {
            continue;
        }
        if let Some(other) = before(host, &ours, name) {
            let fix = format!(
                "call {}, or put {} first in PATH",
                word(&ours.display().to_string()),
                host.programs.display()
            );
            let what = format!("{} is found first, not {}", other.display(), ours.display());
            check.findings.push(Finding::new(name, what, fix));
        } else if let Some(other) = xcats(host, name).filter(|other| !same(other, &ours)) {
            let what = format!(
                "{} has the same name: a shell with xCAT's profile finds that one",
                other.display()
            );
            let fix = format!("call {}", word(&ours.display().to_string()));
            check.findings.push(Finding::new(name, what, fix));
        }
    }
    Ok(())
}

/// What stands before ours in PATH.
fn before(host: &Host, ours: &Path, name: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&host.path)
        .map(|directory| directory.join(name))
        .find(|path| is_command(path))?;
    (!same(&found, ours)).then_some(found)
}

fn xcats(host: &Host, name: &str) -> Option<PathBuf> {
    ["bin", "sbin"]
        .iter()
        .map(|directory| host.xcat_root.join(directory).join(name))
        .find(|path| is_command(path))
}

/// A shell goes past what nobody may execute.
fn is_command(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

fn same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
