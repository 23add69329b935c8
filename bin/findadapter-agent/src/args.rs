//! What was typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tls::Pin;
use xcat_request::{Target, master};

/// Reads this node's network adapters from the kernel and reports them to its master.
#[derive(Debug, Parser)]
#[command(name = "findadapter-agent", version = program::VERSION, disable_version_flag = true, disable_help_flag = true)]
pub(crate) struct Args {
    /// Print the report on standard output and send nothing
    #[arg(long, conflicts_with_all = ["master", "pin", "ca"])]
    pub(crate) print: bool,
    /// Report nothing: ask the master what this node shall do now, or next
    #[arg(long, value_name = "now|next", conflicts_with_all = ["print", "nonce"])]
    pub(crate) destiny: Option<Destiny>,
    /// Read the files of this tree instead of this machine's
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) sysroot: PathBuf,
    /// Report there
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) master: Option<Target>,
    /// Give up after so many seconds, with all attempts
    #[arg(long, value_name = "S", default_value = "240", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// Believe only a server whose key has this SHA-256 digest
    #[arg(long, value_name = "HEX", conflicts_with = "ca")]
    pub(crate) pin: Option<Pin>,
    /// Believe only a server with a certificate of an authority in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The number that the boot target handed over
    #[arg(long, value_name = "HEX", value_parser = nonce)]
    pub(crate) nonce: Option<String>,
    /// Show this text
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    pub(crate) help: Option<bool>,
    /// Show the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub(crate) version: Option<bool>,
}

/// Which state of its chain a node asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Destiny {
    /// The present one.
    Now,
    /// The one after it: the chain moves on.
    Next,
}

/// Less than the 300 s after which the newer genesis ends an action.
fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(seconds @ 1..=299) => Ok(Duration::from_secs(seconds)),
        _ => Err("not 1 to 299 seconds"),
    }
}

fn nonce(text: &str) -> Result<String, &'static str> {
    match master::is_nonce(text) {
        true => Ok(text.to_string()),
        false => Err("not 1 to 64 hexadecimal digits"),
    }
}
