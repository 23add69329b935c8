//! rflash: firmware to any number of BMCs.

mod args;
mod keys;
mod others;
mod runs;
mod speaker;
mod update;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context;
use firmware_update::{
    Goal, Image, Outcome, Plan, Request, Step, classify, listing, ssh_key, survey,
};
use program::{Interrupt, Usage, complain, exit};
use xcat_tables::{Location, Tables};

use args::Args;
use speaker::Speaker;

const NAME: &str = "rflash";

fn main() -> ExitCode {
    if std::env::var_os(ssh_key::ASKED).is_some() {
        return ssh_key::ask_pass().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    program::run(NAME, rflash)
}

fn rflash(args: Args) -> anyhow::Result<u8> {
    // Before anything of ours is opened and could get the number of --status-fd.
    let mut speaker = Speaker::new(&args)?;
    let options = args.options().map_err(Usage)?;
    // A hang-up must not end a flash; other signals end it in the orderly way.
    let interrupt = Interrupt::deaf_to_hangup().context("signals")?;
    if let Some(id) = &args.status {
        return runs::status(&mut speaker, id, &interrupt);
    }
    if let Some(id) = &args.cancel {
        return runs::cancel(&mut speaker, id);
    }
    if let Some(id) = &args.resume {
        return runs::resume(&mut speaker, id, &interrupt);
    }
    let range = args
        .noderange
        .as_deref()
        .ok_or_else(|| Usage("NODERANGE: is required (-h shows the usage)".to_string()))?;
    let tables = Tables::open(&Location::find()?)?;
    let stdin = &mut std::io::stdin().lock();
    let nodes = tables.select(range, stdin, args.strict, &mut |warning| {
        complain(NAME, &warning.to_string());
    })?;
    if nodes.is_empty() {
        return Err(Usage(format!("{range}: names no node")).into());
    }
    if args.sshkey || keys::as_rspconfig() {
        return keys::give(&mut speaker, &tables, &nodes, &options, &interrupt);
    }
    let request = match request(&args) {
        Ok(request) => request,
        Err(text) => {
            nodes.iter().for_each(|node| speaker.refused(node, &text));
            return Ok(exit::USAGE);
        }
    };
    let read = match &request {
        Some(request) => {
            firmware_update::read_plan(request, args.words.last().map_or("", String::as_str))
        }
        None => Ok(None),
    };
    let planned = match read {
        Ok(planned) => planned,
        Err(refused) => {
            refused
                .to_string()
                .lines()
                .for_each(|line| speaker.error(None, line));
            return Ok(exit::NOTHING);
        }
    };
    let (ours, theirs) = others::split(&tables, &nodes)?;
    let mut code = others::hand_over(&mut speaker, &theirs)?;
    let found = update::targets(&tables, &ours)?;
    for (node, why) in &found.failed {
        speaker.lost(node, why);
        code = code.max(exit::SOME_FAILED);
    }
    let own = match (request, planned) {
        (None, planned) => update::preflight(
            &mut speaker,
            &tables,
            planned,
            found.good,
            options,
            &interrupt,
        )?,
        (Some(_), Some((goal, images))) => flash(
            &mut speaker,
            &tables,
            goal,
            images,
            found.good,
            options,
            &interrupt,
        )?,
        (Some(request), None) => ask(
            &mut speaker,
            &tables,
            &request,
            found.good,
            &options,
            &interrupt,
        )?,
    };
    speaker.failed_to()?;
    Ok(code.max(own))
}

/// xCAT's request; none for `--preflight` alone, or its text.
fn request(args: &Args) -> Result<Option<Request>, String> {
    let typed = args.typed();
    if args.preflight && typed.is_empty() && args.words.is_empty() {
        return Ok(None);
    }
    let cwd = std::env::current_dir().map_err(|error| format!("the working directory: {error}"))?;
    classify(&typed, &args.words, args.verbose, &cwd).map(Some)
}

fn flash(
    speaker: &mut Speaker<'_>,
    tables: &Tables,
    goal: Goal,
    images: Vec<Image>,
    targets: BTreeMap<String, bmc::Target>,
    options: firmware_update::Options,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    if speaker.args.preflight {
        let planned = Some((goal, images));
        return update::preflight(speaker, tables, planned, targets, options, interrupt);
    }
    let nodes: Vec<String> = targets.keys().cloned().collect();
    if nodes.is_empty() {
        return Ok(exit::SOME_FAILED);
    }
    program::guard(nodes.len(), speaker.args.max_nodes, "flash")?;
    let plan = Plan {
        goal,
        images,
        nodes,
        options,
    };
    update::flash(speaker, tables, plan, targets, interrupt)
}

/// `-l`, `-c`, `--delete`.
fn ask(
    speaker: &mut Speaker<'_>,
    tables: &Tables,
    request: &Request,
    targets: BTreeMap<String, bmc::Target>,
    options: &firmware_update::Options,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let step = match request {
        Request::Delete(id) => {
            speaker.announce(&format!("Attempting to delete ID={id}, please wait..."));
            Step::Delete(id.to_ascii_lowercase())
        }
        _ => Step::Look {
            images: true,
            unless_running: false,
            runs: false,
            task: None,
            after_reset: false,
        },
    };
    if let Request::Check(Some(file)) = request {
        match firmware_update::image(file) {
            Ok(image) => speaker.announce(&format!(
                "TAR {} Firmware Product Version: {}",
                image.manifest.purpose, image.manifest.version
            )),
            Err(refused) => {
                speaker.error(None, &refused.to_string());
                return Ok(exit::NOTHING);
            }
        }
    }
    if matches!(request, Request::Delete(_)) && speaker.args.dry_run {
        targets
            .keys()
            .for_each(|node| speaker.text(node, "its image would be removed"));
        return Ok(exit::DONE);
    }
    let nodes: Vec<String> = targets.keys().cloned().collect();
    let worker = firmware_update::worker(update::wire(tables, targets, options)?);
    let mut held = BTreeMap::new();
    survey(
        &nodes,
        &step,
        options,
        &worker,
        interrupt,
        &mut |node, answer| match answer {
            Ok(Outcome::Seen(seen)) => {
                let images = seen.images.unwrap_or_default();
                if speaker.args.outliers {
                    held.insert(node.to_string(), images);
                    return;
                }
                match request {
                    Request::List => {
                        if images.iter().all(|image| image.running.is_none()) {
                            speaker.text(node, listing::NO_FUNCTIONAL);
                        }
                        speaker.list(node, &images, &listing::table(&images));
                    }
                    _ => speaker.list(
                        node,
                        &images,
                        &listing::versions(&images, speaker.args.verbose),
                    ),
                }
                speaker.settled(node, None);
            }
            Ok(_) => {
                speaker.text(node, "Firmware removed");
                speaker.settled(node, None);
            }
            Err(trouble) => {
                speaker.error(Some(node), &trouble.text);
                speaker.settled(node, Some(&trouble.text));
            }
        },
    )?;
    for (node, lines) in listing::outliers(&held) {
        lines.iter().for_each(|line| speaker.text(&node, line));
        speaker.settled(&node, None);
    }
    Ok(speaker.code())
}
