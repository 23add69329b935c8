//! Rows of the policy table that do not mean what they say.

use xcat_tables::{Row, Tables};

use crate::cluster::Cluster;
use crate::shell::word;
use crate::{Check, Finding, Host, said};

/// What a row is asked; all but `rule` may be empty or `*`, for anything.
const CONDITIONS: [&str; 6] = [
    "name",
    "host",
    "commands",
    "parameters",
    "noderange",
    "time",
];

pub(crate) fn look(
    tables: &Tables,
    _: &Host,
    cluster: &Cluster,
    check: &mut Check,
) -> Result<(), String> {
    let policy = xcat_tables::policy::Policy::read(tables).map_err(said)?;
    for found in policy.findings() {
        let effect = match found.refuses {
            true => "; our programs refuse what it concerns",
            false => "",
        };
        check.findings.push(Finding::new(
            row(&found.priority),
            format!("{}: {}{effect}", found.column, found.why),
            mend(&found.priority, found.column),
        ));
    }
    let mut rows = tables.rows("policy").map_err(said)?;
    rows.sort_by(|a, b| place(a).total_cmp(&place(b)));
    for (at, later) in rows.iter().enumerate() {
        let priority = later.raw("priority").unwrap_or_default();
        // xCAT trusts its management nodes in a row of its own.
        let node = |name: &&str| cluster.is_node(name) && !cluster.masters.contains(*name);
        if let Some(name) = later.get("name").filter(node) {
            check.findings.push(Finding::new(
                row(priority),
                format!("name: {name} is a node: its certificate says the same name as the user's"),
                mend(priority, "name"),
            ));
        }
        if let Some(earlier) = rows[..at].iter().find(|earlier| covers(earlier, later)) {
            let first = earlier.raw("priority").unwrap_or_default();
            check.findings.push(Finding::new(
                row(priority),
                format!("is never reached: row {first:?} decides all that it is about"),
                format!(
                    "xtab set -d -k {} policy, or give it a priority before {first}",
                    key(priority)
                ),
            ));
        }
    }
    Ok(())
}

fn row(priority: &str) -> String {
    format!("row {priority:?}")
}

fn mend(priority: &str, column: &str) -> String {
    format!("xtab set -k {} policy.{column}=VALUE", key(priority))
}

fn key(priority: &str) -> String {
    word(&format!("priority={priority}"))
}

fn place(row: &Row) -> f64 {
    let text = row.raw("priority").unwrap_or_default();
    // What is no number is a finding already; xCAT takes it for 0.
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
        .unwrap_or(0.0)
}

/// True if the earlier row holds for everything that the later one does.
fn covers(earlier: &Row, later: &Row) -> bool {
    CONDITIONS.iter().all(|column| {
        let (wide, narrow) = (condition(earlier, column), condition(later, column));
        match (wide, narrow) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(wide), Some(narrow)) if *column == "commands" => {
                let wide: Vec<&str> = wide.split(',').collect();
                narrow.split(',').all(|command| wide.contains(&command))
            }
            (Some(wide), Some(narrow)) => wide == narrow,
        }
    })
}

fn condition<'r>(row: &'r Row, column: &str) -> Option<&'r str> {
    row.get(column).filter(|text| *text != "*")
}
