//! snmove: moves nodes from one service node to another.

mod args;
mod look;
mod request;
mod show;
mod speaker;
mod work;

use std::process::ExitCode;

use service_node_move::{Installed, ThisHost, journal};
use xcat_tables::{Location, Tables};

use args::Args;
use speaker::Speaker;
use work::Work;

/// Stands in front of what is said on standard error.
const NAME: &str = "snmove";

fn main() -> ExitCode {
    program::run(NAME, snmove)
}

fn snmove(args: Args) -> anyhow::Result<u8> {
    args.check()?;
    program::may_write("--failed-to", args.failed_to.as_deref())?;
    let tables = Tables::open(&Location::find()?)?;
    let host = ThisHost::new(&tables)?;
    if !args.plan && !args.verify {
        request::on_management_node(&tables, &host)?;
    }
    let mut work = Work {
        args: &args,
        tables: &tables,
        commands: Installed::new(host.clone()),
        host,
        speaker: Speaker::new(args.verbose),
    };
    let code = match (&args.undo, &args.apply) {
        (Some(id), _) => work.undo(id)?,
        (None, Some(path)) => work.carry_out(&journal::read_plan(path)?)?,
        (None, None) if args.plan => work.show()?,
        (None, None) if args.verify => work.verify()?,
        (None, None) => work.go()?,
    };
    work.speaker.finish()?;
    Ok(code)
}
