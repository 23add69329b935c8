//! Telling BMCs to boot from the network next: by xCAT's `rsetboot`, or by ourselves where it is not
//! installed.

use std::collections::BTreeMap;
use std::time::Duration;

use bmc::{BootDevice, Client, Settings, Target, Trust};
use fork_worker::{Crew, Job, Limits, What};
use xcat_tables::Tables;

use crate::arm::Results;
use crate::error::Error;
use crate::xcat;

/// Kinds of management whose BMC must be told to boot from the network (xcat-core: `rinstall` does it
/// for the first two; the third came later). Others do it by their boot order.
const BMC: [&str; 3] = ["ipmi", "openbmc", "redfish"];

/// One exchange with each BMC, many at once.
const EXCHANGE: Duration = Duration::from_secs(120);
/// BMCs that are spoken with at a time.
const FANOUT: usize = 1024;

/// Tells the BMCs of the nodes that went well so far. One that will not is its node's failure: the node
/// would boot something else.
pub(crate) fn from_network(tables: &Tables, results: &mut Results) -> Result<(), Error> {
    let good: Vec<String> = results
        .iter()
        .filter(|(_, done)| done.is_ok())
        .map(|(node, _)| node.clone())
        .collect();
    let kinds = tables.attribute("nodehm", "mgt", &good)?;
    let nodes: Vec<String> = good
        .into_iter()
        .filter(|node| {
            kinds
                .get(node)
                .is_some_and(|mgt| BMC.contains(&mgt.as_str()))
        })
        .collect();
    if nodes.is_empty() {
        return Ok(());
    }
    let Some(rsetboot) = program::paths::xcat_command("rsetboot") else {
        results.extend(ourselves(tables, &nodes)?);
        return Ok(());
    };
    let answers = xcat::run(&rsetboot, &nodes, &["net"], EXCHANGE)?;
    for node in nodes {
        let verdict = answers.verdict(&node);
        results.insert(
            node,
            verdict.unwrap_or_else(|| Err(answers.silence("rsetboot"))),
        );
    }
    Ok(())
}

/// A child for each BMC.
fn ourselves(tables: &Tables, nodes: &[String]) -> Result<Results, Error> {
    let settings = Settings::of_site(tables, &Trust::default(), bmc::Limits::default())?;
    let mut crew: Crew<String> = Crew::new(Limits::fanout(FANOUT));
    let mut results: Results = BTreeMap::new();
    for (node, target) in bmc::targets(tables, nodes)? {
        match target {
            Ok(target) => {
                let settings = settings.clone();
                let job = Job::new(move |_| tell(&target, &settings).map(|()| String::new()));
                crew.start(node, job.deadline(EXCHANGE));
            }
            Err(why) => {
                results.insert(node, Err(why.to_string()));
            }
        }
    }
    while !crew.is_idle() {
        for event in crew.wait(&[], None).map_err(Error::Workers)?.events {
            if let What::Ended(verdict) = event.what {
                let verdict = verdict.map(drop).map_err(|why| why.to_string());
                results.insert(event.key, verdict);
            }
        }
    }
    Ok(results)
}

fn tell(target: &Target, settings: &Settings) -> Result<(), String> {
    Client::connect(target, settings)
        .and_then(|mut client| client.boot_once(BootDevice::Network))
        .map(drop)
        .map_err(|why| why.to_string())
}
