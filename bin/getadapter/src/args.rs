//! What was typed.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Parser;

/// Asks nodes, through genesis, what network adapters they have, and stores it in nics.nicsadapter.
#[derive(Debug, Parser)]
#[command(name = "getadapter", version = program::VERSION, disable_version_flag = true, disable_help_flag = true)]
pub(crate) struct Args {
    /// The nodes; `-` reads their names from standard input
    #[arg(value_name = "NODERANGE", required = true)]
    pub(crate) noderange: String,
    /// Refuse a noderange with a part that means something else by accident, instead of warning
    #[arg(long)]
    pub(crate) strict: bool,
    /// Ask nodes again whose adapters are known
    #[arg(short = 'f', long)]
    pub(crate) force: bool,
    /// Say more, on standard error
    #[arg(short = 'V', long)]
    pub(crate) verbose: bool,
    /// Accepted and without effect, as in the original
    #[arg(short = 'u', hide = true)]
    pub(crate) update: bool,
    /// Ask nodes that run an operating system over ssh, without a reboot
    #[arg(long)]
    pub(crate) live: bool,
    /// Reboot nodes that run an operating system, too
    #[arg(long, conflicts_with = "live")]
    pub(crate) reboot_running: bool,
    /// Wait so long for all answers, in seconds
    #[arg(long, value_name = "S", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) timeout: u64,
    /// Boot, or ask by ssh, so many nodes at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) fanout: u32,
    /// Ask (on a terminal) or refuse if there are more nodes
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_nodes: usize,
    /// Say what would be done, and do nothing
    #[arg(long, conflicts_with_all = ["json", "diff"])]
    pub(crate) dry_run: bool,
    /// One JSON object per adapter and line
    #[arg(long)]
    pub(crate) json: bool,
    /// Show what changed against the stored row instead of the adapters
    #[arg(long)]
    pub(crate) diff: bool,
    /// Write `node,status` to this descriptor as nodes are settled
    #[arg(long, value_name = "N")]
    pub(crate) status_fd: Option<RawFd>,
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
