//! Everything that rflash prints: xCAT's records and errors where scripts look for them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::Context;
use firmware_update::listing::Held;
use firmware_update::{Live, Node, Plan, Said, State, texts, view};
use program::{Output, Progress, StatusFd, complain, escape, exit};

use crate::NAME;
use crate::args::Args;

pub(crate) struct Speaker<'a> {
    pub(crate) args: &'a Args,
    out: Output,
    progress: Progress,
    status: Option<StatusFd>,
    good: BTreeSet<String>,
    failed: BTreeMap<String, String>,
    quiet: bool,
}

impl<'a> Speaker<'a> {
    pub(crate) fn new(args: &'a Args) -> anyhow::Result<Speaker<'a>> {
        let adopt = |fd| {
            fork_worker::inherited::adopt_writable(fd).with_context(|| format!("--status-fd: {fd}"))
        };
        let status = args.status_fd.map(adopt).transpose()?.map(StatusFd::new);
        program::may_write("--failed-to", args.failed_to.as_deref())?;
        program::may_write("--report", args.report.as_deref())?;
        Ok(Speaker {
            args,
            out: Output::new(),
            progress: Progress::new(),
            status,
            good: BTreeSet::new(),
            failed: BTreeMap::new(),
            quiet: false,
        })
    }

    /// A text of no node.
    pub(crate) fn announce(&mut self, text: &str) {
        if !self.args.json {
            self.record(&escape(text));
        }
    }

    /// A text of a node.
    pub(crate) fn text(&mut self, node: &str, text: &str) {
        if self.args.json {
            let value = serde_json::json!({ "format": 1, "node": node, "text": text });
            return self.record(&value.to_string());
        }
        self.record(&format!("{node}: {}", escape(text)));
    }

    /// What a BMC holds: the lines, or one object.
    pub(crate) fn list(&mut self, node: &str, images: &[Held], lines: &[String]) {
        if self.args.json {
            let value = serde_json::json!({ "format": 1, "node": node, "images": images });
            return self.record(&value.to_string());
        }
        lines.iter().for_each(|line| self.text(node, line));
    }

    /// Shows a run that goes on, if there is a terminal; false if nobody would see it.
    pub(crate) fn follow(&mut self, lines: &[String]) -> bool {
        let visible = self.progress.visible() && !self.args.json;
        if visible {
            let (height, width) = self.progress.size();
            let fit = |line: &String| line.chars().take(width.saturating_sub(1)).collect();
            self.progress.block(&mut || {
                lines
                    .iter()
                    .take(height.saturating_sub(1))
                    .map(fit)
                    .collect()
            });
        }
        visible
    }

    /// A line of standard output, escaped by the caller.
    pub(crate) fn record(&mut self, line: &str) {
        if !self.quiet {
            self.progress.clear();
            self.out.line(line);
        }
    }

    /// A refusal of the whole request: xCAT prints those as records.
    pub(crate) fn refused(&mut self, node: &str, text: &str) {
        self.record(&format!("{node}: Error: {}", escape(text)));
    }

    /// A node that the tables say too little of: a record too, in xCAT.
    pub(crate) fn lost(&mut self, node: &str, why: &str) {
        self.refused(node, why);
        self.settled(node, Some(why));
    }

    /// An error in xCAT's form, without a server between: `NODE: Error: TEXT`.
    pub(crate) fn error(&mut self, node: Option<&str>, text: &str) {
        if self.quiet {
            return;
        }
        self.progress.clear();
        let node = node.map_or_else(String::new, |node| format!("{node}: "));
        let text = text.strip_prefix("Error: ").unwrap_or(text);
        let line = format!("{node}Error: {}\n", escape(text));
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    /// A node has its verdict; `why`: it failed.
    pub(crate) fn settled(&mut self, node: &str, why: Option<&str>) {
        if let Some(fd) = &mut self.status {
            fd.settled(node, u8::from(why.is_some()));
        }
        match why {
            Some(why) => drop(self.failed.insert(node.to_string(), why.to_string())),
            None => drop(self.good.insert(node.to_string())),
        }
    }

    /// The exit code so far.
    pub(crate) fn code(&self) -> u8 {
        if self.failed.is_empty() {
            exit::DONE
        } else {
            exit::SOME_FAILED
        }
    }

    /// From here on nobody listens.
    pub(crate) fn hush(&mut self) {
        self.quiet = true;
    }

    pub(crate) fn say(&mut self, plan: &Plan, said: &Said<'_>) {
        match said {
            Said::Text(node, text) => self.text(node, text),
            Said::Detail(node, text) if self.args.verbose => self.text(node, text),
            Said::Detail(..) | Said::Power(..) => {}
            Said::Settled(node) => self.verdict(node),
            Said::Stopping(count) => {
                self.progress.clear();
                complain(
                    NAME,
                    &format!(
                        "stopping: no node begins any more, {count} go on to their end; once more, and they are left as they are (--resume)"
                    ),
                );
            }
            Said::Tick(nodes, live) => self.tick(plan, nodes, *live),
        }
    }

    fn tick(
        &mut self,
        plan: &Plan,
        nodes: &BTreeMap<String, Node>,
        live: &dyn Fn(&str) -> Option<Live>,
    ) {
        if self.progress.visible() && !self.quiet {
            let (height, width) = self.progress.size();
            self.progress
                .block(&mut || view::lines(plan, nodes, live, height, width));
        }
    }

    fn verdict(&mut self, node: &Node) {
        let good = node.state == State::Good;
        if self.args.json {
            let value = serde_json::json!({
                "format": 1, "node": node.node, "status": if good { "done" } else { "failed" },
                "why": node.why, "bmc": node.runs.bmc, "host": node.runs.host,
            });
            self.record(&value.to_string());
        } else if good && !node.why.is_empty() {
            self.text(&node.node, &node.why);
        }
        if !good {
            self.error(Some(&node.node), &node.why);
        }
        self.settled(&node.node, (!good).then_some(node.why.as_str()));
    }

    /// xCAT's block, then ours on standard error.
    pub(crate) fn summary(&mut self, plan: &Plan, nodes: &BTreeMap<String, Node>) {
        use firmware_update::Goal;
        if matches!(plan.goal, Goal::Activate | Goal::Run { .. }) && !self.args.json {
            texts::summary(nodes.values())
                .iter()
                .for_each(|line| self.record(line));
        }
        self.counted();
        if plan.options.trust.insecure && !self.quiet {
            complain(
                NAME,
                &format!(
                    "certificates of {} BMCs were not checked (--insecure)",
                    nodes.len()
                ),
            );
        }
    }

    /// How many, and the failed ones as a noderange.
    pub(crate) fn counted(&mut self) {
        if self.quiet {
            return;
        }
        self.progress.clear();
        let failed = noderange::fold(self.failed.keys().map(String::as_str));
        let listed = if failed.is_empty() {
            String::new()
        } else {
            format!(": {failed}")
        };
        complain(
            NAME,
            &format!(
                "{} done; {} failed{listed}",
                self.good.len(),
                self.failed.len()
            ),
        );
    }

    pub(crate) fn failed_to(&mut self) -> anyhow::Result<()> {
        if let Some(path) = &self.args.failed_to {
            let folded = noderange::fold(self.failed.keys().map(String::as_str));
            program::write_failed(path, &folded).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}
