//! One row of the table.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use noderange::Options;
use noderange::pattern::Pattern;

use super::finding::Finding;
use super::parameters;
use crate::{NodeNames, Row};

/// A row. A condition that is None holds always; so does one that cannot be read, but then the row
/// has a finding that refuses.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    priority: String,
    place: Option<f64>,
    name: Option<String>,
    host: Option<String>,
    commands: Option<BTreeSet<String>>,
    parameters: Option<Pattern>,
    nodes: Option<BTreeSet<String>>,
    allows: bool,
    findings: Vec<Finding>,
}

/// What xCAT calls "any user with a name", and any host, command, and so on.
const ANY: &str = "*";
/// No login name and no host name is longer.
const LONGEST: usize = 255;

/// True for what a row can name: xCAT compares the whole column, so lists and patterns are none.
pub(super) fn is_user(name: &str) -> bool {
    let plain =
        |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, ',' | '*' | '\u{fffd}');
    !name.is_empty() && name.len() <= LONGEST && name != "0" && name.chars().all(plain)
}

/// Puts rows into the order of judging, and notes those whose place is not certain.
pub(super) fn sort(rules: &mut [Rule]) {
    // Rows without a place first: None is less than Some.
    rules.sort_by(|a, b| {
        let places = a.place.partial_cmp(&b.place).unwrap_or(Ordering::Equal);
        places.then(a.allows.cmp(&b.allows))
    });
    for at in 1..rules.len() {
        let before = &rules[at - 1];
        if before.place.is_some() && before.place == rules[at].place {
            let why = format!(
                "equal to that of row {:?}; those that deny come first",
                before.priority
            );
            rules[at].remark("priority", why);
        }
    }
}

impl Rule {
    pub(super) fn read(row: &Row, names: &NodeNames) -> Rule {
        let mut rule = Rule {
            priority: row.raw("priority").unwrap_or_default().into(),
            place: None,
            name: None,
            host: None,
            commands: None,
            parameters: None,
            nodes: None,
            allows: false,
            findings: Vec::new(),
        };
        rule.place = rule.take("priority", place(&rule.priority).map(Some));
        rule.allows = rule.take("rule", decision(row.get("rule").unwrap_or_default()));
        if let Some(text) = rule.condition(row, "name") {
            rule.name = rule.take("name", one_name(text).map(Some));
        }
        if let Some(text) = rule.condition(row, "host") {
            rule.host = rule.take("host", one_name(text).map(Some));
        }
        if let Some(text) = rule.condition(row, "commands") {
            rule.commands = rule.take("commands", commands(text).map(Some));
        }
        if let Some(text) = rule.condition(row, "parameters") {
            rule.parameters = rule.take("parameters", parameters::pattern(text).map(Some));
        }
        if let Some(text) = rule.condition(row, "noderange") {
            rule.nodes = rule.take("noderange", nodes(text, names).map(Some));
        }
        if rule.nodes.as_ref().is_some_and(BTreeSet::is_empty) {
            rule.remark("noderange", "has no nodes".into());
        }
        if rule.condition(row, "time").is_some() {
            rule.note(
                "time",
                "xCAT ignores it, and nothing says how to read it".into(),
            );
        }
        rule
    }

    /// The text of a condition; none if it holds always.
    fn condition<'r>(&mut self, row: &'r Row, column: &'static str) -> Option<&'r str> {
        let text = row.get(column).filter(|text| *text != ANY)?;
        if text == "0" {
            self.note(column, "xCAT takes 0 for anything".into());
            return None;
        }
        Some(text)
    }

    fn take<T: Default>(&mut self, column: &'static str, read: Result<T, String>) -> T {
        read.unwrap_or_else(|why| {
            self.note(column, why);
            T::default()
        })
    }

    /// Notes what refuses the requests that this row concerns.
    pub(super) fn note(&mut self, column: &'static str, why: String) {
        self.find(column, why, true);
    }

    fn remark(&mut self, column: &'static str, why: String) {
        self.find(column, why, false);
    }

