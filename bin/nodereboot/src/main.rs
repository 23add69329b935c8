//! nodereboot: reboots nodes, gently first.

mod args;
mod speaker;

use std::process::ExitCode;

use anyhow::Context;
use node_reboot::privileged::{self, Reading};
use node_reboot::{Caller, Handle, Heard, Options, Plan, Refused, Request};
use program::{Interrupt, Usage, complain};
use std::os::fd::AsFd;
use xcat_tables::{Location, Tables};

use args::Args;
use speaker::Speaker;

const NAME: &str = "nodereboot";

fn main() -> ExitCode {
    program::run(NAME, nodereboot)
}

fn nodereboot(args: Args) -> anyhow::Result<u8> {
    let caller = Caller::here();
    // Before anything of ours is opened and could get the number of that or of --status-fd.
    let pipe = privileged::adopt(&caller)?;
    let mut speaker = Speaker::new(&args, pipe)?;
    // Wrong usage comes before wrong tables.
    let mut options = args.options().map_err(Usage)?;
    let range = args.range().ok_or_else(|| {
        Usage("NODERANGE: is required, or -e or -a (-h shows the usage)".to_string())
    })?;
    if caller.effective != 0 {
        return for_user(&args, speaker, options, range, caller);
    }
    let tables = Tables::open(&Location::find()?)?;
    let stdin = &mut std::io::stdin().lock();
    let nodes = tables.select(range, stdin, args.strict, &mut |warning| {
        complain(NAME, &warning.to_string());
    })?;
    if nodes.is_empty() {
        return Err(Usage(format!("{range}: names no node")).into());
    }
    program::guard(nodes.len(), args.most(), "reboot")?;
    if let Some(range) = &args.old_tls {
        let found = tables.expand(range, &noderange::Options::default());
        let found = found.context("--old-tls")?;
        if !found.missed.is_empty() {
            return Err(xcat_tables::Error::Missed(found.missed)).context("--old-tls");
        }
        options.trust.old_tls = found.nodes;
    }
    let request = Request {
        nodes,
        options,
        caller,
    };
    let plan = match Plan::read(&tables, &request) {
        // Who asked for a list that turned out empty is told so as usage.
        Err(Refused::NoNodes) => return Err(Usage(format!("{range}: names no node")).into()),
        plan => plan?,
    };
    if args.dry_run {
        return Ok(speaker.dry_run(&plan));
    }
    speaker.begin(&plan, &request.options);
    follow(speaker, || node_reboot::carry_out(plan))
}

/// Without root's rights no table can be read: the privileged entry does it, and tells us.
fn for_user(
    args: &Args,
    speaker: Speaker<'_>,
    options: Options,
    range: &str,
    caller: Caller,
) -> anyhow::Result<u8> {
    // Dropped in silence, they would be believed to hold.
    if args.trusts_otherwise() {
        let text = "--ca, --accept-new-cert, --insecure, --old-tls: are for root alone";
        return Err(Usage(text.to_string()).into());
    }
    let nodes = match args.all {
        true => Vec::new(),
        false => privileged::words(range).map_err(Usage)?,
    };
    let request = Request {
        nodes,
        options,
        caller,
    };
    let reading = Reading {
        most: args.max_nodes,
        strict: args.strict,
    };
    if args.dry_run {
        return Ok(privileged::show(&request, reading)?);
    }
    follow(speaker, || privileged::start(&request, reading))
}

/// Says what becomes of each node, to the end.
fn follow(
    mut speaker: Speaker<'_>,
    start: impl FnOnce() -> Result<Handle, Refused>,
) -> anyhow::Result<u8> {
    // From here on a signal ends the run in the orderly way.
    let interrupt = Interrupt::new().context("signals")?;
    let handle = start()?;
    let said = &mut |heard: Heard<'_>| match heard {
        Heard::Note(note) => speaker.note(note),
        Heard::Settled(result) => speaker.settled(result),
    };
    let results = handle
        .follow(interrupt.as_fd(), || interrupt.take(), said)
        .context("waiting")?;
    speaker.finish(&results)
}
