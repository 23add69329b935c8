//! Where the tables are, and whether others can read the passwords in them.

use std::os::unix::fs::PermissionsExt;

use xcat_tables::Tables;

use crate::cluster::Cluster;
use crate::shell::word;
use crate::{Check, Finding, Host, said};

/// Bits of a file that let others than its owner in.
const OTHERS: u32 = 0o077;

pub(crate) fn look(
    tables: &Tables,
    host: &Host,
    cluster: &Cluster,
    check: &mut Check,
) -> Result<(), String> {
    let location = tables.location();
    let nodes = cluster.nodes.len();
    check.facts.push((
        location.to_string(),
        format!("said by {}; {nodes} nodes", host.setting),
    ));
    let Some(directory) = location.directory() else {
        return Ok(());
    };
    // Service nodes have to reach the tables, and files are on one host.
    let service = tables.rows("servicenode").map_err(said)?;
    if !service.is_empty() {
        let what = format!(
            "{} service nodes, and SQLite is on one host only",
            service.len()
        );
        let fix = "move the tables to PostgreSQL: xcat-tables(5)";
        check
            .findings
            .push(Finding::new(location.to_string(), what, fix));
    }
    let mut open = Vec::new();
    for entry in directory.read_dir().map_err(said)? {
        let path = entry.map_err(said)?.path();
        let table = path.extension().is_some_and(|kind| kind == "sqlite");
        // Another program may just have removed it.
        if table
            && path
                .metadata()
                .is_ok_and(|file| file.permissions().mode() & OTHERS != 0)
        {
            open.push(path.display().to_string());
        }
    }
    open.sort_unstable();
    if let Some(first) = open.first() {
        let more = match open.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let fix = format!(
            "chmod go= {}/*.sqlite",
            word(&directory.display().to_string())
        );
        check.findings.push(Finding::new(
            format!("{first}{more}"),
            "others than the owner may open it",
            fix,
        ));
    }
    Ok(())
}