    fn find(&mut self, column: &'static str, why: String, refuses: bool) {
        let priority = self.priority.clone();
        self.findings.push(Finding {
            priority,
            column,
            why,
            refuses,
        });
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        self.findings.iter().cloned()
    }

    /// False if the row is certainly not about them.
    pub(super) fn concerns(&self, user: &str, hosts: &[String], command: &str) -> bool {
        self.name.as_deref().is_none_or(|name| name == user)
            && self.host.as_ref().is_none_or(|host| hosts.contains(host))
            && self
                .commands
                .as_ref()
                .is_none_or(|commands| commands.contains(command))
    }

    pub(super) fn readable(&self) -> Result<(), String> {
        match self.findings.iter().find(|finding| finding.refuses) {
            Some(finding) => Err(finding.to_string()),
            None => Ok(()),
        }
    }

    pub(super) fn fits(&self, arguments: &str) -> bool {
        self.parameters
            .as_ref()
            .is_none_or(|pattern| pattern.matches(arguments))
    }

    /// Those of the nodes that it is about.
    pub(super) fn covers<'n>(&self, nodes: &BTreeSet<&'n str>) -> BTreeSet<&'n str> {
        let covered = |node: &&str| {
            self.nodes
                .as_ref()
                .is_none_or(|known| known.contains(*node))
        };
        nodes.iter().copied().filter(covered).collect()
    }

    pub(super) fn allows(&self) -> bool {
        self.allows
    }

    /// True if it is not for all commands.
    pub(super) fn names_command(&self) -> bool {
        self.commands.is_some()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy row {:?}", self.priority)
    }
}

/// A plain decimal number: what else Perl takes for one (`1x` is 1, `high` is 0) is a typing error.
fn place(text: &str) -> Result<f64, String> {
    let decimal = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    match text.parse::<f64>() {
        Ok(number) if decimal && number.is_finite() => Ok(number),
        _ => Err("is no number, so the row's place is not certain".into()),
    }
}

fn decision(text: &str) -> Result<bool, String> {
    let word = text.to_ascii_lowercase();
    match word.as_str() {
        "allow" | "accept" | "trusted" => Ok(true),
        "deny" | "reject" => Ok(false),
        _ if ["allow", "accept", "trusted"]
            .iter()
            .any(|yes| word.contains(yes)) =>
        {
            Err(format!(
                "{text:?}: xCAT takes it for allow, because the word is in it"
            ))
        }
        _ => Err(format!(
            "{text:?}: neither allow, accept, trusted nor deny, reject"
        )),
    }
}

fn one_name(text: &str) -> Result<String, String> {
    match is_user(text) {
        true => Ok(text.into()),
        false => Err(format!(
            "{text:?}: is not one name, and xCAT compares the whole"
        )),
    }
}

/// Exact names, separated by commas and nothing else.
fn commands(text: &str) -> Result<BTreeSet<String>, String> {
    let names = text.split(',').filter(|name| !name.is_empty());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let names: BTreeSet<String> = names.map(String::from).collect();
    match names.iter().find(|name| !name.chars().all(plain)) {
        Some(odd) => Err(format!("{odd:?}: is no command's name")),
        None if names.is_empty() => Err("names no command".into()),
        None => Ok(names),
    }
}

/// Expanded as the daemon does it, but: a name that is no node is an error, and so is whatever means
/// something by accident only; no file is read, and `excludenodes` is not for permissions.
fn nodes(text: &str, names: &NodeNames) -> Result<BTreeSet<String>, String> {
    let options = Options {
        honor_excludenodes: false,
        prefix: "node".into(),
        suffix: String::new(),
        files: None,
        strict: true,
        ..Options::default()
    };
    let found = noderange::expand(text, names, &options).map_err(|error| error.to_string())?;
    match found.missed.is_empty() {
        true => Ok(found.nodes),
        false => Err(format!("{}: no such node or group", found.missed.join(","))),
    }
}
