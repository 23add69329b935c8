//! The steps after the write, carried out by what is installed.

use std::collections::BTreeMap;

use boot_target::Answers;

use crate::plan::{Step, Verb};

/// What is no failure of `route`: the new one is there already, or the node has no such command; then the call that
/// follows does all of it.
const NO_MATTER: [&str; 3] = ["File exists", "not found", "No such file"];

/// What carries steps out.
pub trait Commands {
    /// Runs one of xCAT's commands for these nodes: `COMMAND NODES ARGS...`.
    ///
    /// # Errors
    /// Why it could not be run at all.
    fn xcat(&mut self, command: &str, nodes: &[String], args: &[&str]) -> Result<Answers, String>;
    /// Leaves one default route on the nodes: the new one, and not the old one if it is known.
    fn route(&mut self, nodes: &[String], new: &str, old: Option<&str>) -> Answers;
    /// Makes the nodes' DHCP clients find the new server. What each says of it; a node that does not answer, or
    /// has a fixed address, is no failure.
    fn rebind(&mut self, nodes: &[String]) -> BTreeMap<String, String>;
}

/// What somebody is told while steps are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// For standard output.
    Info(String),
    /// For standard error; the exit status says so, too.
    Failed(String),
    /// For those who want to know more.
    Remark(String),
}

/// How a step ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The nodes that it failed for, with the reason. A failure that names no node is that of all.
    pub failed: BTreeMap<String, String>,
}

/// Takes one step.
pub fn take(step: &Step, commands: &mut dyn Commands, say: &mut dyn FnMut(Said)) -> Outcome {
    let nodes = &step.nodes;
    let mut taken = Taken {
        commands,
        say,
        outcome: Outcome::default(),
    };
    match &step.verb {
        Verb::Conserver => {
            (taken.say)(Said::Info(format!(
                "Running makeconservercf {}",
                nodes.join(",")
            )));
            taken.run("makeconservercf", nodes, &[]);
        }
        Verb::BootFiles(state) => taken.run("nodeset", nodes, &[state]),
        Verb::Dhcp => taken.run("makedhcp", nodes, &[]),
        Verb::ForgetDhcp(old) => taken.forget(old, nodes),
        Verb::Route { new, old } => taken.route(nodes, new, old.as_deref()),
        Verb::Rebind => {
            for (node, text) in taken.commands.rebind(nodes) {
                (taken.say)(Said::Info(format!("{node}: {text}")));
            }
        }
        Verb::Scripts(scripts) => {
            taken.run("updatenode", nodes, &["-s"]);
            // A node that does not know its new master would run its scripts with the old one.
            let left = taken.left(nodes);
            if !left.is_empty() {
                taken.run("updatenode", &left, &["-P", &scripts.join(",")]);
            }
        }
    }
    taken.outcome
}

struct Taken<'a> {
    commands: &'a mut dyn Commands,
    say: &'a mut dyn FnMut(Said),
    outcome: Outcome,
}

impl Taken<'_> {
    fn run(&mut self, command: &str, nodes: &[String], args: &[&str]) {
        let answers = self.call(command, nodes, args);
        self.judge(command, nodes, answers, &[]);
    }

    fn call(&mut self, command: &str, nodes: &[String], args: &[&str]) -> Result<Answers, String> {
        (self.say)(Said::Remark(format!(
            "Running internal xCAT command: {command} ... "
        )));
        self.commands.xcat(command, nodes, args)
    }

    /// Adds the new default route as the original does. That leaves a dead gateway first, and needs a command that
    /// nodes of today do not have: both are mended then.
    fn route(&mut self, nodes: &[String], new: &str, old: Option<&str>) {
        let add = format!("route add default gw {new}");
        let answers = self.call("xdsh", nodes, &["-v", &add]);
        self.judge("xdsh", nodes, answers, &NO_MATTER);
        let left = self.left(nodes);
        if !left.is_empty() {
            let answers = self.commands.route(&left, new, old);
            self.judge("default route", &left, Ok(answers), &[]);
        }
    }

    /// Those that nothing has failed for.
    fn left(&self, nodes: &[String]) -> Vec<String> {
        let has_failed = |node: &&String| self.outcome.failed.contains_key(*node);
        let left = nodes.iter().filter(|node| !has_failed(node));
        left.cloned().collect()
    }

    /// A service node that is gone forgets by itself.
    fn forget(&mut self, old: &str, nodes: &[String]) {
        let command = format!("/opt/xcat/sbin/makedhcp -d {}", nodes.join(","));
        let host = [old.to_string()];
        let why = match self.call("xdsh", &host, &["-v", &command]) {
            Ok(answers) if answers.good && answers.failed.is_empty() => return,
            Ok(answers) => answers
                .failed
                .get(old)
                .cloned()
                .unwrap_or_else(|| answers.silence("xdsh")),
            Err(why) => why,
        };
        (self.say)(Said::Info(format!(
            "{old}: its DHCP server was not told to forget the nodes: {why}"
        )));
    }

    fn judge(
        &mut self,
        command: &str,
        nodes: &[String],
        answers: Result<Answers, String>,
        harmless: &[&str],
    ) {
        let answers = match answers {
            Ok(answers) => answers,
            Err(why) => return self.all_failed(nodes, &why),
        };
        let is_harmless = |why: &str| harmless.iter().any(|text| why.contains(text));
        let named = answers.failed.values().any(|why| !is_harmless(why));
        let excused = answers
            .failed
            .values()
            .chain(answers.said.values().flatten())
            .chain(&answers.general)
            .any(|text| is_harmless(text));
        // A bad status that names nobody is everybody's, and the last line of each says why.
        let everybody = !answers.good && !named && !excused;
        for node in nodes {
            let lines = answers
                .said
                .get(node)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let (said, last) = match lines.split_last() {
                Some((last, said)) if everybody => (said, Some(last)),
                _ => (lines, None),
            };
            for line in said.iter().filter(|line| !is_harmless(line)) {
                (self.say)(Said::Info(format!("{node}: {line}")));
            }
            match (answers.failed.get(node), last) {
                (Some(why), _) if !is_harmless(why) => {
                    self.fail(node, &format!("{command}: {why}"))
                }
                (_, Some(last)) => self.fail(node, &format!("{command}: {last}")),
                _ => {}
            }
        }
        let silent: Vec<String> = nodes
            .iter()
            .filter(|node| everybody && !self.outcome.failed.contains_key(*node))
            .cloned()
            .collect();
        if !silent.is_empty() {
            self.all_failed(&silent, &answers.silence(command));
        }
    }

    fn all_failed(&mut self, nodes: &[String], why: &str) {
        let folded = noderange::fold(nodes.iter().map(String::as_str));
        (self.say)(Said::Failed(format!("{folded}: {why}")));
        for node in nodes {
            self.outcome
                .failed
                .entry(node.clone())
                .or_insert_with(|| why.to_string());
        }
    }

    fn fail(&mut self, node: &str, why: &str) {
        (self.say)(Said::Failed(format!("{node}: {why}")));
        self.outcome
            .failed
            .entry(node.to_string())
            .or_insert_with(|| why.to_string());
    }
}
