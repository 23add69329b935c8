//! Runs that are in the background, were interrupted, or are over.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Context, bail};
use firmware_update::journal::{self, Folder};
use firmware_update::{Node, State, view};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use program::{Interrupt, Usage, complain, exit};
use xcat_tables::{Location, Tables};

use crate::NAME;
use crate::speaker::Speaker;
use crate::update;

/// Between two looks at a run that goes on.
const LOOK: Duration = Duration::from_secs(1);

/// `--status [ID]`.
pub(crate) fn status(
    speaker: &mut Speaker<'_>,
    id: &str,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    if id.is_empty() {
        for id in journal::list() {
            match journal::read(&id) {
                Ok(run) => speaker.record(&view::run_line(
                    &run,
                    journal::worker(&id)?.is_some(),
                    speaker.args.json,
                )),
                Err(error) => complain(NAME, &error.to_string()),
            }
        }
        return Ok(exit::DONE);
    }
    loop {
        let run = journal::read(id)?;
        let works = journal::worker(id)?.is_some();
        let lines = view::overview(&run, works, speaker.args.json);
        if !works || !speaker.follow(&lines) {
            lines.iter().for_each(|line| speaker.record(line));
            let failed = run.nodes.values().any(|node| node.state == State::Failed);
            return Ok(if failed {
                exit::SOME_FAILED
            } else {
                exit::DONE
            });
        }
        let mut fds = [PollFd::new(interrupt.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::MAX);
        if poll(&mut fds, timeout).unwrap_or(0) > 0 {
            return Ok(exit::DONE);
        }
    }
}

/// `--cancel ID`: a working process is told to stop; an interrupted run is closed.
pub(crate) fn cancel(speaker: &mut Speaker<'_>, id: &str) -> anyhow::Result<u8> {
    if let Some(pid) = journal::worker(id)? {
        // It holds the run's lock, so the number is its own and nobody else's.
        let number: i32 = pid
            .parse()
            .with_context(|| format!("run {id}: its process"))?;
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(number),
            nix::sys::signal::Signal::SIGTERM,
        )
        .with_context(|| format!("run {id}: process {pid}"))?;
        speaker.announce(&format!("run {id}: stopping"));
        return Ok(exit::DONE);
    }
    let (mut folder, run) = Folder::resume(id)?;
    if run.ended.is_none() {
        folder.end("dropped");
        folder.flush()?;
    }
    speaker.announce(&format!("run {id}: is over"));
    Ok(exit::DONE)
}

/// `--resume ID`.
pub(crate) fn resume(
    speaker: &mut Speaker<'_>,
    id: &str,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let (mut folder, run) = Folder::resume(id)?;
    if let Some(why) = run.ended {
        return Err(Usage(format!("run {id}: is over: {why}")).into());
    }
    for (number, image) in run
        .plan
        .images
        .iter()
        .enumerate()
        .filter(|(_, image)| image.id.is_none())
    {
        let copy = folder.image(number);
        if journal::digest(&copy)? != image.sha256 {
            bail!(
                "{}: is not the archive that the run began with",
                copy.display()
            );
        }
    }
    let tables = Tables::open(&Location::find()?)?;
    let mut nodes: BTreeMap<String, Node> = run.nodes;
    let waiting: Vec<String> = nodes
        .values()
        .filter(|node| !node.state.is_settled())
        .map(|node| node.node.clone())
        .collect();
    let found = update::targets(&tables, &waiting)?;
    for (name, why) in found.failed {
        if let Some(node) = nodes.get_mut(&name) {
            node.state = State::Failed;
            node.why = why;
            folder.note(node);
        }
    }
    for node in nodes.values().filter(|node| node.state.is_settled()) {
        speaker.settled(
            &node.node,
            (node.state == State::Failed).then_some(node.why.as_str()),
        );
    }
    if speaker.args.detached {
        speaker.record("ready");
        speaker.hush();
    }
    let code = update::carry_out(
        speaker,
        &tables,
        &run.plan,
        nodes,
        found.good,
        &mut folder,
        interrupt,
    )?;
    speaker.failed_to()?;
    Ok(code)
}

/// Has a process of its own go on with the run that was just made.
pub(crate) fn detach(speaker: &mut Speaker<'_>, id: &str) -> anyhow::Result<u8> {
    let own = std::env::current_exe().context("this program's path")?;
    let mut args = vec!["--resume".into(), id.into(), "--detached".into()];
    for (option, path) in [
        ("--failed-to", &speaker.args.failed_to),
        ("--report", &speaker.args.report),
    ] {
        if let Some(path) = path {
            // It works in another directory.
            let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
            args.extend([option.into(), path.into_os_string()]);
        }
    }
    let mut ready =
        fork_worker::command::start_detached(&own, &args, &[]).context("the background process")?;
    let mut word = [0; 6];
    ready.read_exact(&mut word).with_context(|| {
        format!("run {id}: the background process ended at once: try --resume {id}")
    })?;
    speaker.record(id);
    complain(
        NAME,
        &format!("run {id}: --status {id} shows it, --cancel {id} stops it"),
    );
    Ok(exit::DONE)
}
