//! nodereboot: reboots nodes, gently first.

mod args;
mod speaker;

use std::process::ExitCode;

use anyhow::Context;
use node_reboot::{Caller, Plan, Refused, Request};
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
    // Before anything of ours is opened and could get the number of --status-fd.
    let mut speaker = Speaker::new(&args)?;
    let options = args.options().map_err(Usage)?;
    let range = args.range().ok_or_else(|| {
        Usage("NODERANGE: is required, or -e or -a (-h shows the usage)".to_string())
    })?;
    let tables = Tables::open(&Location::find()?)?;
    let stdin = &mut std::io::stdin().lock();
    let nodes = tables.select(range, stdin, args.strict, &mut |warning| {
        complain(NAME, &warning.to_string());
    })?;
    if nodes.is_empty() {
        return Err(Usage(format!("{range}: names no node")).into());
    }
    program::guard(nodes.len(), args.most(), "reboot")?;
    let request = Request {
        nodes,
        options,
        caller: Caller::here(),
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
    // From here on a signal ends the run in the orderly way.
    let interrupt = Interrupt::new().context("signals")?;
    let mut handle = node_reboot::carry_out(plan)?;
    while !handle.is_ended() {
        let ready = handle
            .wait_for(&[interrupt.as_fd()], None)
            .context("waiting")?;
        if !ready.is_empty() && interrupt.take() {
            handle.cancel();
        }
        let settled = handle.poll_results();
        handle
            .poll_notes()
            .iter()
            .for_each(|note| complain(NAME, note));
        settled.iter().for_each(|result| speaker.settled(result));
    }
    speaker.finish(&handle.finish())
}
