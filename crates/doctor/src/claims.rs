//! Claims on nodes that nobody waits for any more, and rows that are no claims.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use node_report::{CLAIMS, Claim, Life, Me, PrivateDir, alive};
use xcat_tables::{Row, Tables};

use crate::cluster::{Cluster, fold};
use crate::shell::word;
use crate::{Check, Finding, Host, said};

pub(crate) fn look(
    tables: &Tables,
    host: &Host,
    cluster: &Cluster,
    check: &mut Check,
) -> Result<(), String> {
    let rows = tables.rows(CLAIMS).map_err(said)?;
    let me = Me::here().map_err(said)?;
    let run = PrivateDir::existing(&host.run_dir).map_err(said)?;
    // The database's own clock would need a transaction. A claim lasts half an hour, clocks agree
    // better than that, and nothing is done here.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(said)?;
    let now = i64::try_from(now.as_secs()).map_err(said)?;
    let mut live: usize = 0;
    let mut wrong: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in &rows {
        let node = row.get("node").unwrap_or_default();
        let why = match senseless(row) {
            Some(why) => why,
            None => match Claim::from_row(row) {
                None => "says nothing of a process that waits".into(),
                Some(claim) => {
                    let life = claim.judge(&me, now, |pid| {
                        run.as_ref().is_some_and(|run| alive(run, pid))
                    });
                    if life != Life::Dead {
                        live += 1;
                        continue;
                    }
                    format!("claimed by {}, which is gone", claim.holder_text())
                }
            },
        };
        wrong.entry(why).or_default().push(node.into());
    }
    if live > 0 {
        check
            .facts
            .push((CLAIMS.into(), format!("{live} nodes are waited for")));
    }
    for (why, names) in wrong {
        // In a range a name of no node would be refused.
        let (nodes, others): (Vec<String>, Vec<String>) =
            names.into_iter().partition(|name| cluster.is_node(name));
        if !nodes.is_empty() {
            let nodes = fold(&nodes);
            let fix = format!(
                "xtab set -d {} {CLAIMS}, or leave it to the next getadapter of theirs",
                word(&nodes)
            );
            check.findings.push(Finding::new(nodes, &why, fix));
        }
        for name in others {
            let fix = format!("xtab set -d -k {} {CLAIMS}", word(&format!("node={name}")));
            check.findings.push(Finding::new(name, &why, fix));
        }
    }
    Ok(())
}

/// What is wrong with the word on who holds the claim. A waiter that is Perl leaves it empty.
fn senseless(row: &Row) -> Option<String> {
    let text = row.get("reserve")?;
    let words: Vec<&str> = text.split(' ').collect();
    let good = match words[..] {
        [host, boot, deadline, nonce] | [host, boot, deadline, nonce, _] => {
            let answered = words.get(4).is_none_or(|text| text.parse::<u64>().is_ok());
            let named = ![host, boot, nonce].contains(&"");
            named && answered && deadline.parse::<i64>().is_ok()
        }
        _ => false,
    };
    (!good).then(|| format!("reserve {text:?} is not: host, boot id, deadline, nonce"))
}
