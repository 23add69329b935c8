//! Power by the nodes' management controllers, for a set of nodes: where xCAT is not installed.

use std::time::{Duration, Instant};

use bmc::{Settings, Target, Trust};
use fork_worker::{Crew, Job, Limits, What};
use xcat_tables::Tables;

use crate::controller;
use crate::error::Error;
use crate::plan::SPOKEN;
use crate::rpower::{Failed, Patience, all};
use crate::step::{Said, Step};

/// One exchange with a controller, with some to spare.
const EXCHANGE: Duration = Duration::from_secs(120);
/// Controllers that are spoken with at a time.
const FANOUT: usize = 1024;

/// The management controllers of nodes whose `nodehm.power`, or `nodehm.mgt`, is `ipmi`, `openbmc` or
/// `redfish`. Any other node fails by name.
#[derive(Debug, Clone)]
pub struct Controllers {
    tables: Tables,
    patience: Patience,
}

impl Controllers {
    /// None if the tables know no node that has such a controller.
    pub(crate) fn find(tables: &Tables) -> Result<Option<Controllers>, Error> {
        let rows = tables.rows("nodehm")?;
        let spoken = rows.iter().any(|row| {
            let kind = row.get("power").or_else(|| row.get("mgt"));
            kind.is_some_and(|kind| SPOKEN.contains(&kind))
        });
        Ok(spoken.then(|| Controllers {
            tables: tables.clone(),
            patience: Patience::default(),
        }))
    }

    /// The same with another patience.
    pub fn with_patience(self, patience: Patience) -> Controllers {
        Controllers { patience, ..self }
    }

    /// Cuts the power of nodes and waits until each has said twice in a row that it is off. Returns the
    /// nodes that are not known to be off.
    pub fn off_and_wait(&self, nodes: &[String]) -> Failed {
        let patience = self.patience;
        let limit = patience.limit + EXCHANGE;
        self.each(nodes, limit, move |target, settings| {
            off(target, settings, patience)
        })
    }

    /// Switches nodes on, and does not wait. Returns the nodes that did not take it.
    pub fn on(&self, nodes: &[String]) -> Failed {
        self.each(nodes, EXCHANGE, |target, settings| {
            let said = controller::act(Step::On, None, target, settings);
            said.map(drop).map_err(|why| format!("power on: {why}"))
        })
    }

    /// The nodes whose power cannot be read.
    pub(crate) fn unreadable(&self, nodes: &[String]) -> Failed {
        self.each(nodes, EXCHANGE, |target, settings| {
            let said = controller::act(Step::LookOff, None, target, settings);
            said.map(drop).map_err(|why| why.to_string())
        })
    }

    /// A child for each controller.
    fn each<W>(&self, nodes: &[String], limit: Duration, work: W) -> Failed
    where
        W: Fn(&Target, &Settings) -> Result<(), String> + Copy + 'static,
    {
        let settings = Settings::of_site(&self.tables, &Trust::default(), bmc::Limits::default());
        let found = settings.and_then(|settings| {
            let targets = bmc::targets(&self.tables, nodes)?;
            Ok((settings, targets))
        });
        let (settings, targets) = match found {
            Ok(found) => found,
            Err(why) => return all(nodes, &why.to_string()),
        };
        let mut crew: Crew<String> = Crew::new(Limits::fanout(FANOUT));
        let mut failed = Failed::new();
        for (node, target) in targets {
            match target {
                Ok(target) => {
                    let settings = settings.clone();
                    let job = Job::new(move |_| work(&target, &settings).map(|()| String::new()));
                    crew.start(node, job.deadline(limit));
                }
                Err(why) => drop(failed.insert(node, why.to_string())),
            }
        }
        while !crew.is_idle() {
            let seen = match crew.wait(&[], None) {
                Ok(seen) => seen,
                // What is not known to have gone well has failed.
                Err(why) => return all(nodes, &why.to_string()),
            };
            for event in seen.events {
                if let What::Ended(Err(why)) = event.what {
                    failed.insert(event.key, why.to_string());
                }
            }
        }
        failed
    }
}

/// In the child. A controller that does not answer for a moment is asked again.
fn off(target: &Target, settings: &Settings, patience: Patience) -> Result<(), String> {
    let until = Instant::now() + patience.limit;
    let mut last = match controller::act(Step::HardOff, None, target, settings) {
        Ok(Said::Done) => return Ok(()),
        Ok(_) => "on".to_string(),
        Err(why) => return Err(format!("power off: {why}")),
    };
    while Instant::now() < until {
        std::thread::sleep(patience.pause);
        match controller::act(Step::LookOff, None, target, settings) {
            Ok(Said::Done) => return Ok(()),
            Ok(Said::Reading(state)) => last = state,
            Ok(_) => {}
            Err(why) => last = why.to_string(),
        }
    }
    let seconds = patience.limit.as_secs();
    Err(format!("is not off after {seconds} s: {last}"))
}
