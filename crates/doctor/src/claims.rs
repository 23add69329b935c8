//! Claims on nodes that nobody waits for any more.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use node_report::{CLAIMS, Life, Me, PrivateDir, alive, claims};
use xcat_tables::Tables;

use crate::cluster::{Cluster, fold};
use crate::{Check, Finding, Host, said};

pub(crate) fn look(
    tables: &Tables,
    host: &Host,
    _: &Cluster,
    check: &mut Check,
) -> Result<(), String> {
    let all = claims(tables).map_err(said)?;
    let me = Me::here().map_err(said)?;
    let run = PrivateDir::existing(&host.run_dir).map_err(said)?;
    // The database's own clock would need a transaction. A claim lasts half an hour, clocks agree
    // better than that, and nothing is done here.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(said)?;
    let now = i64::try_from(now.as_secs()).map_err(said)?;
    let (mut live, mut stale): (usize, BTreeMap<String, Vec<String>>) = (0, BTreeMap::new());
    for (node, claim) in all {
        let life = claim.judge(&me, now, |pid| {
            run.as_ref().is_some_and(|run| alive(run, pid))
        });
        if life == Life::Dead {
            stale.entry(claim.holder_text()).or_default().push(node);
        } else {
            live += 1;
        }
    }
    if live > 0 {
        check
            .facts
            .push((CLAIMS.into(), format!("{live} nodes are waited for")));
    }
    for (holder, nodes) in stale {
        let nodes = fold(&nodes);
        let fix =
            format!("xtab set -d {nodes} {CLAIMS}, or leave it to the next getadapter of theirs");
        check.findings.push(Finding::new(
            nodes,
            format!("claimed by {holder}, which is gone"),
            fix,
        ));
    }
    Ok(())
}
