//! What was typed.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use firmware_update::{Limits, MaxFail, OPTIONS, Options, Trust, Waves};

/// Sends firmware to BMCs, activates it, and says what runs afterwards.
#[derive(Debug, Parser)]
#[command(name = "rflash", version = program::VERSION, disable_version_flag = true, disable_help_flag = true)]
pub(crate) struct Args {
    /// The nodes; `-` reads their names from standard input
    #[arg(value_name = "NODERANGE")]
    pub(crate) noderange: Option<String>,
    /// A firmware archive, an image's ID, or a directory of archives
    #[arg(value_name = "FILE|ID|DIRECTORY")]
    pub(crate) words: Vec<String>,
    /// Show the images that BMCs hold
    #[arg(short = 'l', long)]
    pub(crate) list: bool,
    /// Show the versions that run, after that of a file
    #[arg(short = 'c', long)]
    pub(crate) check: bool,
    /// Send an archive
    #[arg(short = 'u', long)]
    pub(crate) upload: bool,
    /// Send an archive and activate it, or activate an image by its ID
    #[arg(short = 'a', long)]
    pub(crate) activate: bool,
    /// Send, activate and run the archives of a directory
    #[arg(short = 'd')]
    pub(crate) directory: bool,
    /// Remove an image by its ID
    #[arg(long)]
    pub(crate) delete: bool,
    /// Give BMCs root's ssh key, and log in with it
    #[arg(long, conflicts_with_all = ["words", "list", "check", "upload", "activate", "directory", "delete", "preflight"])]
    pub(crate) sshkey: bool,
    /// With -d, leave the host on: its new firmware waits for the next power cycle
    #[arg(long)]
    pub(crate) no_host_reboot: bool,
    /// Say more
    #[arg(short = 'V', long)]
    pub(crate) verbose: bool,
    /// Refuse a noderange with a part that means something else by accident, instead of warning
    #[arg(long)]
    pub(crate) strict: bool,
    /// Look at every BMC as before an update, and change nothing
    #[arg(long)]
    pub(crate) preflight: bool,
    /// Leave nodes alone that run the version already
    #[arg(long)]
    pub(crate) skip_current: bool,
    /// With -c, show only BMCs that differ from most
    #[arg(long)]
    pub(crate) outliers: bool,
    /// Talk to so many BMCs at a time
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) fanout: u32,
    /// So many nodes go first; the others only if those end well
    #[arg(long, value_name = "N")]
    pub(crate) canary: Option<usize>,
    /// Begin so many nodes, then pause
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// The pause, in seconds
    #[arg(long, value_name = "S", default_value_t = 10)]
    pub(crate) pause: u64,
    /// Begin no more nodes once more than so many have failed, or so many of a hundred
    #[arg(long, value_name = "N|N%")]
    pub(crate) max_fail: Option<MaxFail>,
    /// Bytes a second for all uploads together; k, M and G are understood
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    pub(crate) rate: Option<u64>,
    /// Where BMCs that take no upload fetch the archives; below a URL that ends in `/` by their names
    #[arg(long, value_name = "URL", value_parser = url)]
    pub(crate) pull: Option<String>,
    /// Refuse an archive with another SHA-256
    #[arg(long, value_name = "DIGEST")]
    pub(crate) sha256: Option<String>,
    /// Change limits, in seconds
    #[arg(long, value_name = "NAME=S[,NAME=S]")]
    pub(crate) timeout: Vec<String>,
    /// Accept any certificate
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Take over changed certificates
    #[arg(long)]
    pub(crate) accept_new_cert: bool,
    /// Go on without a terminal; prints the run's ID
    #[arg(long)]
    pub(crate) background: bool,
    /// Show all runs, or how one goes
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["cancel", "resume", "noderange"])]
    pub(crate) status: Option<String>,
    /// Stop a run, or drop one that was interrupted
    #[arg(long, value_name = "ID", conflicts_with_all = ["resume", "noderange"])]
    pub(crate) cancel: Option<String>,
    /// Go on with a run that was interrupted
    #[arg(long, value_name = "ID", conflicts_with = "noderange")]
    pub(crate) resume: Option<String>,
    /// In a process of its own, for --background
    #[arg(long, hide = true, requires = "resume")]
    pub(crate) detached: bool,
    /// Write a page with the time line of each node
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Ask (on a terminal) or refuse if there are more nodes
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) max_nodes: usize,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// One JSON object per record and line
    #[arg(long)]
    pub(crate) json: bool,
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

impl Args {
    /// xCAT's options in the order and spelling in which they were typed: its refusals repeat them.
    pub(crate) fn typed(&self) -> Vec<String> {
        let known = |word: &str| {
            word == "--no-host-reboot"
                || OPTIONS
                    .iter()
                    .any(|(short, long)| word == *short || word == *long)
        };
        let mut typed: Vec<String> = std::env::args()
            .skip(1)
            .filter(|word| known(word))
            .collect();
        // What was typed in one word (`-aV`) is found by what it set.
        let set = [
            self.check,
            self.list,
            self.activate,
            self.upload,
            self.directory,
            self.delete,
        ];
        for ((short, long), _) in OPTIONS.iter().zip(set).filter(|(_, set)| *set) {
            if !typed.iter().any(|word| word == short || word == long) {
                typed.push((*short).to_string());
            }
        }
        typed
    }

    /// What the library is told.
    pub(crate) fn options(&self) -> Result<Options, String> {
        let mut limits = Limits::default();
        for text in &self.timeout {
            limits
                .parse(text)
                .map_err(|why| format!("--timeout: {why}"))?;
        }
        Ok(Options {
            fanout: self.fanout as usize,
            waves: Waves {
                canary: self.canary,
                batch: self.batch,
                pause: Duration::from_secs(self.pause),
                max_fail: self.max_fail,
            },
            limits,
            rate: self.rate,
            pull: self.pull.clone(),
            skip_current: self.skip_current,
            trust: Trust {
                insecure: self.insecure,
                accept_new: self.accept_new_cert,
            },
        })
    }
}

/// `20M`, `1G`, `500k`, or plain bytes.
fn rate(text: &str) -> Result<u64, String> {
    let wrong = || "is no number of bytes a second".to_string();
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit) {
        Some(rate) if rate >= 1000 => Ok(rate),
        _ => Err(wrong()),
    }
}

/// An address that a BMC can fetch from.
fn url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(text.to_string())
        }
        _ => Err("is no http:// or https:// URL".to_string()),
    }
}
