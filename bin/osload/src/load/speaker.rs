//! Everything that is printed while disks are loaded: records to standard output, the rest to standard
//! error; without anybody who reads it, to the system's log.

use std::os::fd::OwnedFd;
use std::time::Instant;

use anyhow::Context;
use image_load::{NodeResult, Plan, Results, Status, words};
use node_reboot::privileged::Answers;
use program::syslog::{Level, log};
use program::{Output, Progress, StatusFd, close_stdout, complain, escape, exit, listed};

use super::args::Load;
use crate::NAME;

/// The version of the form of `--json`.
const FORMAT: u32 = 1;

pub(crate) struct Speaker<'a> {
    args: &'a Load,
    json: bool,
    out: Output,
    progress: Progress,
    status: Option<StatusFd>,
    /// To whoever had us run with privilege.
    answers: Option<Answers>,
    started: Instant,
    nodes: usize,
    done: usize,
    failed: usize,
}

impl<'a> Speaker<'a> {
    pub(crate) fn new(
        args: &'a Load,
        json: bool,
        pipe: Option<OwnedFd>,
    ) -> anyhow::Result<Speaker<'a>> {
        let answers = pipe
            .map(|pipe| Answers::new(pipe, args.status_more))
            .transpose();
        let adopt = |fd| {
            fork_worker::inherited::adopt_writable(fd).with_context(|| format!("--status-fd: {fd}"))
        };
        program::may_write("--failed-to", args.failed_to.as_deref())?;
        Ok(Speaker {
            args,
            json,
            out: Output::new(),
            progress: Progress::new(),
            status: args.status_fd.map(adopt).transpose()?.map(StatusFd::new),
            answers: answers.context("REBOOTPIPENO")?,
            started: Instant::now(),
            nodes: 0,
            done: 0,
            failed: 0,
        })
    }

    pub(crate) fn dry_run(&mut self, plan: &Plan) -> u8 {
        let what = plan.words();
        for node in plan.begun() {
            self.out.line(&format!("{node}: would load {what}"));
        }
        for result in plan.settled() {
            let text = format!("{}: {}", result.node, escape(&story(result)));
            self.out.line(&text);
        }
        let failed = plan.settled().iter().any(|one| one.status.is_failure());
        match failed {
            true => exit::SOME_FAILED,
            false => exit::DONE,
        }
    }

    /// Before anything is touched: how much it is, and how long it may take.
    pub(crate) fn begin(&mut self, plan: &Plan) {
        let nodes = plan.begun().len();
        self.nodes = nodes + plan.settled().len();
        if self.is_told_on() || self.args.in_background || nodes == 0 {
            return;
        }
        let text = format!(
            "nodes to load: {nodes}, {} MiB each; a node has {} s to write and read back",
            plan.stored().div_ceil(1 << 20),
            plan.limit().as_secs()
        );
        complain(NAME, &text);
    }

    /// In the background: whoever started us goes on now.
    pub(crate) fn started(&mut self) -> anyhow::Result<()> {
        let text = format!(
            "started, process {}; the system's log hears of it",
            std::process::id()
        );
        let mut out = std::mem::take(&mut self.out);
        out.line(&text);
        out.finish().context("standard output")?;
        close_stdout().context("standard output")
    }

    /// What is being done.
    pub(crate) fn note(&mut self, note: &str) {
        self.progress.clear();
        match &mut self.answers {
            Some(answers) if self.args.status_more => answers.note(note),
            _ => self.tell(Level::Info, note),
        }
    }

    /// True if our caller says everything, so that we need not.
    fn is_told_on(&self) -> bool {
        self.answers.is_some() && self.args.status_more
    }

    fn tell(&self, level: Level, text: &str) {
        match self.args.in_background {
            true => log(NAME, level, text),
            false => complain(NAME, text),
        }
    }

    pub(crate) fn settled(&mut self, result: &NodeResult) {
        self.progress.clear();
        if let Some(answers) = &mut self.answers {
            answers.settled(result);
        }
        if let Some(fd) = &mut self.status {
            // All of ours fit a byte.
            let status = u8::try_from(result.status.0).unwrap_or(u8::MAX);
            fd.settled(&result.node, status);
        }
        let text = format!("{}: {}", result.node, story(result));
        let failed = result.status.is_failure();
        if self.json {
            self.out.line(&self.object(result));
        } else if !failed {
            self.out.line(&text);
        }
        if !self.is_told_on() && (failed || self.args.in_background) {
            let level = if failed { Level::Warning } else { Level::Info };
            self.tell(level, &text);
        }
        match failed {
            true => self.failed += 1,
            false => self.done += 1,
        }
        if !self.is_told_on() {
            let left = self.nodes.saturating_sub(self.done + self.failed);
            let text = format!("{} loaded, {} failed, {left} to go", self.done, self.failed);
            self.progress.show(&text);
        }
    }

    pub(crate) fn finish(mut self, results: &Results) -> anyhow::Result<u8> {
        self.progress.clear();
        let names = |wanted: bool| {
            let nodes = results.nodes.values();
            let nodes = nodes.filter(|one| one.status.is_failure() == wanted);
            let names: Vec<&str> = nodes.map(|one| one.node.as_str()).collect();
            (names.len(), noderange::fold(names))
        };
        let ((done, loaded), (failed, folded)) = (names(false), names(true));
        if let Some(path) = &self.args.failed_to {
            program::write_failed(path, &folded).with_context(|| path.display().to_string())?;
        }
        let text = format!(
            "{done} loaded{}; {failed} failed{}",
            listed(&loaded),
            listed(&folded)
        );
        if !self.is_told_on() {
            self.tell(Level::Info, &text);
        }
        if let Some(answers) = self.answers.take() {
            answers.finish();
        }
        self.out.finish().context("standard output")?;
        Ok(match failed {
            0 => exit::DONE,
            _ => exit::SOME_FAILED,
        })
    }

    fn object(&self, result: &NodeResult) -> String {
        serde_json::json!({
            "format": FORMAT,
            "node": result.node,
            "status": result.status.0,
            "text": words(result.status),
            "why": result.why,
            "elapsed": self.started.elapsed().as_secs(),
        })
        .to_string()
    }
}

fn story(result: &NodeResult) -> String {
    match (result.why.as_str(), result.status) {
        ("", status) => words(status),
        // The why says it all: what was written, and how it came up.
        (why, Status::DONE) => why.to_string(),
        (why, status) => format!("{}: {why}", words(status)),
    }
}
