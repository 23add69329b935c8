//! getadapter: asks nodes, through genesis, what network adapters they have.

mod args;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use adapter_scan::{Options, Plan, Progress as Counted, Said, Summary};
use anyhow::Context;
use program::{Interrupt, Output, Progress, StatusFd, Usage, complain, escape, exit, listed};
use std::os::fd::AsFd;
use xcat_tables::{Location, Tables};

use args::Args;

const NAME: &str = "getadapter";

fn main() -> ExitCode {
    program::run(NAME, getadapter)
}

fn getadapter(args: Args) -> anyhow::Result<u8> {
    // Before anything of ours is opened and could get the number of --status-fd.
    let mut speaker = Speaker::new(&args)?;
    // From here on a signal ends the run in the orderly way.
    let interrupt = Interrupt::new().context("signals")?;
    let location = Location::find()?;
    let tables = Tables::open(&location)?;
    let stdin = &mut std::io::stdin().lock();
    let nodes = tables.select(&args.noderange, stdin, args.strict, &mut |warning| {
        complain(NAME, &warning.to_string());
    })?;
    if nodes.is_empty() {
        return Err(Usage(format!("{}: names no node", args.noderange)).into());
    }
    program::guard(nodes.len(), args.max_nodes, "boot and ask")?;
    let options = Options {
        force: args.force,
        live: args.live,
        reboot_running: args.reboot_running,
        timeout: Duration::from_secs(args.timeout),
        fanout: args.fanout as usize,
        callbackd: sibling("callbackd")?,
    };
    let plan = adapter_scan::plan(&tables, &nodes, &options)?;
    if args.dry_run {
        return Ok(speaker.dry_run(&plan));
    }
    speaker.begin(&plan);
    let summary = adapter_scan::scan(&location, &plan, &options, interrupt.as_fd(), &mut |said| {
        speaker.say(&said)
    })?;
    speaker.finish(&summary)
}

/// Everything that this program prints: records to standard output, the rest to standard error.
struct Speaker<'a> {
    args: &'a Args,
    out: Output,
    progress: Progress,
    status: Option<StatusFd>,
}

impl<'a> Speaker<'a> {
    fn new(args: &'a Args) -> anyhow::Result<Speaker<'a>> {
        let adopt = |fd| {
            fork_worker::inherited::adopt_writable(fd).with_context(|| format!("--status-fd: {fd}"))
        };
        program::may_write("--failed-to", args.failed_to.as_deref())?;
        let status = args.status_fd.map(adopt).transpose()?.map(StatusFd::new);
        Ok(Speaker {
            args,
            out: Output::new(),
            progress: Progress::new(),
            status,
        })
    }

    fn begin(&mut self, plan: &Plan) {
        for node in &plan.known {
            complain(
                NAME,
                &format!("{node}: Adapter information exists, no need to inspect."),
            );
            self.settled(node, exit::DONE);
        }
        let nothing = plan.boot.is_empty() && plan.live.is_empty() && plan.refused.is_empty();
        if nothing {
            complain(NAME, "No adapter information need to inspect.");
        } else if !plan.boot.is_empty() {
            let sets = plan.boot.len().div_ceil(self.args.fanout as usize);
            complain(
                NAME,
                &format!(
                    "nodes to boot: {}, in sets: {sets}; at most {} s",
                    plan.boot.len(),
                    self.args.timeout
                ),
            );
        }
    }

    fn say(&mut self, said: &Said<'_>) {
        if let Said::Progress(counted) = said {
            return self.progress.show(&progress_text(counted));
        }
        self.progress.clear();
        match said {
            Said::Answered(answer) => {
                if self.args.verbose {
                    complain(
                        NAME,
                        &format!("[{}] scan successfully below is result:", answer.node),
                    );
                }
                for dropped in answer.dropped.iter() {
                    complain(NAME, &format!("{}: dropped: {dropped}", answer.node));
                }
                if answer.adapters.is_empty() {
                    complain(
                        NAME,
                        &format!(
                            "{}: nics table will not be updated as not any useful information could be found with udevadm command.",
                            answer.node
                        ),
                    );
                }
                let lines = match (self.args.diff, self.args.json) {
                    (true, json) => adapter_scan::diff(answer, json),
                    (false, true) => adapter_scan::json(answer),
                    (false, false) => adapter_scan::records(answer),
                };
                lines.iter().for_each(|line| self.out.line(line));
                self.settled(&answer.node, exit::DONE);
            }
            Said::Booting(node) => complain(
                NAME,
                &format!("{node}: Booting into genesis, this could take several minutes..."),
            ),
            Said::Failed(node, why) => {
                complain(NAME, &format!("{node}: {why}"));
                self.settled(node, exit::SOME_FAILED);
            }
            Said::Trouble(text) => complain(NAME, text),
            Said::Remark(text) if self.args.verbose => complain(NAME, text),
            Said::Remark(_) | Said::Progress(_) => {}
        }
    }

    fn dry_run(&mut self, plan: &Plan) -> u8 {
        let lines = [
            (&plan.boot, "would be booted into genesis"),
            (&plan.live, "would be asked over ssh"),
            (&plan.known, "adapters are known"),
        ];
        for (nodes, what) in lines {
            nodes
                .iter()
                .for_each(|node| self.out.line(&format!("{node}: {what}")));
        }
        plan.refused.iter().for_each(|(node, why)| {
            self.out
                .line(&format!("{node}: would fail: {}", escape(why)))
        });
        if plan.refused.is_empty() {
            exit::DONE
        } else {
            exit::SOME_FAILED
        }
    }

    fn finish(mut self, summary: &Summary) -> anyhow::Result<u8> {
        self.progress.clear();
        let failed: &BTreeMap<String, String> = &summary.failed;
        let folded = noderange::fold(failed.keys().map(String::as_str));
        if let Some(path) = &self.args.failed_to {
            program::write_failed(path, &folded).with_context(|| path.display().to_string())?;
        }
        if !summary.answered.is_empty() || !failed.is_empty() {
            let answered = noderange::fold(summary.answered.iter().map(String::as_str));
            complain(
                NAME,
                &format!(
                    "{} answered{}; {} failed{}",
                    summary.answered.len(),
                    listed(&answered),
                    failed.len(),
                    listed(&folded)
                ),
            );
        }
        self.out.finish().context("standard output")?;
        Ok(match (failed.is_empty(), summary.answered.is_empty()) {
            (true, _) => exit::DONE,
            (false, _) => exit::SOME_FAILED,
        })
    }

    fn settled(&mut self, node: &str, status: u8) {
        if let Some(fd) = &mut self.status {
            fd.settled(node, status);
        }
    }
}

fn progress_text(counted: &Counted<'_>) -> String {
    let slowest = counted
        .slowest
        .map(|(node, since)| format!("; slowest {} {} s", escape(node), since.as_secs()));
    format!(
        "{} answered, {} booting, {} to boot{}",
        counted.answered,
        counted.booting,
        counted.queued,
        slowest.unwrap_or_default()
    )
}

/// A program of ours beside this one.
fn sibling(name: &str) -> anyhow::Result<std::path::PathBuf> {
    let own = std::env::current_exe().context("this program's path")?;
    Ok(own.with_file_name(name))
}
