//! What was typed.

use std::net::{IpAddr, SocketAddr};

use clap::Parser;

/// Takes nodes' reports off the wire, makes them safe, and wakes the command that waits for them.
#[derive(Debug, Parser)]
#[command(name = "callbackd", version = program::VERSION, disable_version_flag = true, disable_help_flag = true)]
pub(crate) struct Args {
    /// Serve one conversation on standard input and output
    #[arg(long)]
    pub(crate) stdin: bool,
    /// The node's address, with --stdin; else the socket's, REMOTE_HOST or SOCAT_PEERADDR
    #[arg(long, value_name = "ADDRESS", requires = "stdin")]
    pub(crate) peer: Option<IpAddr>,
    /// Store what waits in the spool and nobody waits for, then end
    #[arg(long, conflicts_with_all = ["stdin", "listen", "while_waited"])]
    pub(crate) apply: bool,
    /// Listen there; default: every address, port of site key nodetoolsport, else 3001
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "stdin")]
    pub(crate) listen: Option<SocketAddr>,
    /// End when nobody on this host waits for a node any more
    #[arg(long, conflicts_with = "stdin")]
    pub(crate) while_waited: bool,
    /// Run connections' children as this user; default: xcat-nodetools, or nobody where that does not exist
    #[arg(long, value_name = "NAME", conflicts_with = "stdin")]
    pub(crate) user: Option<String>,
    /// Say each stored report and each refused peer on standard error
    #[arg(short = 'V', long)]
    pub(crate) verbose: bool,
    /// Show this text
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    pub(crate) help: Option<bool>,
    /// Show the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub(crate) version: Option<bool>,
}
