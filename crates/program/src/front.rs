//! The front of a program: arguments in, exit status out.

use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};

use crate::escape::escape;

/// What `-v` prints after the program's name: the project and its version.
pub const VERSION: &str = concat!("(xcat-nodetools) ", env!("CARGO_PKG_VERSION"));

/// Exit codes of every program; each man page has them as a table.
pub mod exit {
    /// All was done.
    pub const DONE: u8 = 0;
    /// At least one node failed.
    pub const SOME_FAILED: u8 = 1;
    /// Wrong usage: nothing was tried.
    pub const USAGE: u8 = 2;
    /// Nothing could be done at all.
    pub const NOTHING: u8 = 3;
}

/// A contradiction in what the user asked for; the front turns it into exit code 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Parses the arguments, calls `work`, and turns what it says into an exit code. An error is printed
/// as `name: subject: what happened: why`; it ends in 2 if it is a [`Usage`], else in 3.
pub fn run<A: clap::Parser>(name: &str, work: impl FnOnce(A) -> anyhow::Result<u8>) -> ExitCode {
    let args = match A::try_parse() {
        Ok(args) => args,
        Err(error) => return not_parsed(name, &error),
    };
    match work(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(name, &chain(&error));
            let usage = error.chain().any(|cause| cause.is::<Usage>());
            ExitCode::from(if usage { exit::USAGE } else { exit::NOTHING })
        }
    }
}

/// An error and its causes in one line. A cause whose text the error before it has already said is
/// not said twice.
fn chain(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !message.contains(&cause) {
            let colon = if message.is_empty() { "" } else { ": " };
            message = format!("{message}{colon}{cause}");
        }
    }
    message
}

/// Writes `name: message` to standard error, escaped, in one write. A closed standard error is
/// nobody's to be told about.
pub fn complain(name: &str, message: &str) {
    let line = format!("{name}: {}\n", escape(message));
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

fn not_parsed(name: &str, error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let _ = std::io::stdout()
            .lock()
            .write_all(error.to_string().as_bytes());
        return ExitCode::from(exit::DONE);
    }
    complain(name, &usage_message(error));
    ExitCode::from(exit::USAGE)
}

/// clap's message in the project's form: the subject first, the first line only, no `error:`.
fn usage_message(error: &clap::Error) -> String {
    let subject = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand]
        .iter()
        .find_map(|kind| error.get(*kind))
        .map(ToString::to_string);
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let first = text.lines().next().unwrap_or("wrong usage");
    let why = match (error.kind(), &subject) {
        (ErrorKind::UnknownArgument, Some(_)) => "no such option or argument".to_string(),
        (ErrorKind::MissingRequiredArgument, Some(_)) => "is required".to_string(),
        (ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand, _) => {
            "a command is required".to_string()
        }
        // clap says the subject again: `invalid value 'x' for '--pin <HEX>': why`.
        (ErrorKind::ValueValidation, Some(subject)) => {
            let again = format!(" for '{subject}'");
            first.replace(&again, "")
        }
        _ => first.to_string(),
    };
    match subject {
        Some(subject) => format!("{}: {why} (-h shows the usage)", subject.replace('\n', " ")),
        None => format!("{why} (-h shows the usage)"),
    }
}
