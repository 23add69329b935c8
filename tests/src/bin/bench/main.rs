//! `make bench`: ratios against a peer or a floor in the same run, medians of interleaved runs. Words
//! after the program's name choose parts: `reports`, `agent`, `tables`, `reboot`, `moves`, `flash`,
//! `handover`, `images`, `store`.

mod agent;
mod flash;
mod handover;
mod images;
mod measure;
mod moves;
mod reboot;
mod reports;
mod store;
mod tables;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == measure::ALONE).is_some() {
        return if measure::alone(words) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    if words.next_if(|word| word == handover::STARTED).is_some() {
        handover::started(std::path::Path::new(&words.next().expect("a file")));
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<String> = words.collect();
    for (name, part) in [
        ("reports", reports::run as fn()),
        ("agent", agent::run),
        ("tables", tables::run),
        ("reboot", reboot::run),
        ("moves", moves::run),
        ("flash", flash::run),
        ("handover", handover::run),
        ("images", images::run),
        ("store", store::run),
    ] {
        if chosen.is_empty() || chosen.iter().any(|word| word == name) {
            part();
        }
    }
    ExitCode::SUCCESS
}
