//! Programs of ours that a shell does not find, because another one has the same name.

use std::path::{Path, PathBuf};

use xcat_tables::Tables;

use crate::cluster::Cluster;
use crate::programs::{NAMES, is_command};
use crate::shell::word;
use crate::{Check, Finding, Host};

pub(crate) fn look(_: &Tables, host: &Host, _: &Cluster, check: &mut Check) -> Result<(), String> {
    for name in NAMES {
        let Some(ours) = host.programs.find(name) else {
            continue;
        };
        let shown = ours.display();
        let found = first(host, name);
        let other = found.filter(|found| !same(found, &ours));
        let take = format!(
            "xtab doctor --take-over {name}, or call {}",
            word(&shown.to_string())
        );
        let mut wrong = |what, fix| check.findings.push(Finding::new(name, what, fix));
        if host.programs.is_taken(name) {
            match other {
                None => {
                    let what = format!(
                        "taken over: a login shell finds {shown}; xtab doctor --give-back {name} ends that"
                    );
                    check.facts.push((name.into(), what));
                }
                Some(other) => wrong(
                    format!(
                        "taken over, and {} is found first, not {shown}",
                        other.display()
                    ),
                    format!(
                        "log in again: {} is read then",
                        host.programs.profile.display()
                    ),
                ),
            }
            continue;
        }
        let xcats = || xcats(host, name).filter(|other| !same(other, &ours));
        let clashing = ours.parent() == Some(host.programs.clashing.as_path());
        match other.or_else(xcats) {
            // As it was installed: xCAT's keeps the name until somebody wants ours.
            Some(other) if clashing => {
                let what = format!("a shell finds {}; ours is {shown}: {take}", other.display());
                check.facts.push((name.into(), what));
            }
            Some(other) if first(host, name).as_ref() == Some(&other) => wrong(
                format!("{} is found first, not {shown}", other.display()),
                take,
            ),
            Some(other) => wrong(
                format!(
                    "{} has the same name: a shell with xCAT's profile finds that one",
                    other.display()
                ),
                take,
            ),
            None if clashing && first(host, name).is_none() => {
                wrong(format!("no shell finds it: it is {shown}"), take);
            }
            None => {}
        }
    }
    Ok(())
}

/// What a shell finds.
fn first(host: &Host, name: &str) -> Option<PathBuf> {
    std::env::split_paths(&host.path)
        .map(|directory| directory.join(name))
        .find(|path| is_command(path))
}

fn xcats(host: &Host, name: &str) -> Option<PathBuf> {
    ["bin", "sbin"]
        .iter()
        .map(|directory| host.xcat_root.join(directory).join(name))
        .find(|path| is_command(path))
}

fn same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
