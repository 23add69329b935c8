//! What was typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use disk_image::Digest;
use tls::Pin;
use xcat_request::{Target, master};

/// Loads the images of an order onto this node's disks, reads them back, and reports.
#[derive(Debug, Parser)]
#[command(name = "osload-agent", version = program::VERSION, disable_version_flag = true, disable_help_flag = true)]
pub(crate) struct Args {
    /// Print the disks and what is to be known of each, and stop
    #[arg(long)]
    pub(crate) print_disks: bool,
    /// Read the files of this tree instead of this machine's
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) sysroot: PathBuf,
    /// Write there instead of to the disk that the rules choose; once for each image
    #[arg(long, value_name = "PATH")]
    pub(crate) device: Vec<PathBuf>,
    /// The order's SHA-256 digest
    #[arg(long, value_name = "HEX", value_parser = digest)]
    pub(crate) order: Option<Digest>,
    /// The image servers, one for each image of the order
    #[arg(long, value_name = "ADDRESS:PORT", value_delimiter = ',')]
    pub(crate) images: Vec<SocketAddr>,
    /// Report there
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) report: Option<Target>,
    /// Report to nobody
    #[arg(long, conflicts_with_all = ["report", "pin", "ca"])]
    pub(crate) no_report: bool,
    /// The number that the boot target handed over
    #[arg(long, value_name = "HEX", value_parser = nonce)]
    pub(crate) nonce: Option<String>,
    /// Believe only a server whose key has this SHA-256 digest
    #[arg(long, value_name = "HEX", conflicts_with = "ca")]
    pub(crate) pin: Option<Pin>,
    /// Believe only a server with a certificate of an authority in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Hand on nothing to other nodes, and take nothing from them
    #[arg(long)]
    pub(crate) no_peers: bool,
    /// Give up after so many seconds; the default is what the order says
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// End when the verdict is acknowledged, whatever it is
    #[arg(long = "return")]
    pub(crate) and_return: bool,
    /// Go on in the background, as an action of the newer genesis does by itself
    #[arg(long, conflicts_with = "foreground")]
    pub(crate) detach: bool,
    /// Stay in the foreground, also as an action of the newer genesis
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Show this text
    #[arg(short = 'h', long, action = clap::ArgAction::Help)]
    pub(crate) help: Option<bool>,
    /// Show the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub(crate) version: Option<bool>,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(seconds @ 1..=31_536_000) => Ok(Duration::from_secs(seconds)),
        _ => Err("not 1 to 31536000 seconds"),
    }
}

fn nonce(text: &str) -> Result<String, &'static str> {
    match master::is_nonce(text) {
        true => Ok(text.to_string()),
        false => Err("not 1 to 64 hexadecimal digits"),
    }
}

fn digest(text: &str) -> Result<Digest, String> {
    text.parse()
        .map_err(|why: disk_image::Error| why.to_string())
}
