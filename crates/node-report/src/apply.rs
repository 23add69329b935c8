//! From the spool to the tables. Any program of ours may do it, at any time, and being killed in the
//! middle costs nothing: the files go only after the commit, and applying one twice changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use adapter_facts::{Adapter, Facts, column};
use xcat_request::load::Told;
use xcat_tables::{Row, Tables, Transaction};

use crate::Error;
use crate::claim::{self, Claim, Life, Me};
use crate::inbox;
use crate::record::{Content, FileName, Report};
use crate::spool::{Lock, Spool, Unreadable};
use single_server::PrivateDir;

/// The table and the one column that a report changes.
pub const TABLE: &str = "nics";
/// See [`TABLE`].
pub const COLUMN: &str = "nicsadapter";

/// The most reports in one transaction: bounds the time that the tables are locked.
const BATCH: usize = 2_000;

/// What every part of this crate works with.
#[derive(Debug)]
pub struct Place {
    /// The tables.
    pub tables: Tables,
    /// The directory of FIFOs.
    pub run: PrivateDir,
    /// The reports on their way.
    pub spool: Spool,
    /// This process.
    pub me: Me,
    /// The nonce of our own claims: it counts for us to the last look, when the claims are gone.
    pub nonce: Option<String>,
}

/// A report that is in the table now.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The node.
    pub node: String,
    /// Its usable adapters; none: the column stayed as it was.
    pub adapters: Vec<Adapter>,
    /// What was not usable, named.
    pub dropped: Vec<String>,
    /// The column before.
    pub before: Option<String>,
}

/// What became of a look into the spool.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Stored, in the order of arrival.
    pub applied: Vec<Applied>,
    /// What nodes said of their disks, in the order of arrival. No table holds it; the newest of each
    /// node stays in the spool ([`Spool::last_load`]).
    pub told: Vec<(String, Told)>,
    /// Put aside: node and reason, for one line each in the log.
    pub rejected: Vec<(String, String)>,
    /// How many transactions that took.
    pub transactions: usize,
    /// What kept the rest in the spool, for the next time.
    pub failed: Option<Error>,
}

/// The stored adapters of each of `nodes` that has any.
pub fn columns(tables: &Tables, nodes: &[String]) -> Result<BTreeMap<String, String>, Error> {
    own_values(tables, TABLE, COLUMN, nodes)
}

/// What the nodes' own rows say in one column; groups do not count.
pub(crate) fn own_values(
    tables: &Tables,
    table: &str,
    column: &str,
    nodes: &[String],
) -> Result<BTreeMap<String, String>, Error> {
    let wanted: BTreeSet<&str> = nodes.iter().map(String::as_str).collect();
    Ok(values(&tables.rows(table)?, column, &wanted))
}

enum Fate {
    Store(Report, Facts),
    Tell(Report, Told),
    Reject(String),
    Outdated,
    NotNow,
    Gone,
}

impl Place {
    /// Opens run and state directories as [`program::paths`] has them.
    pub fn open(tables: Tables) -> Result<Place, Error> {
        let run = PrivateDir::open(&program::paths::run_dir())?;
        let spool = Spool::open(&program::paths::state_dir())?;
        let me = Me::here().map_err(|error| Error::Host(error.to_string()))?;
        Ok(Place {
            tables,
            run,
            spool,
            me,
            nonce: None,
        })
    }

    /// Applies what waits in the spool, except reports of nodes that another living process of this
    /// host waits for. What is committed is in the outcome even if the rest failed: tables that are
    /// busy leave the files for the next time.
    pub fn apply(&self) -> Outcome {
        let mut outcome = Outcome::default();
        let mut work = || -> Result<(), Error> {
            if self.spool.waiting()?.is_empty() {
                return Ok(());
            }
            let lock = self.spool.lock()?;
            self.apply_locked(&lock, &mut outcome)
        };
        outcome.failed = work().err();
        outcome
    }

    /// Removes claims of ours that count for nobody: their process is gone, or their deadline on another
    /// host. Rows of a Perl process are its own. Returns what was removed.
    ///
    /// # Errors
    /// If the tables cannot be changed; then nothing is.
    pub fn forget(&self) -> Result<Vec<Claim>, Error> {
        claim::forget(&self.tables, &self.run, &self.me)
    }

    /// [`Place::apply`] for whoever has the lock already.
    pub(crate) fn apply_locked(&self, _lock: &Lock, outcome: &mut Outcome) -> Result<(), Error> {
        let waiting = self.spool.waiting()?;
        for batch in waiting.chunks(BATCH) {
            self.apply_batch(batch, outcome)?;
        }
        Ok(())
    }

