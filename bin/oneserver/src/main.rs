//! oneserver: keeps exactly one server of a kind running, and tells where it is.

mod args;
mod ask;
mod ocf;
mod show;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use program::syslog::{Level, log};
use program::{Interrupt, Output, complain, exit};
use single_server::{Board, Remark, Status, Watch, What, current, supervise};

use args::{Args, Command, Kind, Run};
use show::Shown;

const NAME: &str = "oneserver";

/// Beside those of every program.
mod code {
    /// There is no server, or no agent to start one.
    pub(crate) const NO_SERVER: u8 = 7;
    /// There is none yet: try again.
    pub(crate) const NOT_YET: u8 = 75;
    /// The time to wait was over.
    pub(crate) const ELAPSED: u8 = 124;
}

fn main() -> ExitCode {
    program::run(NAME, oneserver)
}

fn oneserver(args: Args) -> anyhow::Result<u8> {
    let mut shown = Shown {
        out: Output::new(),
        json: args.json,
    };
    let code = match args.command {
        Command::Init { kind, instances } => init(&kind, instances)?,
        Command::Run(run) => serve(&run)?,
        Command::Need { kind, wait } => need(&kind, wait, &mut shown)?,
        Command::Watch { kind } => watch(&kind, &mut shown)?,
        Command::Address { kind } => address(&kind, &mut shown)?,
        Command::Status { kind, depth } => status(&kind, depth, &mut shown)?,
        Command::Stop(ask) => ask::stop(&ask)?,
        Command::Reload(ask) => ask::reload(&ask)?,
        Command::Recover(ask) => ask::recover(&ask)?,
        Command::Handover(ask) => ask::handover(&ask)?,
        Command::Check {
            kind,
            epoch,
            instance,
        } => check(&kind, epoch, instance)?,
        Command::List => list(&mut shown)?,
        Command::Ocf { action, .. } => ocf::act(&action, &mut shown.out),
    };
    shown.out.finish().context("standard output")?;
    Ok(code)
}

fn init(kind: &Kind, instances: u32) -> anyhow::Result<u8> {
    // The default directory is of this host; any other is the administrator's to make.
    if kind.lockdir.is_none() && kind.engine == args::Engine::Flock {
        single_server::PrivateDir::open(&program::paths::state_dir())?;
        single_server::PrivateDir::open(&args::default_lockdir())?;
    }
    let mut engine = kind.lock()?.engine(&kind.name)?;
    engine.init(instances)?;
    Ok(exit::DONE)
}

fn serve(run: &Run) -> anyhow::Result<u8> {
    fork_worker::inherited::open_standard_streams().context("standard streams")?;
    let service = run.service()?;
    let name = service.name.clone();
    let (announce, verbose) = (run.announce, run.verbose);
    let mut listening = || {
        if announce {
            show::announce();
        }
    };
    supervise(service, &mut listening, &mut |remark| match remark {
        Remark::Event(event) => {
            let text = show::sentence(event);
            log(NAME, Level::Info, &text);
            if verbose {
                complain(NAME, &text);
            }
        }
        Remark::Trouble(why) => {
            let text = format!("{name}: {why}");
            log(NAME, Level::Warning, &text);
            complain(NAME, &text);
        }
    })?;
    Ok(exit::DONE)
}

fn need(kind: &Kind, wait: Option<u64>, shown: &mut Shown) -> anyhow::Result<u8> {
    let lock = kind.lock()?;
    let mut engine = lock.engine(&kind.name)?;
    // Listen before asking.
    let mut watch = Watch::new(&kind.name, &lock)?;
    let seen = engine.look()?;
    if seen.agents == 0 && seen.instances.iter().all(|instance| !instance.held) {
        complain(
            NAME,
            &format!("{}: no agent is registered that could start one", kind.name),
        );
        return Ok(code::NO_SERVER);
    }
    engine.ask()?;
    let interrupt = Interrupt::new().context("signals")?;
    let until = wait.map(|seconds| std::time::Instant::now() + Duration::from_secs(seconds));
    let mut asked = seen.instances.iter().map(|instance| instance.epoch).max();
    loop {
        let left = until.map(|until| until.saturating_duration_since(std::time::Instant::now()));
        match watch.next(Some(std::os::fd::AsFd::as_fd(&interrupt)), left)? {
            Some(event) => {
                shown.event(&event);
                if event.event == What::Ready && wait.is_some() {
                    return Ok(exit::DONE);
                }
                // It ended, and it is still needed.
                if event.event == What::Lost && Some(event.epoch) > asked {
                    asked = Some(event.epoch);
                    engine.ask()?;
                }
            }
            None if interrupt.take() => return Ok(exit::DONE),
            None => {
                return Ok(if wait == Some(0) {
                    code::NOT_YET
                } else {
                    code::ELAPSED
                });
            }
        }
    }
}

fn watch(kind: &Kind, shown: &mut Shown) -> anyhow::Result<u8> {
    let mut watch = Watch::new(&kind.name, &kind.lock()?)?;
    let interrupt = Interrupt::new().context("signals")?;
    while let Some(event) = watch.next(Some(std::os::fd::AsFd::as_fd(&interrupt)), None)? {
        shown.event(&event);
    }
    Ok(exit::DONE)
}

fn address(kind: &Kind, shown: &mut Shown) -> anyhow::Result<u8> {
    let state = current(&kind.name, &kind.lock()?)?;
    let ready = state.iter().filter(|event| event.event == What::Ready);
    let found = ready.inspect(|event| shown.address(event)).count();
    let soon = |what: What| matches!(what, What::Starting | What::Suspect);
    Ok(match found {
        0 if state.iter().any(|event| soon(event.event)) => code::NOT_YET,
        0 => code::NO_SERVER,
        _ => exit::DONE,
    })
}

fn status(kind: &Kind, depth: u32, shown: &mut Shown) -> anyhow::Result<u8> {
    use single_server::Stands;
    let status = Status::look(&kind.name, &kind.lock()?)?;
    shown.status(&kind.name, &status);
    let fault = match &status.standing {
        Stands::Nothing => return Ok(code::NO_SERVER),
        Stands::Standby if depth >= 10 => return Ok(code::NO_SERVER),
        Stands::Standby => return Ok(exit::DONE),
        Stands::Owner(_) if depth < 10 => return Ok(exit::DONE),
        Stands::Owner(_) => match status.confirm(depth) {
            Ok(()) => return Ok(exit::DONE),
            Err(why) => why,
        },
        Stands::Failed => "the server does not start".into(),
        Stands::Abandoned(server) => format!("process {}: runs without a supervisor", server.pid),
        Stands::Broken(why) => why.clone(),
    };
    complain(NAME, &format!("{}: {fault}", kind.name));
    Ok(exit::SOME_FAILED)
}

fn check(kind: &Kind, epoch: u64, instance: u32) -> anyhow::Result<u8> {
    let seen = kind.lock()?.engine(&kind.name)?.look()?;
    let number = usize::try_from(instance)?.wrapping_sub(1);
    let Some(found) = seen.instances.get(number) else {
        bail!("{}: has {} instances", kind.name, seen.instances.len());
    };
    Ok(if found.epoch == epoch {
        exit::DONE
    } else {
        exit::SOME_FAILED
    })
}

fn list(shown: &mut Shown) -> anyhow::Result<u8> {
    for name in Board::names()? {
        let board = Board::open(&name)?;
        let alive = board.supervisor()?.is_held()?;
        let state = if alive { board.state() } else { Vec::new() };
        shown.kind(&name, alive, &state);
    }
    Ok(exit::DONE)
}
