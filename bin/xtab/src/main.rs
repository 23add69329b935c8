//! Makes, dumps, restores, reads and changes xCAT's tables.

mod args;
mod show;

use std::collections::BTreeMap;
use std::io::stdin;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use noderange::{Expansion, Options};
use program::{Output, Usage, complain, exit};
use xcat_tables::{ColumnName, Error, Location, Row, Tables, read_file, table_of};

use args::{Args, Command, Range};

const NAME: &str = "xtab";

fn main() -> ExitCode {
    program::run(NAME, xtab)
}

fn xtab(args: Args) -> anyhow::Result<u8> {
    let mut out = Output::new();
    let code = match &args.command {
        Command::Nodes { nodes } if args.json => nodes_json(&mut out, nodes),
        command => run(&mut out, command, args.json)?,
    };
    out.finish().context("standard output")?;
    Ok(code)
}

fn run(out: &mut Output, command: &Command, json: bool) -> anyhow::Result<u8> {
    match command {
        Command::Init => {
            tables()?.create_missing()?;
            Ok(exit::DONE)
        }
        Command::Load { directory } => {
            tables()?.load(directory)?;
            Ok(exit::DONE)
        }
        Command::Dump { table } => dump(out, table, json),
        Command::Restore { file } => restore(file),
        Command::Get { nodes, columns } => get(out, nodes, columns, json),
        Command::Set {
            nodes,
            values,
            max_nodes,
        } => set(nodes, values, *max_nodes),
        Command::Nodes { nodes } => {
            let found = expand(&tables()?, nodes)?;
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

fn expand(tables: &Tables, nodes: &Range) -> Result<Expansion, Error> {
    let options = Options {
        strict: nodes.strict,
        ..Options::default()
    };
    let found = tables.expand_or_read(&nodes.noderange, &mut stdin().lock(), &options)?;
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
fn nodes_json(out: &mut Output, nodes: &Range) -> u8 {
    match tables().and_then(|tables| expand(&tables, nodes)) {
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

fn dump(out: &mut Output, table: &str, json: bool) -> anyhow::Result<u8> {
    let tables = tables()?;
    if json {
        for row in tables.all_rows(table)? {
            out.line(&show::row_object(&row));
        }
    } else {
        out.bytes(&tables.dump(table)?);
    }
    Ok(exit::DONE)
}

fn restore(file: &Path) -> anyhow::Result<u8> {
    let table =
        table_of(file).ok_or_else(|| Usage(format!("{}: names no table", file.display())))?;
    let dump = read_file(file)?;
    tables()?.restore(table, &file.display().to_string(), &dump, false)?;
    Ok(exit::DONE)
}

fn get(out: &mut Output, nodes: &Range, columns: &[String], json: bool) -> anyhow::Result<u8> {
    let columns: Vec<ColumnName> = columns
        .iter()
        .map(|text| column(text))
        .collect::<Result<_, _>>()?;
    let tables = tables()?;
    let found = expand(&tables, nodes)?;
    let nodes: Vec<String> = found.nodes.into_iter().collect();
    let by_table = rows(&tables, &columns, &nodes)?;
    let mut code = missed(found.missed);
    for node in &nodes {
        let mut first = Vec::with_capacity(columns.len());
        for name in &columns {
            let rows = by_table.get(&name.table).and_then(|rows| rows.get(node));
            let rows = rows.map_or(&[][..], Vec::as_slice);
            let values: Vec<&str> = rows
                .iter()
                .filter_map(|row| row.get(&name.column))
                .collect();
            for why in rows.iter().filter_map(|row| row.failure(&name.column)) {
                complain(NAME, &format!("{node}: {name}: {why}"));
                code = exit::SOME_FAILED;
            }
            if !json {
                let label = (columns.len() > 1).then_some(name);
                for value in if values.is_empty() {
                    &[""][..]
                } else {
                    &values
                } {
                    show::line(out, node, label, value);
                }
            }
            first.push(values.first().map(ToString::to_string));
        }
        if json {
            out.line(&show::object(node, &columns, &first));
        }
    }
    Ok(code)
}

/// One read per table, whatever number of columns and nodes.
fn rows(
    tables: &Tables,
    columns: &[ColumnName],
    nodes: &[String],
) -> Result<BTreeMap<String, BTreeMap<String, Vec<Row>>>, Error> {
    let mut wanted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in columns {
        wanted.entry(&name.table).or_default().push(&name.column);
    }
    wanted
        .into_iter()
        .map(|(table, columns)| {
            Ok((
                table.to_string(),
                tables.attributes(table, &columns, nodes)?,
            ))
        })
        .collect()
}

/// Nothing is changed if any name is no node: one that was meant to be left out could be it.
fn set(nodes: &Range, values: &[String], max_nodes: usize) -> anyhow::Result<u8> {
    let values: Vec<(ColumnName, String)> = values
        .iter()
        .map(|text| {
            let (name, value) = text
                .split_once('=')
                .ok_or_else(|| Usage(format!("{text}: not of the form table.column=value")))?;
            Ok::<_, Usage>((column(name)?, value.to_string()))
        })
        .collect::<Result<_, _>>()?;
    let tables = tables()?;
    let stdin = &mut stdin().lock();
    let nodes = tables.select(&nodes.noderange, stdin, nodes.strict, &mut warn)?;
    program::guard(nodes.len(), max_nodes, "change")?;
    tables.assign(&nodes, &values)?;
    Ok(exit::DONE)
}

fn column(text: &str) -> Result<ColumnName, Usage> {
    ColumnName::parse(text).ok_or_else(|| Usage(format!("{text}: not of the form table.column")))
}
