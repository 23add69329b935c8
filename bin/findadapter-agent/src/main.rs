//! Reads a node's network adapters from the kernel and reports them to its master.
//!
//! Runs in genesis, under its own name and as `getadapter`, which is what a stock chain calls.

mod args;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use program::{Output, complain, exit};
use xcat_request::master::{self, Sources};
use xcat_request::post::post;
use xcat_request::response::Answer;
use xcat_request::trust::{context, trust};
use xcat_request::write::element;

use args::{Args, Destiny};

const NAMES: [&str; 2] = ["findadapter-agent", "getadapter"];

fn main() -> ExitCode {
    let name = called();
    program::run(name, |args| findadapter(name, &args))
}

fn findadapter(name: &str, args: &Args) -> anyhow::Result<u8> {
    let deadline = Instant::now() + args.timeout;
    let sources = Sources {
        option: args.master.as_ref(),
        environment: &|name| std::env::var(name).ok(),
        root: &args.sysroot,
    };
    if let Some(which) = args.destiny {
        return destiny(name, args, which, &sources, deadline);
    }
    let found = adapter_facts::kernel::survey(&args.sysroot)?;
    for what in &found.dropped {
        complain(name, what);
    }
    if found.adapters.is_empty() {
        bail!("{}: no network adapter", args.sysroot.display());
    }
    let nonce = match (&args.nonce, args.print) {
        (Some(nonce), _) => Some(nonce.clone()),
        // Printed for somebody who asked, not sent for the boot that the kernel line speaks of.
        (None, true) => None,
        (None, false) => master::nonce(&sources)?,
    };
    let nonce: Vec<_> = nonce
        .iter()
        .map(|nonce| ("nonce", nonce.as_str()))
        .collect();
    let request = adapter_facts::to_request(&found.adapters, &nonce);
    if args.print {
        let mut output = Output::new();
        output.bytes(request.as_bytes());
        output.finish().context("standard output")?;
        return Ok(exit::DONE);
    }
    Ok(match tell(name, args, &sources, &request, deadline)? {
        Some(_) => exit::DONE,
        None => exit::SOME_FAILED,
    })
}

/// Prints what the master says that this node shall do.
fn destiny(
    name: &str,
    args: &Args,
    which: Destiny,
    sources: &Sources<'_>,
    deadline: Instant,
) -> anyhow::Result<u8> {
    let command = match which {
        Destiny::Now => "getdestiny",
        Destiny::Next => "nextdestiny",
    };
    let command = element("command", command);
    let request = format!("<xcatrequest>\n{command}\n</xcatrequest>\n");
    let Some(answer) = tell(name, args, sources, &request, deadline)? else {
        return Ok(exit::SOME_FAILED);
    };
    let Some(destiny) = answer.text_of("destiny") else {
        complain(name, "the master's answer names no destiny");
        return Ok(exit::SOME_FAILED);
    };
    let mut output = Output::new();
    output.bytes(program::escape(destiny.trim()).as_bytes());
    output.bytes(b"\n");
    output.finish().context("standard output")?;
    Ok(exit::DONE)
}

/// The answer of the first master that gives one in time; else none, and that is said.
fn tell(
    name: &str,
    args: &Args,
    sources: &Sources<'_>,
    request: &str,
    deadline: Instant,
) -> anyhow::Result<Option<Answer>> {
    let Some(master) = master::find(sources)? else {
        bail!("no master: no option, variable, kernel word or DHCP lease names one");
    };
    let trust = trust(args.pin, args.ca.as_ref(), sources)?;
    let context = context(&trust, &args.sysroot, |why| complain(name, why))?;
    let told = post(&master.targets, &context, request, deadline, |why| {
        complain(name, why);
    });
    match told {
        Ok(answer) => Ok(Some(answer)),
        Err(why) => {
            complain(name, &format!("{why} (named by {})", master.source));
            Ok(None)
        }
    }
}

/// The name that messages begin with: the one of both that it was called by.
fn called() -> &'static str {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name();
    let known = NAMES
        .iter()
        .find(|known| name.is_some_and(|name| name == **known));
    known.unwrap_or(&NAMES[0])
}
