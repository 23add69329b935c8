//! Who may do what: xCAT's `policy` table, judged strictly.
//!
//! Rows are looked at in the order of their priority; the first that fits decides, node by node. What
//! xCAT guesses we refuse, so that nothing is allowed here that xCAT would not allow:
//!
//! - Only the words `allow`, `accept` and `trusted` allow (any case); `deny` and `reject` deny. Any
//!   other rule cannot be read.
//! - A row that names the user, the host and the command must be readable as a whole, else the
//!   request is refused, with the row's priority: an unknown rule, a pattern beyond our subset of
//!   Perl's, a noderange with a name that is no node, any time (xCAT has never said what a time looks
//!   like), a list where xCAT takes one name, a lone `0` (which xCAT takes for "anything").
//! - A row whose priority is no number may come before any other, so it is looked at first, and
//!   cannot be read. Of rows with equal priorities those that deny come first.
//! - A row that allows some of the nodes settles those, and the others go on; a row that denies some
//!   refuses the request. At the end every node must have been allowed.
//! - A program of ours that no row names for a node needs all the xCAT commands that it stands for: a
//!   row for all commands is not enough if an earlier one denies one of them.
//! - A user whose name is also that of a node or a master is refused: xCAT's certificates carry host
//!   names in the same place.

mod finding;
mod parameters;
mod rule;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use finding::Finding;
use rule::{Rule, is_user};

use crate::{Error, Tables};

/// The table and what it speaks of, read once: judging reads nothing.
#[derive(Debug, Clone)]
pub struct Policy {
    rules: Vec<Rule>,
    /// Names of nodes and masters, in small letters, with and without their domain.
    hosts: BTreeSet<String>,
}

/// Who wants to do what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The login name.
    pub user: String,
    /// The names of the host that the request comes from.
    pub hosts: Vec<String>,
    /// What is to be done.
    pub call: Call,
    /// What it comes to in xCAT's commands, where no row names `call`'s own; none: it is one of those.
    pub stands_for: Vec<Call>,
    /// On which nodes: names, expanded.
    pub nodes: Vec<String>,
}

/// A command and its arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// As the column `commands` has it.
    pub command: String,
    /// Joined with blanks, the text that the column `parameters` is matched with.
    pub arguments: Vec<String>,
}

/// What the table says of a request, as a whole: no part of a refused request may be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All of it.
    Allowed,
    /// Nothing of it.
    Refused {
        /// Which row, or that there is none, and for which nodes (folded).
        why: String,
    },
}

impl Policy {
    /// Reads the table, expands its noderanges, and learns the names of nodes and masters.
    ///
    /// # Errors
    /// If a table cannot be read. A row that cannot be understood is a [`Finding`], no error.
    pub fn read(tables: &Tables) -> Result<Policy, Error> {
        let names = tables.names()?;
        let rows = tables.rows("policy")?;
        let mut hosts = Hosts::default();
        for node in noderange::Names::nodes(&names) {
            hosts.add(node);
        }
        if let Some(master) = tables.site("master")? {
            hosts.add(&master);
        }
        for row in tables.rows("noderes")? {
            if let Some(master) = row.get("xcatmaster") {
                hosts.add(master);
            }
        }
        if let Ok(own) = nix::unistd::gethostname() {
            hosts.add(&own.to_string_lossy());
        }
        let rules = rows.iter().map(|row| Rule::read(row, &names));
        let mut rules: Vec<Rule> = rules.collect();
        rule::sort(&mut rules);
        Ok(Policy {
            rules,
            hosts: hosts.0,
        })
    }

    /// Rows that do not mean what they say, in the order of judging.
    pub fn findings(&self) -> Vec<Finding> {
        self.rules.iter().flat_map(Rule::findings).collect()
    }

    /// Judges a request. Depends on nothing but the two.
    pub fn judge(&self, request: &Request) -> Verdict {
        match self.try_to_allow(request) {
            Ok(()) => Verdict::Allowed,
            Err(why) => Verdict::Refused { why },
        }
    }

    fn try_to_allow(&self, request: &Request) -> Result<(), String> {
        let user = &request.user;
        if !is_user(user) {
            return Err("the user has no name that policy could know".into());
        }
        if self.hosts.contains(&user.to_ascii_lowercase()) {
            return Err(format!("{user} is also the name of a node or a master"));
        }
        let calls = || std::iter::once(&request.call).chain(&request.stands_for);
        if !calls().all(Call::is_plain) {
            return Err("an argument is not plain text".into());
        }
        let nodes: BTreeSet<&str> = request.nodes.iter().map(String::as_str).collect();
        if nodes.is_empty() {
            return Err("there are no nodes to judge".into());
        }
        let own = self.walk(request, &request.call, nodes)?;
        if request.stands_for.is_empty() {
            return own.all_allowed(&request.call);
        }
        let rest: BTreeSet<&str> = own.by_any.union(&own.left).copied().collect();
        for call in &request.stands_for {
            self.walk(request, call, rest.clone())?.all_allowed(call)?;
        }
        Ok(())
    }

    /// What the rows say of one command.
    fn walk<'n>(
        &self,
        request: &Request,
        call: &Call,
        nodes: BTreeSet<&'n str>,
    ) -> Result<Walk<'n>, String> {
        let mut walk = Walk {
            by_any: BTreeSet::new(),
            left: nodes,
        };
        for rule in &self.rules {
            if walk.left.is_empty() {
                break;
            }
            if !rule.concerns(&request.user, &request.hosts, &call.command) {
                continue;
            }
            rule.readable()?;
            if !rule.fits(&call.arguments.join(" ")) {
                continue;
            }
            let covered = rule.covers(&walk.left);
            if covered.is_empty() {
                continue;
            }
            if !rule.allows() {
                let nodes = noderange::fold(covered);
                return Err(format!("{rule} denies {} on {nodes}", call.command));
            }
            walk.left.retain(|node| !covered.contains(node));
            if !rule.names_command() {
                walk.by_any.extend(covered);
            }
        }
        Ok(walk)
    }
}

/// Nodes after the rows have been looked at; those that a row for this very command allows are gone.
struct Walk<'n> {
    /// Allowed by a row for all commands.
    by_any: BTreeSet<&'n str>,
    /// Allowed by none.
    left: BTreeSet<&'n str>,
}

impl Walk<'_> {
    fn all_allowed(self, call: &Call) -> Result<(), String> {
        if self.left.is_empty() {
            return Ok(());
        }
        let nodes = noderange::fold(self.left);
        Err(format!("no policy row allows {} on {nodes}", call.command))
    }
}

impl Call {
    /// A command with its arguments.
    pub fn new<'a>(command: &str, arguments: impl IntoIterator<Item = &'a str>) -> Call {
        Call {
            command: command.into(),
            arguments: arguments.into_iter().map(String::from).collect(),
        }
    }

    /// Printable ASCII: Perl's `$` also matches before a last newline, and its `.` and `\w` depend on
    /// how it took other bytes.
    fn is_plain(&self) -> bool {
        let plain = |text: &String| text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        plain(&self.command) && self.arguments.iter().all(plain)
    }
}

#[derive(Default)]
struct Hosts(BTreeSet<String>);

impl Hosts {
    fn add(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        if name.parse::<IpAddr>().is_err()
            && let Some((label, _)) = name.split_once('.')
        {
            self.0.insert(label.into());
        }
        self.0.insert(name);
    }
}
