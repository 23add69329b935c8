//! The site's own way to boot nodes: one command, run once for a set of them.
//!
//! `bootcmd` in the site table is a command with an absolute path and perhaps arguments of its own. It
//! is called with two more: the action (`runcmd=getadapter`) and `ADDRESS:PORT`, where the nodes report.
//! It gets the node names on standard input, one a line, starts them so that they boot that action,
//! and prints `node: why` for each that it could not start. `NODETOOLS_REPORT`, `NODETOOLS_PIN` and
//! `NODETOOLS_NONCE` are in its environment, for kernel lines that the site writes itself.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use boot_target::{Answers, Ending};
use fork_worker::command::{self, Spec};

use crate::error::Error;
use crate::words;

/// One call may start many nodes, a few at a time.
const LIMIT: Duration = Duration::from_secs(800);
/// A line for each node fits many times.
const OUTPUT: usize = 8 * 1024 * 1024;

/// A site's boot command, ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    program: PathBuf,
    args: Vec<String>,
    limit: Duration,
}

impl Hook {
    /// Reads the value of the site key. Words are parted by blanks; quotes hold them together; no shell
    /// sees it.
    ///
    /// # Errors
    /// [`Error::Hook`] if the value cannot be read so, or its program is not the absolute path of an
    /// executable file.
    pub fn parse(value: &str) -> Result<Hook, Error> {
        let words = words::split(value).map_err(|why| Error::Hook(why.to_string()))?;
        let mut words = words.into_iter();
        let program = words
            .next()
            .ok_or_else(|| Error::Hook("is blank".to_string()))?;
        let wrong = |why: &str| Error::Hook(format!("{}: {why}", ::program::escape(&program)));
        if !program.starts_with('/') {
            return Err(wrong("is not an absolute path"));
        }
        let path = PathBuf::from(&program);
        // Said now, not when the nodes are off already.
        match path.metadata() {
            Err(error) => return Err(wrong(&error.to_string())),
            Ok(data) if !data.is_file() || data.permissions().mode() & 0o111 == 0 => {
                return Err(wrong("is no executable file"));
            }
            Ok(_) => {}
        }
        Ok(Hook {
            program: path,
            args: words.collect(),
            limit: LIMIT,
        })
    }

    /// The hook with another limit than 800 s for one call.
    pub fn with_limit(self, limit: Duration) -> Hook {
        Hook { limit, ..self }
    }

    /// Has `nodes` booted into `action`, with `environment` added to ours; returns those that were not
    /// started, with the reason. A node that the hook does not mention was started; but if it failed and
    /// mentioned nobody, or was ended (too slow, too much output), no such node is taken for started.
    pub fn boot(
        &self,
        action: &str,
        report: &str,
        nodes: &[String],
        environment: &[(String, String)],
    ) -> BTreeMap<String, String> {
        if nodes.is_empty() {
            return BTreeMap::new();
        }
        let mut spec = Spec::new(&self.program)
            .args(&self.args)
            .arg(action)
            .arg(report)
            .stdin(format!("{}\n", nodes.join("\n")))
            .deadline(self.limit);
        spec.output_limit = OUTPUT;
        for (name, value) in environment {
            spec = spec.env(name, value);
        }
        match command::run(&spec) {
            Ok(finished) => {
                let ending = Ending::of(&finished, self.limit);
                let good = ending == Ending::Good;
                let answers = Answers::of(&finished.stdout, &finished.stderr, nodes, good);
                not_started(&answers, &ending, nodes)
            }
            Err(error) => {
                let why = format!("bootcmd: {error}");
                nodes
                    .iter()
                    .map(|node| (node.clone(), why.clone()))
                    .collect()
            }
        }
    }
}

fn not_started(answers: &Answers, ending: &Ending, nodes: &[String]) -> BTreeMap<String, String> {
    let mut failed: BTreeMap<String, String> = answers
        .said
        .iter()
        .map(|(node, lines)| (node.clone(), lines.first().cloned().unwrap_or_default()))
        .collect();
    failed.extend(answers.failed.clone());
    let rest = match ending {
        Ending::Good => return failed,
        Ending::Status(_) if !failed.is_empty() => return failed,
        Ending::Status(status) => match answers.general.first() {
            Some(line) => format!("bootcmd ended with status {status}: {line}"),
            None => format!("bootcmd ended with status {status}"),
        },
        Ending::Broken(why) => format!("bootcmd {why}"),
    };
    for node in nodes {
        failed.entry(node.clone()).or_insert_with(|| rest.clone());
    }
    failed
}
