//! snmove: moves nodes from one service node to another.

mod args;
mod show;

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Context, bail};
use program::{Output, Usage, complain, escape, exit};
use service_node_move::journal::{self, Journals, Record};
use service_node_move::mover::{self, Results};
use service_node_move::{Error, Facts, Installed, Plan, Request, Said, Scripts, ThisHost, World};
use xcat_tables::{Location, Tables};

use args::Args;

const NAME: &str = "snmove";

fn main() -> ExitCode {
    program::run(NAME, snmove)
}

fn snmove(args: Args) -> anyhow::Result<u8> {
    if let Some(path) = &args.failed_to {
        program::may_write(path).with_context(|| format!("--failed-to: {}", path.display()))?;
    }
    let tables = Tables::open(&Location::find()?)?;
    if !args.plan {
        on_management_node(&tables)?;
    }
    let mut speaker = Speaker {
        out: Output::new(),
        verbose: args.verbose,
    };
    let code = match (&args.undo, &args.apply) {
        (Some(id), _) => undo(&tables, id, &mut speaker)?,
        (None, Some(path)) => {
            let plan = journal::read_plan(path)?;
            carry_out(&args, &tables, &Journals::open()?, &plan, &mut speaker)?
        }
        (None, None) => go(&args, &tables, &mut speaker)?,
    };
    speaker.out.finish().context("standard output")?;
    Ok(code)
}

/// Plans, then shows or carries out.
fn go(args: &Args, tables: &Tables, speaker: &mut Speaker) -> anyhow::Result<u8> {
    let request = request(args, tables)?;
    if args.plan {
        return show(args, tables, &request, speaker);
    }
    let journals = Journals::open()?;
    let records = journals.records()?;
    if let Some(record) = mover::unfinished(&records, &service_node_move::asked(&request)) {
        complain(
            NAME,
            &format!("{}: was not finished: the rest is done now", record.id),
        );
        let say = &mut |said| speaker.say(said);
        let results = mover::finish(tables, &journals, record, &mut Installed, say)?;
        return summary(args, &record.plan, &results);
    }
    if !args.liteonly {
        let text = "Moving nodes to their backup service nodes.";
        speaker.say(Said::Info(text.to_string()));
    }
    match decide(tables, &request, &records)? {
        Some(plan) => carry_out(args, tables, &journals, &plan, speaker),
        None => Ok(exit::SOME_FAILED),
    }
}

/// `--plan`: nothing is written.
fn show(
    args: &Args,
    tables: &Tables,
    request: &Request,
    speaker: &mut Speaker,
) -> anyhow::Result<u8> {
    let Some(plan) = decide(tables, request, &journal::look()?)? else {
        return Ok(exit::SOME_FAILED);
    };
    for text in plan.warnings.iter().chain(&plan.failures) {
        complain(NAME, text);
    }
    if args.json {
        speaker.out.line(&serde_json::to_string(&plan)?);
    } else {
        for line in show::lines(&plan) {
            speaker.out.line(&escape(&line));
        }
    }
    Ok(if plan.failures.is_empty() {
        exit::DONE
    } else {
        exit::SOME_FAILED
    })
}

/// The plan; none if it was refused, which has been said then.
fn decide(tables: &Tables, request: &Request, records: &[Record]) -> anyhow::Result<Option<Plan>> {
    let facts = Facts::read(tables, request)?;
    match service_node_move::plan(
        &facts,
        request,
        &mover::moved(records),
        &ThisHost::new(tables)?,
    ) {
        Ok(plan) => Ok(Some(plan)),
        Err(Error::Refused(reasons)) => {
            reasons.iter().for_each(|reason| complain(NAME, reason));
            complain(NAME, "nothing was changed");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn carry_out(
    args: &Args,
    tables: &Tables,
    journals: &Journals,
    plan: &Plan,
    speaker: &mut Speaker,
) -> anyhow::Result<u8> {
    plan.warnings.iter().for_each(|text| complain(NAME, text));
    if !plan.settled.is_empty() {
        let settled = noderange::fold(plan.settled.iter().map(String::as_str));
        complain(NAME, &format!("{settled}: already there: nothing to do"));
    }
    if plan.is_empty() {
        return Ok(exit::DONE);
    }
    program::guard(plan.moves.len(), args.max_nodes, "move")?;
    for text in plan.failures.iter().chain(&plan.stays) {
        complain(NAME, text);
    }
    let text = "Setting new values in the xCAT database.";
    speaker.say(Said::Info(text.to_string()));
    let say = &mut |said| speaker.say(said);
    let results = mover::carry_out(tables, journals, plan, &mut Installed, say)?;
    summary(args, plan, &results)
}

fn summary(args: &Args, plan: &Plan, results: &Results) -> anyhow::Result<u8> {
    let failed = noderange::fold(results.failed.keys().map(String::as_str));
    if let Some(path) = &args.failed_to {
        program::write_failed(path, &failed).with_context(|| path.display().to_string())?;
    }
    let nodes = plan.nodes();
    let moved = noderange::fold(nodes.iter().map(String::as_str));
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

fn undo(tables: &Tables, id: &str, speaker: &mut Speaker) -> anyhow::Result<u8> {
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
    let left = mover::undo(tables, &journals, record)?;
    for place in &left {
        complain(
            NAME,
            &format!("{place}: was changed since: it stays as it is"),
        );
    }
    let nodes = record.plan.nodes();
    let folded = noderange::fold(nodes.iter().map(String::as_str));
    speaker
        .out
        .line(&format!("{}: rows put back: {folded}", record.id));
    let text = "only rows were put back: boot files, routes and scripts are as the move left them";
    complain(NAME, &format!("{folded}: {text}"));
    Ok(if left.is_empty() {
        exit::DONE
    } else {
        exit::SOME_FAILED
    })
}

fn request(args: &Args, tables: &Tables) -> anyhow::Result<Request> {
    let nodes = match (&args.noderange, &args.source) {
        (None, None) => {
            let text = "A node range or the source service node must be specified.";
            return Err(Usage(format!("{text} (-h shows the usage)")).into());
        }
        (None, Some(_)) => None,
        (Some(range), _) => {
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
fn on_management_node(tables: &Tables) -> anyhow::Result<()> {
    let Some(master) = tables.site("master")? else {
        return Ok(());
    };
    let host = ThisHost::new(tables)?;
    let own = host.own();
    let is_here = |address: &IpAddr| own.iter().any(|each| IpAddr::V4(each.address) == *address);
    if host.addresses(&master).iter().any(is_here) {
        return Ok(());
    }
    bail!(
        "{master}: is the management node, and this host is not: run it there (--plan is allowed anywhere)"
    );
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
