//! `bmc-simulator CONFIG CONTROL`: simulates the BMCs of the configuration (JSON), prints `ready` when
//! all of them listen, is driven over the unix socket CONTROL, and ends when its standard input does
//! or its parent is gone.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, control] = arguments.as_slice() else {
        let _ = writeln!(std::io::stderr(), "usage: bmc-simulator CONFIG CONTROL");
        return ExitCode::from(2);
    };
    match simulators::serve(Path::new(config), Path::new(control)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "bmc-simulator: {why}");
            ExitCode::from(3)
        }
    }
}
