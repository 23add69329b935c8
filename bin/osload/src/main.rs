//! osload: disk images, and disks loaded from them.

mod args;
mod image;
mod load;
mod serve;

use std::process::ExitCode;

use program::Usage;

use args::{Args, Command};

const NAME: &str = "osload";

fn main() -> ExitCode {
    program::run(NAME, osload)
}

fn osload(args: Args) -> anyhow::Result<u8> {
    if args.command.is_some() && args.load.is_given() {
        let why = "image, serve: what belongs to loading does not go with them";
        return Err(Usage(why.to_string()).into());
    }
    match &args.command {
        Some(Command::Image { command }) => image::image(command, args.json),
        Some(Command::Serve(args)) => serve::serve(args),
        None if args.load.list => image::image(&image::args::Command::List, args.json),
        None => load::load(&args.load, args.json),
    }
}
