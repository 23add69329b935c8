//! Reads a node's network adapters from the kernel and reports them to its master.
//!
//! Runs in genesis, under its own name and as `getadapter`, which is what a stock chain calls.

mod args;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use program::{Output, complain, exit};
use tls::{ClientContext, Identity, OldSuites, Trust};
use xcat_request::master::{self, Sources};
use xcat_request::post::post;
use xcat_request::response::Answer;
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
    let context = context(name, &trust(args, sources)?, &args.sysroot)?;
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

/// The pin that was given, the authority that was given, the pin that the boot handed over, the
/// authority that lies on the node, anyone: in this order.
fn trust(args: &Args, sources: &Sources<'_>) -> anyhow::Result<Trust> {
    if let Some(pin) = args.pin {
        return Ok(Trust::Pin(pin));
    }
    if let Some(file) = &args.ca {
        return Ok(Trust::Authority(file.clone()));
    }
    if let Some(pin) = master::pin(sources)? {
        return Ok(Trust::Pin(pin));
    }
    let file = args.sysroot.join("etc/xcat/ca.pem");
    Ok(if file.exists() {
        Trust::Authority(file)
    } else {
        Trust::Anyone
    })
}

/// Shows the node's certificate if it has one. Genesis makes it while other things go on, so that it
/// may be half there: then the report goes without.
fn context(name: &str, trust: &Trust, root: &Path) -> anyhow::Result<ClientContext> {
    let identity = Identity {
        certificate: root.join("etc/xcat/cert.pem"),
        key: root.join("etc/xcat/certkey.pem"),
    };
    if identity.certificate.exists() && identity.key.exists() {
        match ClientContext::new(trust, Some(&identity), OldSuites::No) {
            Ok(context) => return Ok(context),
            Err(why) => complain(name, &format!("{why}: reporting without it")),
        }
    }
    Ok(ClientContext::new(trust, None, OldSuites::No)?)
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
