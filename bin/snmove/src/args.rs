//! What was typed.

use std::path::PathBuf;

use clap::Parser;
use program::Usage;

/// Moves nodes to another service node: tables, boot files, routes, leases, scripts.
#[derive(Debug, Parser)]
#[command(name = "snmove", version = program::VERSION, disable_version_flag = true, disable_help_flag = true)]
pub(crate) struct Args {
    /// The nodes; `-` reads their names from standard input. Without: all nodes of the service node of -s
    #[arg(value_name = "NODERANGE", num_args = 0..)]
    pub(crate) noderange: Vec<String>,
    /// The old service node, as the management node calls it
    #[arg(short = 's', long, value_name = "SN1")]
    pub(crate) source: Option<String>,
    /// The old service node, as the nodes call it (if not given: each node's xcatmaster)
    #[arg(short = 'S', long, value_name = "SN1N")]
    pub(crate) sourcen: Option<String>,
    /// The new service node, as the management node calls it (if not given: the second of each node's servicenode)
    #[arg(short = 'd', long, value_name = "SN2")]
    pub(crate) dest: Option<String>,
    /// The new service node, as the nodes call it (if not given: its address in the node's network)
    #[arg(short = 'D', long, value_name = "SN2N")]
    pub(crate) destn: Option<String>,
    /// Do nothing on the nodes
    #[arg(short = 'i', long)]
    pub(crate) ignorenodes: bool,
    /// Run these scripts on the nodes, too; `all`: all that they have
    #[arg(short = 'P', long, value_name = "LIST")]
    pub(crate) postscripts: Option<String>,
    /// Only copy statelite files (AIX; refused here)
    #[arg(short = 'l', long)]
    pub(crate) liteonly: bool,
    /// Leave the dump device as it is (AIX; without effect here)
    #[arg(short = 'n', long)]
    pub(crate) noretarget: bool,
    /// Say more, on standard error
    #[arg(short = 'V', long)]
    pub(crate) verbose: bool,
    /// Show what would be changed and done, and do nothing
    #[arg(long, visible_alias = "dry-run")]
    pub(crate) plan: bool,
    /// Print the plan, or what --verify found, as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Carry out a plan that --plan --json printed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["noderange", "source", "plan", "undo"])]
    pub(crate) apply: Option<PathBuf>,
    /// Put the rows of a move back (if no ID is given: of the newest) that still hold what it wrote
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["noderange", "source", "plan"])]
    pub(crate) undo: Option<String>,
    /// Ask the nodes' service nodes over the network whether they serve them; move nothing
    #[arg(long, conflicts_with_all = ["plan", "apply", "undo"])]
    pub(crate) verify: bool,
    /// Do not look at the new service node before the tables are written
    #[arg(long)]
    pub(crate) no_dest_check: bool,
    /// Refuse nodes whose pool of service nodes breaks the rules, instead of warning
    #[arg(long)]
    pub(crate) strict_pool: bool,
    /// Refuse a noderange with a part that means something else by accident, instead of warning
    #[arg(long)]
    pub(crate) strict: bool,
    /// Ask (on a terminal) or refuse if more nodes would move
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(crate) max_nodes: usize,
    /// Write the failed nodes to this file, for `^FILE`
    #[arg(long, value_name = "FILE")]
    pub(crate) failed_to: Option<PathBuf>,
    /// Show this text
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    pub(crate) help: Option<bool>,
    /// Show the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub(crate) version: Option<bool>,
}

impl Args {
    /// Refuses what contradicts itself, in the original's words where it has any.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        let selects = !self.noderange.is_empty() || self.source.is_some();
        let why = if self.postscripts.is_some() && self.ignorenodes {
            "-P and -i flags cannot be specified at the same time."
        } else if self.noderange.len() > 1 {
            "Too many paramters."
        } else if !selects && self.apply.is_none() && self.undo.is_none() {
            "A node range or the source service node must be specified."
        } else if self.json && !self.plan && !self.verify {
            "--json: belongs to --plan or --verify"
        } else {
            return Ok(());
        };
        Err(Usage(format!("{why} (-h shows the usage)")))
    }
}
