//! What changes something: a move, its rest after a crash, its way back.

use anyhow::{Context, bail};
use program::{complain, exit};
use service_node_move::journal::{Journals, Record};
use service_node_move::mover::{self, Results};
use service_node_move::{Error, Facts, Installed, Plan, Request, Said, ThisHost};
use xcat_tables::Tables;

use crate::NAME;
use crate::args::Args;
use crate::request::request;
use crate::speaker::{Speaker, fold};

/// Everything that one run holds.
pub(crate) struct Work<'a> {
    pub(crate) args: &'a Args,
    pub(crate) tables: &'a Tables,
    pub(crate) host: ThisHost,
    pub(crate) commands: Installed,
    pub(crate) speaker: Speaker,
}

impl Work<'_> {
    /// Plans and carries out; or finishes what the same request began before.
    pub(crate) fn go(&mut self) -> anyhow::Result<u8> {
        let request = request(self.args, self.tables)?;
        let asked = service_node_move::asked(&request);
        let journals = Journals::open()?;
        let records = journals.records()?;
        if let Some(record) = mover::unfinished(&records, |plan| plan.asked == asked) {
            return self.finish(&journals, record);
        }
        if let Some(other) = mover::unfinished(&records, |_| true) {
            let nodes = fold(&other.plan.nodes());
            let text = format!(
                "{}: was not finished ({nodes}): snmove {} does the rest, snmove --undo {} takes it back",
                other.id,
                other.plan.asked.trim(),
                other.id
            );
            complain(NAME, &text);
        }
        if !self.args.liteonly {
            let text = "Moving nodes to their backup service nodes.";
            self.speaker.say(Said::Info(text.to_string()));
        }
        match self.decide(&request, &records)? {
            Some(plan) => self.begin(&journals, &plan),
            None => Ok(exit::SOME_FAILED),
        }
    }

    /// `--apply`: a plan as it was stored.
    pub(crate) fn carry_out(&mut self, plan: &Plan) -> anyhow::Result<u8> {
        let journals = Journals::open()?;
        let records = journals.records()?;
        match mover::unfinished(&records, |other| other == plan) {
            Some(record) => self.finish(&journals, record),
            None => self.begin(&journals, plan),
        }
    }

    fn begin(&mut self, journals: &Journals, plan: &Plan) -> anyhow::Result<u8> {
        plan.warnings.iter().for_each(|text| complain(NAME, text));
        if !plan.settled.is_empty() {
            let text = format!("{}: already there: nothing to do", fold(&plan.settled));
            complain(NAME, &text);
        }
        if plan.is_empty() {
            return Ok(exit::DONE);
        }
        program::guard(plan.moves.len(), self.args.max_nodes, "move")?;
        for text in plan.failures.iter().chain(&plan.stays) {
            complain(NAME, text);
        }
        let text = "Setting new values in the xCAT database.";
        self.speaker.say(Said::Info(text.to_string()));
        let say = &mut |said| self.speaker.say(said);
        let results = mover::carry_out(self.tables, journals, plan, &mut self.commands, say)?;
        summary(self.args, plan, &results)
    }

    fn finish(&mut self, journals: &Journals, record: &Record) -> anyhow::Result<u8> {
        let text = format!("{}: was not finished: the rest is done now", record.id);
        complain(NAME, &text);
        let say = &mut |said| self.speaker.say(said);
        let results = mover::finish(self.tables, journals, record, &mut self.commands, say)
            .with_context(|| format!("{}: snmove --undo {} gives it up", record.id, record.id))?;
        summary(self.args, &record.plan, &results)
    }

    /// `--undo`: the rows of a move as they were.
    pub(crate) fn undo(&mut self, id: &str) -> anyhow::Result<u8> {
        let journals = Journals::open()?;
        let records = journals.records()?;
        let found = match id {
            "" => records.iter().rev().find(|record| !record.is_undone()),
            id => records.iter().find(|record| record.id == id),
        };
        let Some(record) = found else {
            let subject = if id.is_empty() { "--undo" } else { id };
            bail!("{subject}: there is no such move");
        };
        if record.is_undone() {
            bail!("{}: was taken back before", record.id);
        }
        let left = mover::undo(self.tables, &journals, record)?;
        for place in &left {
            let text = format!("{place}: was changed since: it stays as it is");
            complain(NAME, &text);
        }
        let nodes = fold(&record.plan.nodes());
        let text = format!("{}: rows put back: {nodes}", record.id);
        self.speaker.out.line(&text);
        let text =
            "only rows were put back: boot files, routes and scripts are as the move left them";
        complain(NAME, &format!("{nodes}: {text}"));
        Ok(if left.is_empty() {
            exit::DONE
        } else {
            exit::SOME_FAILED
        })
    }

    /// The plan; none if it was refused, which has been said then.
    pub(crate) fn decide(
        &self,
        request: &Request,
        records: &[Record],
    ) -> anyhow::Result<Option<Plan>> {
        let facts = Facts::read(self.tables, request)?;
        if let (true, Some(record)) = (
            facts.nodes.is_empty(),
            mover::done(records, &service_node_move::asked(request)),
        ) {
            let mut plan = record.plan.clone();
            plan.clear();
            return Ok(Some(plan));
        }
        match service_node_move::plan(&facts, request, &mover::moved(records), &self.host) {
            Ok(plan) => Ok(Some(plan)),
            Err(Error::Refused(reasons)) => {
                reasons.iter().for_each(|reason| complain(NAME, reason));
                complain(NAME, "nothing was changed");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn summary(args: &Args, plan: &Plan, results: &Results) -> anyhow::Result<u8> {
    let failed = noderange::fold(results.failed.keys().map(String::as_str));
    if let Some(path) = &args.failed_to {
        program::write_failed(path, &failed).with_context(|| path.display().to_string())?;
    }
    let nodes = plan.nodes();
    let moved = fold(&nodes);
    let tail = if failed.is_empty() {
        String::new()
    } else {
        format!("; a step failed for {failed}")
    };
    complain(
        NAME,
        &format!(
            "{} moved: {moved}{tail} (snmove --undo {})",
            nodes.len(),
            results.id
        ),
    );
    let all_good = results.failed.is_empty() && plan.failures.is_empty();
    Ok(if all_good {
        exit::DONE
    } else {
        exit::SOME_FAILED
    })
}
