//! What was typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Makes, dumps, restores, reads and changes xCAT's tables.
#[derive(Debug, Parser)]
#[command(name = "xtab", version = program::VERSION, disable_version_flag = true, disable_help_flag = true, disable_help_subcommand = true, propagate_version = true)]
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
    /// Make the tables that are missing, empty
    Init,
    /// Load every NAME.sql and NAME.csv of a directory into the table NAME, all or none
    Load {
        /// The directory; of two files for a table the .sql counts
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Print a table as comma separated values with a heading, as tabdump does
    Dump {
        /// The table
        #[arg(value_name = "TABLE")]
        table: String,
        /// Only enabled rows for which this holds, all of them if given several times; also != =~ !~ < <= > >=
        #[arg(short = 'w', value_name = "column==value")]
        filters: Vec<String>,
        /// Only the last N rows, of auditlog or eventlog
        #[arg(short = 'n', value_name = "N")]
        last: Option<u32>,
    },
    /// Replace a table by the rows of such a file, which is named after it, all or none
    Restore {
        /// Add the rows to those that are there
        #[arg(short = 'a', long = "addrows")]
        add: bool,
        /// The file; site.csv is for the table site
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print nodes' values, those of their groups included
    Get {
        #[command(flatten)]
        nodes: Range,
        /// Which values: table.column, or groups, tags, mgt, or a table for all of its columns
        #[arg(value_name = "table.column", required = true)]
        columns: Vec<String>,
        /// Name the column in each line, also if there is only one
        #[arg(short = 'H', long = "with-fieldname")]
        heading: bool,
        /// Say which group a value comes from
        #[arg(short = 'b', long)]
        blame: bool,
    },
    /// Store values in the nodes' own rows, or in rows that a key names, all or none
    Set {
        /// Take rows by what they hold, not by node, as chtab does; the first argument is then a value
        #[arg(short = 'k', long = "key", value_name = "column=value,...")]
        key: Option<String>,
        /// Remove the rows from the tables that are named in place of values
        #[arg(short = 'd', long = "delete")]
        delete: bool,
        /// With -d: from every table that is kept by node
        #[arg(long, requires = "delete", conflicts_with_all = ["key", "values"])]
        all_tables: bool,
        /// The names become nodes: none is one yet, and nodelist.groups is among the values
        #[arg(long, conflicts_with_all = ["delete", "key"])]
        new: bool,
        /// Change nothing; print what would change, old -> new
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        nodes: Range,
        /// New values: = replaces, += appends items, ,= puts them in front, ^= removes them; == != =~ !~ choose among the nodes
        #[arg(value_name = "table.column=value", required_unless_present_any = ["key", "all_tables"])]
        values: Vec<String>,
        /// Ask (on a terminal) or refuse if there are more nodes
        #[arg(long, value_name = "N", default_value_t = 1024)]
        max_nodes: usize,
    },
    /// Look for what is wrong with the tables and this host, and name a fix for each
    Doctor {
        /// Let login shells find our program of that name before xCAT's
        #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["give_back", "release_claims"])]
        take_over: Option<String>,
        /// Let them find xCAT's again
        #[arg(long, value_name = "PROGRAM", conflicts_with = "release_claims")]
        give_back: Option<String>,
        /// Store reports that wait, and remove claims of ours whose process is gone
        #[arg(long)]
        release_claims: bool,
    },
    /// Print the names of nodes, one per line
    Nodes {
        #[command(flatten)]
        nodes: Range,
        /// Read no table: every name is taken as it stands, a group's too
        #[arg(long)]
        no_verify: bool,
    },
}

/// Which nodes.
#[derive(Debug, clap::Args)]
pub(crate) struct Range {
    /// The nodes; `-` reads their names from standard input
    #[arg(value_name = "NODERANGE", allow_hyphen_values = true)]
    pub(crate) noderange: String,
    /// Refuse a noderange with a part that means something else by accident or with a name that is no node, instead of warning
    #[arg(long)]
    pub(crate) strict: bool,
}
