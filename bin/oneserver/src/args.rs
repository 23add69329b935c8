//! What was typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use single_server::{LockAt, Service, Standing};
use xcat_tables::Location;

/// Keeps exactly one server of a kind running, and tells where it is.
#[derive(Debug, Parser)]
#[command(name = "oneserver", version = program::VERSION, disable_version_flag = true, disable_help_flag = true, disable_help_subcommand = true, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show this text
    #[arg(short = 'h', long, global = true, action = clap::ArgAction::Help)]
    pub(crate) help: Option<bool>,
    /// Show the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    pub(crate) version: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the lock of a kind, once per cluster, or change how many instances there may be
    Init {
        #[command(flatten)]
        kind: Kind,
        /// How many servers of the kind there may be
        #[arg(long, value_name = "N", default_value_t = 1)]
        instances: u32,
    },
    /// Stand in line for the lock, and run the server while it is held
    Run(Box<Run>),
    /// Ask for a server, and print events
    Need {
        #[command(flatten)]
        kind: Kind,
        /// End when it is ready, or after so long; 0: say what is
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
    },
    /// Print the state of each instance, then a line per event
    Watch {
        #[command(flatten)]
        kind: Kind,
    },
    /// Print where the server is, a line per instance
    Address {
        #[command(flatten)]
        kind: Kind,
    },
    /// Say what runs on this host
    Status {
        #[command(flatten)]
        kind: Kind,
        /// 0: does it run; 10: is it the one; 20: does everything agree
        #[arg(long, value_name = "DEPTH", default_value_t = 0)]
        depth: u32,
    },
    /// End the server and its supervisor on this host
    Stop(Ask),
    /// Tell the server to read its settings again
    Reload(Ask),
    /// Start the server anew, keeping the lock; or try again after a failure
    Recover(Ask),
    /// Let another host run the server
    Handover(Ask),
    /// Say whether an epoch is still the greatest
    Check {
        #[command(flatten)]
        kind: Kind,
        /// What the server got as ONESERVER_EPOCH
        #[arg(value_name = "EPOCH")]
        epoch: u64,
        /// Of which instance
        #[arg(long, value_name = "N", default_value_t = 1)]
        instance: u32,
    },
    /// Print the state of every kind on this host
    List,
    /// Do what a cluster resource manager asks for, as its agent; settings come in OCF_RESKEY_ variables
    Ocf {
        /// start, stop, monitor, promote, ...; meta-data names them all
        #[arg(value_name = "ACTION", default_value = "")]
        action: String,
        /// What else a manager says
        #[arg(hide = true)]
        ignored: Vec<String>,
    },
}

/// A request to the supervisor of this host.
#[derive(Debug, clap::Args)]
pub(crate) struct Ask {
    #[command(flatten)]
    pub(crate) kind: Kind,
    /// Wait so long until it is done
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) wait: u64,
}

/// Which kind, and where its lock is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Kind {
    /// Name of the kind of server
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Directory of the lock; default: /var/lib/xcat-nodetools/oneserver, for one host
    #[arg(long, value_name = "DIR")]
    pub(crate) lockdir: Option<PathBuf>,
    /// What the lock is: flock, a file; pg, a session of the tables' PostgreSQL database
    #[arg(
        long,
        value_name = "ENGINE",
        default_value = "flock",
        hide_possible_values = true
    )]
    pub(crate) engine: Engine,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// A file
    Flock,
    /// A session of the tables' PostgreSQL database
    Pg,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) kind: Kind,
    /// Stand in line when somebody needs a server
    #[arg(long, conflicts_with = "managed")]
    pub(crate) on_demand: bool,
    /// Stand in line when a resource manager says so
    #[arg(long)]
    pub(crate) managed: bool,
    /// Publish this when the server runs; it need not say its address then
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
    /// Ends with 0 if the server works: a program and arguments, separated by blanks
    #[arg(long, value_name = "COMMAND")]
    pub(crate) check: Option<String>,
    /// The server must be ready within this time
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) start_timeout: u64,
    /// The server has this long to end before it is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) stop_timeout: u64,
    /// Start it again here at most so often in a minute
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) restarts: usize,
    /// Print `listening` on standard output when requests are heard, then close it
    #[arg(long)]
    pub(crate) announce: bool,
    /// Say every event on standard error
    #[arg(short = 'V', long)]
    pub(crate) verbose: bool,
    /// The server and its arguments
    #[arg(value_name = "COMMAND", required = true, last = true)]
    pub(crate) command: Vec<OsString>,
}

impl Kind {
    /// Where the lock is. The database is that of the tables, found as ever.
    pub(crate) fn lock(&self) -> anyhow::Result<LockAt> {
        match (self.engine, &self.lockdir) {
            (Engine::Pg, Some(_)) => {
                let why = "--lockdir: is for the engine flock";
                Err(program::Usage(why.into()).into())
            }
            (Engine::Pg, None) => Ok(LockAt::Database(Location::find()?)),
            (Engine::Flock, Some(dir)) => Ok(LockAt::Directory(dir.clone())),
            (Engine::Flock, None) => Ok(LockAt::Directory(default_lockdir())),
        }
    }
}

/// A directory of this host alone.
pub(crate) fn default_lockdir() -> PathBuf {
    program::paths::state_dir().join("oneserver")
}

impl Run {
    pub(crate) fn service(&self) -> anyhow::Result<Service> {
        let address = self.address.as_deref();
        if let Some(address) = address.filter(|address| !single_server::is_address(address)) {
            let why = format!("--address: {address}: is not one word of at most 512 bytes");
            return Err(program::Usage(why).into());
        }
        Ok(Service {
            name: self.kind.name.clone(),
            lock: self.kind.lock()?,
            command: self.command.clone(),
            standing: match (self.managed, self.on_demand) {
                (true, _) => Standing::Managed,
                (false, true) => Standing::OnDemand,
                (false, false) => Standing::Always,
            },
            address: self.address.clone(),
            check: self.check.as_ref().map(|check| words(check)),
            start_timeout: Duration::from_secs(self.start_timeout),
            stop_timeout: Duration::from_secs(self.stop_timeout),
            restarts: self.restarts,
        })
    }
}

/// A command line without a shell's ways: words between blanks.
pub(crate) fn words(text: &str) -> Vec<OsString> {
    text.split_whitespace().map(OsString::from).collect()
}