    fn apply_batch(
        &self,
        batch: &[(String, FileName)],
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let mut settled = Vec::new();
        let mut outdated = Vec::new();
        let mut rejected = Vec::new();
        let mut applied = Vec::new();
        let (mut loads, mut told) = (Vec::new(), Vec::new());
        let result = self.tables.transaction(&[TABLE, claim::TABLE], |change| {
            let now = change.now()?;
            let claims = claim::by_node(change)?;
            let mut newest: HashMap<String, u64> = HashMap::new();
            let before = batch_columns(change, batch)?;
            for (file, name) in batch {
                match self.fate(
                    file,
                    name,
                    claims.get(&name.node),
                    newest.get(&name.node),
                    now,
                ) {
                    Fate::Store(report, facts) => {
                        newest.insert(report.node.clone(), report.received);
                        self.store(change, &report, &facts, claims.get(&report.node), now)?;
                        settled.push((file.clone(), report.node.clone()));
                        applied.push(Applied {
                            before: before.get(&report.node).cloned(),
                            node: report.node,
                            adapters: facts.adapters,
                            dropped: facts.dropped,
                        });
                    }
                    Fate::Tell(report, what) => {
                        loads.push((file.clone(), report.node.clone()));
                        told.push((report.node, what));
                    }
                    Fate::Reject(why) => rejected.push((file.clone(), name.node.clone(), why)),
                    Fate::Outdated => outdated.push(file.clone()),
                    Fate::NotNow | Fate::Gone => {}
                }
            }
            Ok::<(), Error>(())
        });
        result?;
        // Committed: from here on it is an outcome, whatever becomes of the files.
        outcome.transactions += 1;
        outcome.applied.append(&mut applied);
        outcome.told.append(&mut told);
        for file in &outdated {
            self.spool.discard(file)?;
        }
        for (file, node, why) in rejected {
            self.spool.reject(&file, &node)?;
            outcome.rejected.push((node, why));
        }
        self.spool.settle_loads(&loads)?;
        Ok(self.spool.settle(&settled)?)
    }

    fn fate(
        &self,
        file: &str,
        name: &FileName,
        claim: Option<&Claim>,
        newer: Option<&u64>,
        now: i64,
    ) -> Fate {
        let life = claim.map(|claim| claim.life(&self.me, &self.run, now));
        if life == Some(Life::Here) {
            return Fate::NotNow;
        }
        let report = match self.spool.read(file) {
            None => return Fate::Gone,
            Some(Err(Unreadable::System(_))) => return Fate::NotNow,
            Some(Err(Unreadable::Content(why))) => return Fate::Reject(why),
            Some(Ok(report)) if report.node != name.node => {
                return Fate::Reject(format!("speaks of {}", report.node));
            }
            Some(Ok(report)) => report,
        };
        let facts = match report.content {
            Content::Load(ref told) => {
                let told = told.clone();
                return self.fate_of_load(report, told, claim);
            }
            Content::Adapters(ref facts) => facts.clone(),
        };
        let wanted = claim
            .map(|claim| claim.nonce.as_str())
            .filter(|nonce| !nonce.is_empty());
        let proven = match report.nonce.as_deref() {
            None => false,
            Some(nonce) if Some(nonce) == wanted || Some(nonce) == self.nonce.as_deref() => true,
            // Stored before, and the node did not hear of it, or its file came back in a crash.
            Some(_)
                if self
                    .spool
                    .last(&report.node)
                    .is_some_and(|last| last.nonce == report.nonce) =>
            {
                return Fate::Outdated;
            }
            Some(_) => return Fate::Reject("its nonce is of no present claim".into()),
        };
        // A clock that was set back must not hide what the present claim asked for.
        let stored = (!proven)
            .then(|| self.spool.applied_at(&report.node))
            .flatten();
        // What another host stored for this claim; our own stamps know nothing of that.
        let elsewhere = claim.filter(|claim| claim.done).map(|claim| claim.answered);
        if newer
            .copied()
            .max(stored)
            .max(elsewhere)
            .is_some_and(|newest| newest > report.received)
        {
            return Fate::Outdated;
        }
        Fate::Store(report, facts)
    }

    /// No table is changed by it, and its claim stays: whoever waits gives it back. So being killed in
    /// the middle leaves the file, or its place among the node's newest, and either is found.
    fn fate_of_load(&self, report: Report, told: Told, claim: Option<&Claim>) -> Fate {
        let nonce = report.nonce.as_deref().unwrap_or_default();
        // Of our own claims there is nothing in the tables any more at the last look.
        let ours = self.nonce.as_deref() == Some(nonce);
        let last = self.spool.last_load(&report.node);
        if last.is_some_and(|last| last.nonce == report.nonce && last.received >= report.received) {
            return Fate::Outdated;
        }
        let alive = |pid| inbox::alive(&self.run, pid);
        match claim::admit(claim, &self.me, alive, nonce, &told) {
            Err(why) if !ours => Fate::Reject(why),
            _ => Fate::Tell(report, told),
        }
    }

    fn store(
        &self,
        change: &Transaction<'_>,
        report: &Report,
        facts: &Facts,
        claim: Option<&Claim>,
        now: i64,
    ) -> Result<(), Error> {
        if let Some(text) = column::format(&facts.adapters) {
            change.put(
                TABLE,
                &[("node", report.node.as_str())],
                &[(COLUMN, Some(text.as_str()))],
            )?;
        }
        match claim {
            // Its adapters are no answer to who waits for its disk.
            Some(claim) if claim.is_load() => Ok(()),
            Some(claim) if claim.life(&self.me, &self.run, now) == Life::Elsewhere => {
                claim::mark_done(change, claim, report.received)
            }
            Some(claim) => claim::remove(change, claim),
            None => Ok(()),
        }
    }
}

/// The column of each node in the batch, as it is now.
fn batch_columns(
    change: &Transaction<'_>,
    batch: &[(String, FileName)],
) -> Result<BTreeMap<String, String>, Error> {
    let wanted: BTreeSet<&str> = batch.iter().map(|(_, name)| name.node.as_str()).collect();
    Ok(values(&change.rows(TABLE)?, COLUMN, &wanted))
}

fn values(rows: &[Row], column: &str, wanted: &BTreeSet<&str>) -> BTreeMap<String, String> {
    rows.iter()
        .filter_map(|row| {
            Some((
                row.get("node")
                    .filter(|node| wanted.contains(node))?
                    .to_string(),
                row.get(column)?.to_string(),
            ))
        })
        .collect()
}
