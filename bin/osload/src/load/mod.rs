//! `osload -i IMAGE NODERANGE`: disks are loaded.

pub(crate) mod args;
mod speaker;

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::{Context, bail};
use disk_image::Store;
use image_load::{Caller, Handle, Heard, Options, Plan, Refused, Request};
use node_reboot::privileged::{self, Reading};
use program::syslog::{Level, log};
use program::{Interrupt, Site, Usage, complain, exit, paths};
use xcat_tables::{Location, Tables};

use crate::NAME;
use args::Load;
use speaker::Speaker;

/// Does what was typed.
pub(crate) fn load(args: &Load, json: bool) -> anyhow::Result<u8> {
    if !args.in_background {
        return work(args, json);
    }
    // Nobody reads what it says but the log.
    work(args, json).inspect_err(|error| log(NAME, Level::Warning, &format!("{error:#}")))
}

fn work(args: &Load, json: bool) -> anyhow::Result<u8> {
    let caller = Caller::here();
    // Before anything of ours is opened and could get the number of that or of --status-fd.
    let pipe = privileged::adopt(&caller)?;
    let mut speaker = Speaker::new(args, json, pipe)?;
    let usual = Options::new(sibling("callbackd")?, sibling(NAME)?);
    let options = args.options(usual).map_err(Usage)?;
    let range = args
        .range()
        .ok_or_else(|| Usage("NODERANGE: is required, or -e (-h shows the usage)".to_string()))?;
    if args.start && range == "-" {
        let why = "-s: node names on standard input are not there when it is begun";
        return Err(Usage(why.to_string()).into());
    }
    if caller.effective != 0 {
        return for_user(args, speaker, options, range, caller);
    }
    let tables = Tables::open(&Location::find()?)?;
    let stdin = &mut std::io::stdin().lock();
    let nodes = tables.select(range, stdin, args.strict, &mut |warning| {
        complain(NAME, &warning.to_string());
    })?;
    if nodes.is_empty() {
        return Err(Usage(format!("{range}: names no node")).into());
    }
    if !args.in_background {
        program::guard(nodes.len(), args.max_nodes, "load disks of")?;
    }
    let images = args.choices(exists()?).map_err(Usage)?;
    let request = Request {
        nodes,
        images,
        options,
        caller,
    };
    let plan = Plan::read(&tables, &request)?;
    if args.dry_run {
        return Ok(speaker.dry_run(&plan));
    }
    speaker.begin(&plan);
    if args.start && !args.in_background {
        return background();
    }
    follow(args, speaker, || image_load::carry_out(plan))
}

/// Without root's rights no table can be read: the privileged entry does it, and tells us.
fn for_user(
    args: &Load,
    speaker: Speaker<'_>,
    options: Options,
    range: &str,
    caller: Caller,
) -> anyhow::Result<u8> {
    let nodes = privileged::words(range).map_err(Usage)?;
    // Which images there are is root's to see; a project's is named in full.
    let images = args.choices(|_| true).map_err(Usage)?;
    let request = Request {
        nodes,
        images,
        options,
        caller,
    };
    let reading = Reading {
        most: Some(args.max_nodes),
        strict: args.strict,
    };
    if args.dry_run {
        return Ok(image_load::privileged::show(&request, reading)?);
    }
    if args.start && !args.in_background {
        return background();
    }
    follow(args, speaker, || {
        image_load::privileged::start(&request, reading)
    })
}

/// Says what becomes of each node, to the end.
fn follow(
    args: &Load,
    mut speaker: Speaker<'_>,
    start: impl FnOnce() -> Result<Handle, Refused>,
) -> anyhow::Result<u8> {
    // From here on a signal ends the run in the orderly way.
    let interrupt = Interrupt::new().context("signals")?;
    let handle = start()?;
    if args.in_background {
        speaker.started()?;
    }
    let said = &mut |heard: Heard<'_>| match heard {
        Heard::Note(note) => speaker.note(note),
        Heard::Settled(result) => speaker.settled(result),
    };
    let results = handle
        .follow(interrupt.as_fd(), || interrupt.take(), said)
        .context("waiting")?;
    speaker.finish(&results)
}

/// Starts the same again, as nobody's child. What can be refused early was looked at by us.
fn background() -> anyhow::Result<u8> {
    let own = std::env::current_exe().context("this program's path")?;
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    args.insert(0, "--in-background".into());
    let ready = fork_worker::command::start_detached(&own, &args, &[]).context("in background")?;
    let mut line = String::new();
    BufReader::new(ready)
        .read_line(&mut line)
        .context("in background")?;
    if line.is_empty() {
        bail!("in background: did not start: the system's log says why");
    }
    complain(NAME, line.trim_end());
    Ok(exit::DONE)
}

/// Whether an image has a name.
fn exists() -> anyhow::Result<impl Fn(&str) -> bool> {
    let orders = paths::state_dir().join("osload/orders");
    let store = Store::open(&Site::read()?.image_dir(), &orders)?;
    Ok(move |name: &str| store.resolve(name).is_ok())
}

/// A program of ours beside this one.
fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this program's path")?;
    Ok(own.with_file_name(name))
}
