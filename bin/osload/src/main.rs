//! osload: disk images, and disks loaded from them.

mod args;
mod image;
mod serve;

use std::process::ExitCode;

use args::{Args, Command};

const NAME: &str = "osload";

fn main() -> ExitCode {
    program::run(NAME, osload)
}

fn osload(args: Args) -> anyhow::Result<u8> {
    match &args.command {
        Command::Image { command } => image::image(command, args.json),
        Command::Serve(args) => serve::serve(args),
    }
}
