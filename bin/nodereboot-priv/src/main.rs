//! The privileged entry to nodereboot and osload, by the setuid bit or by sudo.
//!
//! Checks who calls and what is asked, puts everything that was inherited to a known state, and runs
//! the installed program as root, in a session of its own. Decides nothing about nodes: the program
//! that it runs judges the request by the name of the real user.
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod args;
mod enter;
mod installed;
mod say;
mod spelling;

use std::process::ExitCode;

use args::Asked;

/// Wrong usage, and a pipe that is none: nothing was done.
const USAGE: u8 = 2;
/// Nothing could be done at all.
const NOTHING: u8 = 3;

fn main() -> ExitCode {
    say::hide_panics();
    // Pure: nothing is opened, nothing is asked of the system.
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Help) => say::show(args::HELP),
        Ok(Asked::Version) => say::show(concat!(
            "nodereboot-priv (xcat-nodetools) ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        )),
        Ok(Asked::Run(request)) => match enter::enter(&request) {
            Ok(code) => ExitCode::from(code),
            Err(refusal) => say::refuse(refusal.code, &refusal.why),
        },
        Err(why) => say::refuse(USAGE, &format!("{why} (-h shows the usage)")),
    }
}
