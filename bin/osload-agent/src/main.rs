//! Loads the images of an order onto this node's disks, reads them back, and reports.
//!
//! Runs in genesis, of either generation.

mod args;
mod detach;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use disk_load::agent::{self, Settings};
use disk_load::supply::Ended;
use program::{Output, complain, exit};
use tls::ClientContext;
use xcat_request::Target;
use xcat_request::load::{SetUp, Told, Verdict, status, to_request};
use xcat_request::master::{self, Sources};
use xcat_request::post::{self, post};
use xcat_request::trust::{context, trust};

use args::Args;

const NAME: &str = "osload-agent";
/// How long a verdict is offered to a master that does not take it.
const VERDICT: Duration = Duration::from_secs(3600);
/// How long after the verdict the server has to reboot the node (as Emulab's loader waits).
const REBOOT: Duration = Duration::from_secs(240);

fn main() -> ExitCode {
    program::run(NAME, |args| osload(&args))
}

fn osload(args: &Args) -> anyhow::Result<u8> {
    if args.print_disks {
        return print_disks(args);
    }
    let started = Instant::now();
    let sources = Sources {
        option: args.report.as_ref(),
        environment: &|name| std::env::var(name).ok(),
        root: &args.sysroot,
    };
    // All that was handed over is looked at before anything goes to the background.
    let settings = settings(args, &sources, started)?;
    let master = master(args, &sources)?;
    if args.detach || (detach::is_action() && !args.foreground) {
        detach::detach(&mut |why| complain(NAME, why)).context("cannot go to the background")?;
        return Ok(exit::DONE);
    }
    detach::leave_group().context("standard output")?;
    let verdict = agent::run(
        &settings,
        &mut |set_up, deadline| match &master {
            None => Ok(()),
            Some(master) => master.set_up(&settings.nonce, set_up, deadline),
        },
        &mut |how| complain(NAME, how),
    );
    let loaded = verdict.status == status::LOADED;
    if !loaded {
        complain(NAME, &verdict.reason);
    }
    let told = match &master {
        None => true,
        Some(master) => master.verdict(&settings.nonce, verdict),
    };
    let code = if loaded && told {
        exit::DONE
    } else {
        exit::SOME_FAILED
    };
    if !args.and_return {
        stay(loaded && told);
    }
    Ok(code)
}

/// After a good end the server reboots the node; if it does not, the chain goes on after a while. After
/// any other the chain must not go on, and might boot what is not whole: the older genesis does not look
/// at the exit status.
fn stay(good: bool) {
    if good {
        std::thread::sleep(REBOOT);
        return;
    }
    complain(
        NAME,
        "not loaded: staying here, so that nothing boots from it",
    );
    loop {
        nix::unistd::pause();
    }
}

fn settings(args: &Args, sources: &Sources<'_>, started: Instant) -> anyhow::Result<Settings> {
    let order = match args.order {
        Some(order) => order,
        None => {
            let Some((name, text)) = sources.handed_over("NODETOOLS_ORDER", "nodetools.order")
            else {
                bail!("no order: no option, variable or kernel word names one");
            };
            text.parse().with_context(|| name.to_string())?
        }
    };
    let servers = match args.images.is_empty() {
        false => args.images.clone(),
        true => {
            let Some((name, text)) = sources.handed_over("NODETOOLS_IMAGES", "nodetools.images")
            else {
                bail!("no image server: no option, variable or kernel word names one");
            };
            let servers: Result<Vec<SocketAddr>, _> = text.split(',').map(str::parse).collect();
            servers.with_context(|| format!("{name}: {text}"))?
        }
    };
    let nonce = match &args.nonce {
        Some(nonce) => nonce.clone(),
        None => match master::nonce(sources)? {
            Some(nonce) => nonce,
            None => bail!("no nonce: no option, variable or kernel word has one"),
        },
    };
    Ok(Settings {
        root: args.sysroot.clone(),
        devices: args.device.clone(),
        order,
        servers,
        nonce,
        peers: !args.no_peers,
        started,
        limit: args.timeout,
    })
}

/// Who is told, and over what.
struct Master {
    targets: Vec<Target>,
    context: ClientContext,
}

fn master(args: &Args, sources: &Sources<'_>) -> anyhow::Result<Option<Master>> {
    if args.no_report {
        return Ok(None);
    }
    let Some(found) = master::find(sources)? else {
        bail!("no master: no option, variable, kernel word or DHCP lease names one");
    };
    let trust = trust(args.pin, args.ca.as_ref(), sources)?;
    let context = context(&trust, &args.sysroot, |why| complain(NAME, why))?;
    Ok(Some(Master {
        targets: found.targets,
        context,
    }))
}

impl Master {
    /// The disks are written only if the master, asked with this boot's nonce, agrees.
    fn set_up(&self, nonce: &str, set_up: SetUp, deadline: Instant) -> Result<(), Ended> {
        match self.tell(nonce, &Told::SetUp(set_up), deadline) {
            Ok(()) => Ok(()),
            Err(why @ post::Error::Refused { .. }) => Err(Ended::Cancelled(why.to_string())),
            Err(why) => Err(Ended::Late(why.to_string())),
        }
    }

    fn verdict(&self, nonce: &str, verdict: Verdict) -> bool {
        let told = self.tell(nonce, &Told::Verdict(verdict), Instant::now() + VERDICT);
        if let Err(why) = &told {
            complain(NAME, &format!("the verdict was not taken: {why}"));
        }
        told.is_ok()
    }

    fn tell(&self, nonce: &str, told: &Told, deadline: Instant) -> Result<(), post::Error> {
        let request = to_request(nonce, told);
        let failed = |why: &str| complain(NAME, why);
        post(&self.targets, &self.context, &request, deadline, failed).map(drop)
    }
}

fn print_disks(args: &Args) -> anyhow::Result<u8> {
    let disks = disk_load::survey::survey(&args.sysroot)?;
    let mut output = Output::batched();
    for disk in &disks {
        let state = match (&disk.unusable_because, &disk.unsafe_because) {
            (Some(_), _) => "never",
            (None, Some(_)) => "named",
            (None, None) => "candidate",
        };
        output.line(&format!("{state}: {}", program::escape(&disk.to_string())));
    }
    output.finish().context("standard output")?;
    Ok(exit::DONE)
}
