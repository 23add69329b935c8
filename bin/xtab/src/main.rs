//! Makes, dumps, restores, reads and changes xCAT's tables.

mod args;
mod doctor;
mod get;
mod set;
mod show;

use std::io::stdin;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use noderange::{Expansion, Options};
use program::{Output, Usage, complain, exit};
use xcat_tables::{Error, Filter, FilterError, Location, Selection, Tables, read_file, table_of};

use args::{Args, Command, Range};

const NAME: &str = "xtab";

fn main() -> ExitCode {
    program::run(NAME, xtab)
}

fn xtab(args: Args) -> anyhow::Result<u8> {
    let mut out = Output::batched();
    let code = match &args.command {
        Command::Nodes { nodes, no_verify } if args.json => {
            Ok(nodes_json(&mut out, nodes, *no_verify))
        }
        command => run(&mut out, command, args.json),
    };
    out.finish().context("standard output")?;
    code
}

fn run(out: &mut Output, command: &Command, json: bool) -> anyhow::Result<u8> {
    match command {
        Command::Init => {
            tables()?.create_missing()?;
            Ok(exit::DONE)
        }
        Command::Load { directory } => {
            let tables = tables()?;
            let loaded = tables.load(directory)?;
            let loaded: Vec<&str> = loaded.iter().map(String::as_str).collect();
            set::tell(&tables, &loaded);
            Ok(exit::DONE)
        }
        Command::Dump {
            table,
            filters,
            last,
        } => dump(out, table, filters, *last, json),
        Command::Doctor {
            take_over: Some(name),
            ..
        } => doctor::take_over(out, name),
        Command::Doctor {
            give_back: Some(name),
            ..
        } => doctor::give_back(out, name),
        Command::Doctor {
            release_claims: true,
            ..
        } => doctor::release_claims(out, tables()?),
        Command::Doctor { .. } => doctor::doctor(out, &tables()?, json),
        Command::Restore { add, file } => restore(file, *add),
        Command::Get {
            nodes,
            columns,
            heading,
            blame,
        } => {
            let form = get::Form {
                json,
                named: *heading,
                blame: *blame,
            };
            get::get(out, nodes, columns, &form)
        }
        Command::Set {
            key,
            delete,
            all_tables,
            new,
            dry_run,
            nodes,
            values,
            max_nodes,
        } => {
            let words = set::Words {
                key: key.as_deref(),
                nodes,
                others: values,
                delete: *delete,
                all_tables: *all_tables,
                new: *new,
            };
            let most = (!dry_run).then_some(*max_nodes);
            set::set(out, &words, most, json)
        }
        Command::Nodes { nodes, no_verify } => {
            let found = names(nodes, *no_verify)?;
            for node in &found.nodes {
                out.line(&program::escape(node));
            }
            Ok(missed(found.missed))
        }
    }
}

fn tables() -> Result<Tables, Error> {
    Tables::open(&Location::find()?)
}

/// Names that are no nodes are left to the caller, unless the range is taken strictly.
fn expand(tables: &Tables, nodes: &Range) -> Result<Expansion, Error> {
    let options = Options {
        strict: nodes.strict,
        ..Options::default()
    };
    let found = tables.expand_or_read(&nodes.noderange, &mut stdin().lock(), &options)?;
    found.warnings.iter().for_each(warn);
    if nodes.strict && !found.missed.is_empty() {
        return Err(Error::Missed(found.missed));
    }
    Ok(found)
}

/// The nodes of a range by the tables, or its names as they stand.
fn names(nodes: &Range, no_verify: bool) -> Result<Expansion, Error> {
    if !no_verify {
        return expand(&tables()?, nodes);
    }
    let input = &mut stdin().lock();
    let found = xcat_tables::expand_unverified(&nodes.noderange, input, nodes.strict)?;
    found.warnings.iter().for_each(warn);
    Ok(found)
}

fn warn(warning: &noderange::Warning) {
    complain(NAME, &warning.to_string());
}

/// Names that are no nodes are said in xCAT's words; the others were served.
fn missed(names: Vec<String>) -> u8 {
    if names.is_empty() {
        return exit::DONE;
    }
    complain(NAME, &Error::Missed(names).to_string());
    exit::SOME_FAILED
}

/// One object whatever happens: a script need not look at standard error.
fn nodes_json(out: &mut Output, nodes: &Range, no_verify: bool) -> u8 {
    match names(nodes, no_verify) {
        Ok(found) => {
            out.line(&show::nodes_object(&found, None));
            missed(found.missed)
        }
        Err(error) => {
            let error = error.to_string();
            out.line(&show::nodes_object(&Expansion::default(), Some(&error)));
            complain(NAME, &error);
            exit::NOTHING
        }
    }
}

fn dump(
    out: &mut Output,
    table: &str,
    filters: &[String],
    last: Option<u32>,
    json: bool,
) -> anyhow::Result<u8> {
    match dumped(out, table, filters, last, json) {
        Ok(()) => Ok(exit::DONE),
        Err(Error::Filter(error @ FilterError::NotNumbered(_))) => {
            Err(Usage(format!("-n: {error}")).into())
        }
        // tabdump's texts and its exit code.
        Err(Error::Filter(error)) => {
            complain(NAME, &error.to_string());
            Ok(exit::SOME_FAILED)
        }
        Err(error) => Err(error.into()),
    }
}

fn dumped(
    out: &mut Output,
    table: &str,
    filters: &[String],
    last: Option<u32>,
    json: bool,
) -> Result<(), Error> {
    let filters = filters.iter().map(|text| Filter::parse(text));
    let filters = filters.collect::<Result<_, _>>()?;
    let selection = Selection { filters, last };
    let tables = tables()?;
    if json {
        for row in tables.selected(table, &selection)? {
            out.line(&show::row_object(&row));
        }
    } else {
        out.bytes(&tables.dump_selected(table, &selection)?);
    }
    Ok(())
}

fn restore(file: &Path, add: bool) -> anyhow::Result<u8> {
    let table =
        table_of(file).ok_or_else(|| Usage(format!("{}: names no table", file.display())))?;
    let dump = read_file(file)?;
    let tables = tables()?;
    tables.restore(table, &file.display().to_string(), &dump, add)?;
    set::tell(&tables, &[table]);
    Ok(exit::DONE)
}
