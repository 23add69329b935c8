//! snmove: moves nodes from one service node to another.

mod args;
mod show;

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Context, bail};
use program::{Output, Usage, complain, escape, exit};
use service_node_move::journal::{self, Journals, Record};
use service_node_move::mover::{self, Results};
use service_node_move::{
    Error, Facts, Installed, Plan, Request, Said, Scripts, ThisHost, World, verify,
};
use xcat_tables::{Location, Tables};

use args::Args;

const NAME: &str = "snmove";

fn main() -> ExitCode {
    program::run(NAME, snmove)
}

fn snmove(args: Args) -> anyhow::Result<u8> {
    args.check()?;
    if let Some(path) = &args.failed_to {
        program::may_write(path).with_context(|| format!("--failed-to: {}", path.display()))?;
    }
    let tables = Tables::open(&Location::find()?)?;
    let host = ThisHost::new(&tables)?;
    if !args.plan && !args.verify {
        on_management_node(&tables, &host)?;
    }
    let mut work = Work {
        args: &args,
        tables: &tables,
        commands: Installed::new(host.clone()),
        host,
        speaker: Speaker {
            out: Output::new(),
            verbose: args.verbose,
        },
    };
    let code = match (&args.undo, &args.apply) {
        (Some(id), _) => work.undo(id)?,
        (None, Some(path)) => {
            let plan = journal::read_plan(path)?;
            work.carry_out(&plan)?
        }
        (None, None) if args.plan => work.show()?,
        (None, None) if args.verify => work.verify()?,
        (None, None) => work.go()?,
    };
    work.speaker.out.finish().context("standard output")?;
    Ok(code)
}

/// Everything that one run holds.
struct Work<'a> {
    args: &'a Args,
    tables: &'a Tables,
    host: ThisHost,
    commands: Installed,
    speaker: Speaker,
}

impl Work<'_> {
    /// Plans and carries out; or finishes what the same request began before.
    fn go(&mut self) -> anyhow::Result<u8> {
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
    fn carry_out(&mut self, plan: &Plan) -> anyhow::Result<u8> {
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

    /// `--plan`: nothing is written.
    fn show(&mut self) -> anyhow::Result<u8> {
        let request = request(self.args, self.tables)?;
        let Some(plan) = self.decide(&request, &journal::look()?)? else {
            return Ok(exit::SOME_FAILED);
        };
        for text in plan.warnings.iter().chain(&plan.failures) {
            complain(NAME, text);
        }
        if self.args.json {
            self.speaker.out.line(&serde_json::to_string(&plan)?);
        } else {
            for line in show::lines(&plan) {
                self.speaker.out.line(&escape(&line));
            }
        }
        Ok(if plan.failures.is_empty() {
            exit::DONE
        } else {
            exit::SOME_FAILED
        })
    }

    /// `--verify`: nothing is written.
    fn verify(&mut self) -> anyhow::Result<u8> {
        let request = request(self.args, self.tables)?;
        let facts = Facts::read(self.tables, &request)?;
        let verdicts = verify::verify(self.tables, &facts, &self.host)?;
        for verdict in &verdicts {
            let line = if self.args.json {
                serde_json::to_string(verdict)?
            } else {
                show::line(verdict)
            };
            self.speaker.out.line(&escape(&line));
        }
        let reasons: Vec<String> = show::reasons(&verdicts).collect();
        reasons.iter().for_each(|reason| complain(NAME, reason));
        Ok(if reasons.is_empty() {
            exit::DONE
        } else {
            exit::SOME_FAILED
        })
    }

    /// The plan; none if it was refused, which has been said then.
    fn decide(&self, request: &Request, records: &[Record]) -> anyhow::Result<Option<Plan>> {
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

    fn undo(&mut self, id: &str) -> anyhow::Result<u8> {
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

fn request(args: &Args, tables: &Tables) -> anyhow::Result<Request> {
    let nodes = match args.noderange.first() {
        None => None,
        Some(range) => {
            let stdin = &mut std::io::stdin().lock();
            let nodes = tables.select(range, stdin, args.strict, &mut |warning| {
                complain(NAME, &warning.to_string());
            })?;
            if nodes.is_empty() {
                return Err(Usage(format!("{range}: names no node")).into());
            }
            Some(nodes)
        }
    };
    let mut request = Request::new(nodes, args.source.clone());
    request.old_master = args.sourcen.clone();
    request.destination = args.dest.clone();
    request.new_master = args.destn.clone();
    request.leave_nodes = args.ignorenodes;
    request.lite_only = args.liteonly;
    request.check_destination = !args.no_dest_check;
    request.strict_pool = args.strict_pool;
    request.scripts = match args.postscripts.as_deref() {
        None => Scripts::Usual,
        Some("all") => Scripts::All,
        Some(list) => Scripts::Also(list.split(',').map(String::from).collect()),
    };
    Ok(request)
}

/// Only the management node may change where nodes belong. Where no table says which host that is,
/// any is.
fn on_management_node(tables: &Tables, host: &ThisHost) -> anyhow::Result<()> {
    let Some(master) = tables.site("master")? else {
        return Ok(());
    };
    let own = host.own();
    let is_here = |address: &IpAddr| own.iter().any(|each| IpAddr::V4(each.address) == *address);
    if host.addresses(&master).iter().any(is_here) {
        return Ok(());
    }
    bail!(
        "{master}: is the management node, and this host is not: run it there (--plan is allowed anywhere)"
    );
}

fn fold(nodes: &[String]) -> String {
    noderange::fold(nodes.iter().map(String::as_str))
}

struct Speaker {
    out: Output,
    verbose: bool,
}

impl Speaker {
    fn say(&mut self, said: Said) {
        match said {
            Said::Info(text) => self.out.line(&escape(&text)),
            Said::Failed(text) => complain(NAME, &text),
            Said::Remark(text) if self.verbose => complain(NAME, &text),
            Said::Remark(_) => {}
        }
    }
}
