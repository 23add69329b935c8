//! A plan is carried out, noted step by step, finished after a crash, taken back.

use std::collections::BTreeMap;

use xcat_tables::Tables;

use crate::apply;
use crate::journal::{Journal, Journals, Note, Record};
use crate::run::{Commands, Said, take};
use crate::{Error, Plan};

/// What came of a move.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Results {
    /// By which `--undo` finds it.
    pub id: String,
    /// The nodes for which a step failed, with the first reason. Their rows are changed all the same.
    pub failed: BTreeMap<String, String>,
}

/// Carries a plan out: journal, all rows in one transaction, then the steps.
///
/// # Errors
/// [`Error::Conflict`] and others before or in the write: nothing was changed. Steps that fail are in the results.
pub fn carry_out(
    tables: &Tables,
    journals: &Journals,
    plan: &Plan,
    commands: &mut dyn Commands,
    say: &mut dyn FnMut(Said),
) -> Result<Results, Error> {
    let mut journal = journals.begin(plan)?;
    if let Err(error) = write(tables, plan) {
        // It never began, and a later run must not try to finish it. Unless it did: a connection that was lost at the
        // commit does not tell.
        if matches!(apply::is_written(tables, plan), Ok(false)) {
            journal.note(&Note::Undone(Vec::new()))?;
        }
        return Err(error);
    }
    journal.note(&Note::Written)?;
    steps(plan, 0, &mut journal, commands, say)
}

/// Finishes a move that was killed: writes what was not written, takes the steps that were not noted (one of them may
/// have been taken: each may be taken twice).
///
/// # Errors
/// As [`carry_out`].
pub fn finish(
    tables: &Tables,
    journals: &Journals,
    record: &Record,
    commands: &mut dyn Commands,
    say: &mut dyn FnMut(Said),
) -> Result<Results, Error> {
    let mut journal = journals.resume(&record.id)?;
    if !record.is_written() {
        write(tables, &record.plan)?;
        journal.note(&Note::Written)?;
    }
    let mut results = steps(
        &record.plan,
        record.next_step(),
        &mut journal,
        commands,
        say,
    )?;
    for note in &record.notes {
        if let Note::Step(_, failed) = note {
            results.failed.extend(failed.clone());
        }
    }
    Ok(results)
}

/// Puts a move's rows back where they still hold what it wrote; returns the others, as `table.column of node`.
/// What its steps did on nodes and servers stays as it is.
///
/// # Errors
/// [`Error::Journal`] if it was taken back before; what the tables say.
pub fn undo(tables: &Tables, journals: &Journals, record: &Record) -> Result<Vec<String>, Error> {
    let mut journal = journals.resume(&record.id)?;
    let left = apply::take_back(tables, &record.plan)?;
    journal.note(&Note::Undone(left.clone()))?;
    Ok(left)
}

/// The newest unfinished move that fits.
pub fn unfinished(records: &[Record], fits: impl Fn(&Plan) -> bool) -> Option<&Record> {
    records
        .iter()
        .rev()
        .find(|record| record.is_unfinished() && fits(&record.plan))
}

/// The newest move of the same request, if it was finished and not taken back.
pub fn done<'r>(records: &'r [Record], asked: &str) -> Option<&'r Record> {
    let newest = records
        .iter()
        .rev()
        .find(|record| record.plan.asked == asked);
    newest.filter(|record| !record.is_unfinished() && !record.is_undone())
}

/// The nodes that were moved to the second of their list, and where to: asking for that again would move them back.
pub fn moved(records: &[Record]) -> BTreeMap<String, String> {
    let mut moved = BTreeMap::new();
    for record in records {
        for each in &record.plan.moves {
            if record.plan.by_pool && !record.is_undone() {
                moved.insert(each.node.clone(), each.to.clone());
            } else {
                moved.remove(&each.node);
            }
        }
    }
    moved
}

fn write(tables: &Tables, plan: &Plan) -> Result<(), Error> {
    if plan.changes.is_empty() {
        return Ok(());
    }
    apply::write(tables, plan)
}

fn steps(
    plan: &Plan,
    first: usize,
    journal: &mut Journal,
    commands: &mut dyn Commands,
    say: &mut dyn FnMut(Said),
) -> Result<Results, Error> {
    let mut results = Results {
        id: journal.id.clone(),
        ..Results::default()
    };
    for (number, step) in plan.steps.iter().enumerate().skip(first) {
        if let Some(text) = step.verb.announcement() {
            say(Said::Info(text.to_string()));
        }
        let outcome = take(step, commands, say);
        journal.note(&Note::Step(number, outcome.failed.clone()))?;
        for (node, why) in outcome.failed {
            results.failed.entry(node).or_insert(why);
        }
    }
    journal.note(&Note::Ended)?;
    Ok(results)
}
