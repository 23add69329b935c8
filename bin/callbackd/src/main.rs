//! callbackd: takes nodes' reports off the wire, makes them safe, wakes who waits.

mod args;
mod standard_input;

use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use node_report::{Place, Remark, Service};
use program::syslog::{Level, log};
use program::{Interrupt, close_stdout, complain, escape, exit};
use xcat_request::load::Told;
use xcat_tables::{Location, Tables};

use args::Args;

const NAME: &str = "callbackd";

/// With --while-waited: the end, when nobody has waited for so long.
const LINGER: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    program::run(NAME, callbackd)
}

fn callbackd(args: Args) -> anyhow::Result<u8> {
    // Before anything of ours is opened and could get that number.
    let passed = fork_worker::inherited::adopt_listener().context("LISTEN_FDS")?;
    let location = Location::find()?;
    if args.stdin {
        return standard_input::serve(&args, Tables::open(&location)?);
    }
    if args.apply {
        return apply(Tables::open(&location)?, args.verbose);
    }
    let interrupt = Interrupt::new().context("signals")?;
    let service = Service {
        location,
        confinement: node_report::confinement(args.user.as_deref()).context("--user")?,
        linger: args.while_waited.then_some(LINGER),
    };
    // Started for a waiter, one is enough, whoever started it; started by an administrator, it stands
    // by until it is its turn.
    let stand_by = (!args.while_waited).then_some(interrupt.as_fd());
    let opened = node_report::open_service(service, stand_by, passed, args.listen)?;
    let Some(mut running) = opened else {
        return Ok(exit::DONE);
    };
    // Whoever started us waits for this line, then for the end of the file.
    let _ = writeln!(std::io::stdout(), "ready {}", running.address);
    close_stdout().context("standard output")?;
    running
        .listener
        .serve(interrupt.as_fd(), &mut |remark| say(&remark, args.verbose))?;
    Ok(exit::DONE)
}

/// For a plugin of xCAT's daemon, which has made a report safe and found that nobody waits for it.
fn apply(tables: Tables, verbose: bool) -> anyhow::Result<u8> {
    let outcome = Place::open(tables)?.apply();
    for applied in outcome.applied {
        let (node, adapters) = (applied.node, applied.adapters.len());
        say(&Remark::Stored { node, adapters }, verbose);
    }
    for (node, why) in outcome.rejected {
        let text = format!("{node}: a report was put into rejected/: {why}");
        say(&Remark::Trouble(text), verbose);
    }
    match outcome.failed {
        None => Ok(exit::DONE),
        Some(error) => Err(error.into()),
    }
}

fn say(remark: &Remark, verbose: bool) {
    let (level, text) = match remark {
        Remark::Stored { node, adapters } => (
            Level::Info,
            format!("{node}: report of {adapters} adapters stored"),
        ),
        Remark::Told { node, told } => (
            Level::Info,
            match told {
                Told::SetUp(_) => format!("{node}: osload-agent has its disks"),
                Told::Verdict(verdict) => format!(
                    "{node}: osload-agent ended with status {}: {}",
                    verdict.status,
                    escape(&verdict.reason)
                ),
            },
        ),
        Remark::Peer { peer, why } => (Level::Warning, format!("{peer}: {}", escape(why))),
        Remark::Trouble(why) => (Level::Warning, why.clone()),
    };
    log(NAME, level, &text);
    if verbose {
        complain(NAME, &text);
    }
}
