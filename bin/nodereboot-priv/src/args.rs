//! Arguments, before any privilege is used: bytes from somebody else.

use std::ffi::OsString;

use crate::spelling::{NODEREBOOT, OSLOAD, Spelling, Value, is_name};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The usage.
    Help,
    /// The version.
    Version,
    /// To run a program.
    Run(Request),
}

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Which program.
    pub(crate) program: Program,
    /// Its options, each one argument.
    pub(crate) options: Vec<String>,
    /// Names of nodes and groups, separated by commas; none: an option says which.
    pub(crate) nodes: Option<String>,
}

/// A program that this one is the entry to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// `nodereboot`
    Nodereboot,
    /// `osload`
    Osload,
}

pub(crate) const HELP: &str = "\
Runs the installed nodereboot, or osload, as root, for users who may by xCAT's policy

Usage: nodereboot-priv [--osload] NODES... [OPTIONS]

Arguments:
  NODES...  Names of nodes or groups, separated by blanks or commas

Options:
  --osload       Run osload; it must come first
  -h, --help     Print help
  -v, --version  Print version

All other options are those of nodereboot or osload, and are handed on:
those that name a file, a descriptor or standard input, or say which management
controllers to believe, are refused.
";

/// Arguments, and bytes of names. One argument of a program cannot be longer than 128 KiB.
const MOST: usize = 4096;
const LONGEST: usize = 120_000;

/// Parses the arguments behind the program's name.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let mut arguments = texts(arguments)?;
    let program = match arguments.first().map(String::as_str) {
        Some("--osload") => {
            arguments.remove(0);
            Program::Osload
        }
        _ => Program::Nodereboot,
    };
    let known = match program {
        Program::Nodereboot => NODEREBOOT,
        Program::Osload => OSLOAD,
    };
    let (mut options, mut nodes) = (Vec::new(), Vec::new());
    let mut texts = arguments.into_iter();
    let mut only_nodes = false;
    while let Some(text) = texts.next() {
        match text.as_str() {
            _ if only_nodes || !text.starts_with('-') => nodes.push(text),
            "-h" | "--help" => return Ok(Asked::Help),
            "-v" | "--version" => return Ok(Asked::Version),
            "--" => only_nodes = true,
            _ => options.push(option(known, &text, &mut texts)?),
        }
    }
    // All nodes that are idle: nodereboot's -a names them.
    let all = program == Program::Nodereboot && options.iter().any(|option| option == "-a");
    if all && nodes.is_empty() {
        return Ok(Asked::Run(Request {
            program,
            options,
            nodes: None,
        }));
    }
    let nodes = nodes.join(",");
    if nodes.is_empty() {
        return Err("NODES: is required".into());
    }
    if nodes.len() > LONGEST {
        return Err(format!(
            "NODES: are more than {LONGEST} bytes: name a group"
        ));
    }
    if let Some(wrong) = nodes.split(',').find(|name| !is_name(name)) {
        return Err(format!("{}: is no name of a node or group", quoted(wrong)));
    }
    Ok(Asked::Run(Request {
        program,
        options,
        nodes: Some(nodes),
    }))
}

fn texts(arguments: impl Iterator<Item = OsString>) -> Result<Vec<String>, String> {
    let mut texts = Vec::new();
    for argument in arguments {
        if texts.len() >= MOST {
            return Err(format!("arguments: are more than {MOST}"));
        }
        let text = argument
            .into_string()
            .map_err(|bytes| format!("{}: is not text", quoted(&bytes.to_string_lossy())))?;
        texts.push(text);
    }
    Ok(texts)
}

/// One option as the program is to get it: a letter with its value, or `--name=value`.
fn option(
    known: &[Spelling],
    text: &str,
    rest: &mut impl Iterator<Item = String>,
) -> Result<String, String> {
    let unknown = || {
        format!(
            "{}: no such option, or none that is handed on",
            quoted(text)
        )
    };
    let (name, mut given) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_string())),
        None => (text, None),
    };
    let (_, _, kind) = known
        .iter()
        .find(|(letter, long, _)| match name.strip_prefix("--") {
            Some(name) => *long == Some(name),
            None => letter.is_some_and(|letter| {
                name.strip_prefix('-') == Some(letter.encode_utf8(&mut [0; 4]))
            }),
        })
        .ok_or_else(unknown)?;
    if *kind == Value::None {
        return match given {
            None => Ok(text.into()),
            Some(_) => Err(format!("{name}: takes no value")),
        };
    }
    if given.is_none() {
        given = rest.next();
    }
    match given {
        Some(value) if kind.takes(&value) => Ok(match name.strip_prefix("--") {
            Some(_) => format!("{name}={value}"),
            None => format!("{name}{value}"),
        }),
        Some(value) => Err(format!("{name}: {}: is no value for it", quoted(&value))),
        None => Err(format!("{name}: needs a value")),
    }
}

/// The beginning, escaped where it is not plain.
fn quoted(text: &str) -> String {
    let text: String = text.chars().take(80).collect();
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true if !text.is_empty() => text,
        _ => format!("{text:?}"),
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
