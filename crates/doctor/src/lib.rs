//! What is wrong with a cluster's tables and with this host, each with what mends it. Looks only:
//! nothing is written, locked or made. Tables are read as sets, however many nodes there are.
//! Two of the things that mend are here too, as calls of their own: [`Programs::take_over`] and its way
//! back.

mod claims;
mod cluster;
mod commands;
mod engine;
mod nodes;
mod policy;
mod pools;
mod ports;
mod programs;
mod shell;
mod strays;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use xcat_tables::{Error, Tables};

use cluster::Cluster;
pub use programs::{Programs, TakeOverError};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Nodes (folded), a row, a file, a port.
    pub subject: String,
    /// What is wrong with it.
    pub what: String,
    /// What mends it: a command where there is one.
    pub fix: String,
}

/// What one look brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// What was looked at: one word.
    pub name: &'static str,
    /// What is worth knowing and not wrong: subject and text.
    pub facts: Vec<(String, String)>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// This host, as far as the checks look at it.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where the kernel tells of processes and sockets: `/proc`.
    pub proc: PathBuf,
    /// `PATH`, as shells search it.
    pub path: OsString,
    /// xCAT's installation directory.
    pub xcat_root: PathBuf,
    /// Where our own programs are.
    pub programs: Programs,
    /// The directory of the FIFOs of those who wait.
    pub run_dir: PathBuf,
    /// Who said where the tables are: a variable or a file.
    pub setting: String,
}

impl Finding {
    fn new(subject: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Finding {
        Finding {
            subject: subject.into(),
            what: what.into(),
            fix: fix.into(),
        }
    }
}

/// Makes all checks. One that cannot be made is a finding of its own: the others are.
///
/// # Errors
/// If not even the nodes can be read.
pub fn examine(tables: &Tables, host: &Host) -> Result<Vec<Check>, Error> {
    let cluster = Cluster::read(tables)?;
    type Look = fn(&Tables, &Host, &Cluster, &mut Check) -> Result<(), String>;
    let looks: [(&'static str, Look); 9] = [
        ("tables", engine::look),
        ("ports", ports::look),
        ("commands", commands::look),
        ("nodes", nodes::look),
        ("strays", strays::look),
        ("values", values::look),
        ("pools", pools::look),
        ("policy", policy::look),
        ("claims", claims::look),
    ];
    let checks = looks.into_iter().map(|(name, look)| {
        let mut check = Check {
            name,
            ..Check::default()
        };
        if let Err(why) = look(tables, host, &cluster, &mut check) {
            let fix = "mend that and look again";
            check.findings.push(Finding::new(
                name,
                format!("cannot be looked at: {why}"),
                fix,
            ));
        }
        check
    });
    Ok(checks.collect())
}

/// For `map_err`: why a check cannot be made.
fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
