//! Everything that this program prints: records to standard output, the rest to standard error.

use std::os::fd::OwnedFd;
use std::time::Instant;

use anyhow::Context;
use node_reboot::privileged::Answers;
use node_reboot::{NodeResult, Options, Plan, Results, Status};
use program::{Output, Progress, StatusFd, complain, escape, exit, listed};

use crate::NAME;
use crate::args::Args;

/// The version of the form of `--json`.
const FORMAT: u32 = 1;

pub(crate) struct Speaker<'a> {
    args: &'a Args,
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
    pub(crate) fn new(args: &'a Args, pipe: Option<OwnedFd>) -> anyhow::Result<Speaker<'a>> {
        let answers = pipe
            .map(|pipe| Answers::new(pipe, args.status_more))
            .transpose();
        let adopt = |fd| {
            fork_worker::inherited::adopt_writable(fd).with_context(|| format!("--status-fd: {fd}"))
        };
        program::may_write("--failed-to", args.failed_to.as_deref())?;
        Ok(Speaker {
            args,
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
        for (node, steps) in plan.begun() {
            self.out.line(&format!("{node}: would {steps}"));
        }
        for result in plan.settled() {
            let text = format!(
                "{}: {}: {}",
                result.node,
                result.status,
                escape(&result.why)
            );
            self.out.line(&text);
        }
        match plan
            .settled()
            .iter()
            .any(|result| result.status.is_failure())
        {
            true => exit::SOME_FAILED,
            false => exit::DONE,
        }
    }

    /// Before anything is touched: how long it will take.
    pub(crate) fn begin(&mut self, plan: &Plan, options: &Options) {
        let nodes = plan.begun().count();
        self.nodes = nodes + plan.settled().len();
        if self.args.silent || self.is_told_on() || nodes == 0 {
            return;
        }
        if let Some(said) = self.args.trusts_more() {
            complain(NAME, said);
        }
        let beginning = options.beginning(nodes).as_secs();
        let each = options
            .wait
            .map(|wait| format!("; each may take {} s to come up", wait.as_secs()));
        let text = format!(
            "nodes to reboot: {nodes}; the last begins after {beginning} s{}",
            each.unwrap_or_default()
        );
        complain(NAME, &text);
    }

    /// What is being done.
    pub(crate) fn note(&mut self, note: &str) {
        match &mut self.answers {
            Some(answers) if self.args.status_more => answers.note(note),
            _ => complain(NAME, note),
        }
    }

    /// True if our caller says everything, so that we need not.
    fn is_told_on(&self) -> bool {
        self.answers.is_some() && self.args.status_more
    }

    pub(crate) fn settled(&mut self, result: &NodeResult) {
        self.progress.clear();
        if let Some(answers) = &mut self.answers {
            answers.settled(result);
        }
        if let Some(fd) = &mut self.status {
            // All of ours fit a byte.
            fd.settled(
                &result.node,
                u8::try_from(result.status.0).unwrap_or(u8::MAX),
            );
        }
        let text = format!("{}: {}", result.node, story(result));
        let failed = result.status.is_failure();
        if self.args.json {
            self.out.line(&self.json(result));
        } else if result.status == Status::DONE {
            self.out.line(&text);
        }
        if !self.is_told_on() && (failed || (result.status != Status::DONE && !self.args.silent)) {
            complain(NAME, &text);
        }
        match failed {
            true => self.failed += 1,
            false => self.done += 1,
        }
        if !self.args.silent && !self.is_told_on() {
            let left = self.nodes.saturating_sub(self.done + self.failed);
            let text = format!("{} done, {} failed, {left} to go", self.done, self.failed);
            self.progress.show(&text);
        }
    }

    pub(crate) fn finish(mut self, results: &Results) -> anyhow::Result<u8> {
        self.progress.clear();
        let names = |status: fn(&NodeResult) -> bool| {
            let nodes = results.nodes.values().filter(|result| status(result));
            let names: Vec<&str> = nodes.map(|result| result.node.as_str()).collect();
            (names.len(), noderange::fold(names))
        };
        let (done, rebooted) = names(|result| result.status == Status::DONE);
        let (skipped, left_out) = names(|result| result.status == Status::SKIPPED);
        let (failed, folded) = names(|result| result.status.is_failure());
        if let Some(path) = &self.args.failed_to {
            program::write_failed(path, &folded).with_context(|| path.display().to_string())?;
        }
        let mut text = format!("{done} rebooted{}", listed(&rebooted));
        if skipped > 0 {
            text.push_str(&format!("; {skipped} left out{}", listed(&left_out)));
        }
        text.push_str(&format!("; {failed} failed{}", listed(&folded)));
        if let Some(said) = self.args.trusts_more() {
            text.push_str(&format!(" ({said})"));
        }
        if !self.is_told_on() {
            complain(NAME, &text);
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

    fn json(&self, result: &NodeResult) -> String {
        serde_json::json!({
            "format": FORMAT,
            "node": result.node,
            "status": result.status.0,
            "text": result.status.to_string(),
            "why": result.why,
            "elapsed": self.started.elapsed().as_secs(),
        })
        .to_string()
    }
}

fn story(result: &NodeResult) -> String {
    match (result.why.as_str(), result.status) {
        ("", status) => status.to_string(),
        // The why says it all: how it was done, and when it was up.
        (why, Status::DONE) => why.to_string(),
        (why, status) => format!("{status}: {why}"),
    }
}
