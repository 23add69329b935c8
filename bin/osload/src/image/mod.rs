//! `osload image`: what lies in the store.

pub(crate) mod args;
mod row;
mod show;

use anyhow::Context;
use disk_image::{Request, Store, check_name};
use program::{Output, Progress, Site, Usage, complain, exit, paths};
use xcat_tables::{Error, Location, Tables};

use crate::NAME;
use args::Command;

/// Does what was typed after `image`.
pub(crate) fn image(command: &Command, json: bool) -> anyhow::Result<u8> {
    let mut out = Output::new();
    let code = run(&mut out, command, json);
    out.finish().context("standard output")?;
    code
}

fn run(out: &mut Output, command: &Command, json: bool) -> anyhow::Result<u8> {
    let directory = Site::read()?.image_dir();
    let orders = paths::state_dir().join("osload/orders");
    let store = Store::open(&directory, &orders)?;
    match command {
        Command::Add {
            name,
            file,
            format,
            frame_size,
            level,
            jobs,
        } => {
            let request = Request {
                name: name.clone(),
                file: file.clone(),
                format: *format,
                frame_size: *frame_size,
                level: *level,
                jobs: jobs.count(),
            };
            add(out, &store, &request, json)
        }
        Command::List => list(out, &store, json),
        Command::Show { name } => {
            good(name)?;
            let digest = store.resolve(name)?;
            show::show(out, name, digest, &manifest(&store, name)?, json);
            Ok(exit::DONE)
        }
        Command::Verify { names, jobs } => verify(out, &store, names, jobs.count(), json),
        Command::Rm { names } => rm(&store, names),
    }
}

fn add(out: &mut Output, store: &Store, request: &Request, json: bool) -> anyhow::Result<u8> {
    let name = &request.name;
    good(name)?;
    // Before hours of work: are there tables, and is the name free there? No handle crosses a fork.
    row::may_have(&tables()?, name)?;
    let mut progress = Progress::new();
    let added = store.add(request, &mut |done, all| {
        let percent = u128::from(done) * 100 / u128::from(all.max(1));
        progress.show(&format!("{name}: {percent} % of {} MiB", all >> 20));
    });
    progress.clear();
    let added = added?;
    if let Some(error) = added.not_swept {
        complain(
            NAME,
            &format!("{error}: images that nobody uses stay until it is right"),
        );
    }
    row::write(
        &tables()?,
        name,
        &store.directory().join("names").join(name),
    )
    .with_context(|| format!("{name}: is stored, but not in the tables: add it again"))?;
    show::line(
        out,
        name,
        added.digest,
        &store.manifest(added.digest)?,
        json,
    );
    Ok(exit::DONE)
}

fn tables() -> Result<Tables, Error> {
    Tables::open(&Location::find()?)
}

fn list(out: &mut Output, store: &Store, json: bool) -> anyhow::Result<u8> {
    let mut code = exit::DONE;
    for named in store.list()? {
        let read = named
            .digest
            .and_then(|digest| Ok((digest, store.manifest(digest)?)));
        match read {
            Ok((digest, manifest)) => show::line(out, &named.name, digest, &manifest, json),
            Err(error) => {
                complain(NAME, &format!("{}: {error}", named.name));
                code = exit::SOME_FAILED;
            }
        }
    }
    Ok(code)
}

fn verify(
    out: &mut Output,
    store: &Store,
    names: &[String],
    jobs: usize,
    json: bool,
) -> anyhow::Result<u8> {
    each(names, |name| {
        let digest = store.resolve(name)?;
        let wrong = store.verify(digest, jobs)?;
        show::verified(out, name, digest, &wrong, json);
        for why in &wrong {
            complain(NAME, &format!("{name}: {why}"));
        }
        Ok(wrong.is_empty())
    })
}

fn rm(store: &Store, names: &[String]) -> anyhow::Result<u8> {
    let tables = tables()?;
    each(names, |name| {
        // A row never means an image that is not there.
        row::remove(&tables, name)?;
        store.remove(name)?;
        Ok(true)
    })
}

/// Does something for each image; an error of one is said, and the others go on. The exit code: as
/// elsewhere for nodes.
fn each(
    names: &[String],
    mut work: impl FnMut(&str) -> anyhow::Result<bool>,
) -> anyhow::Result<u8> {
    for name in names {
        good(name)?;
    }
    let (mut done, mut bad) = (0, 0);
    for name in names {
        match work(name) {
            Ok(true) => done += 1,
            Ok(false) => bad += 1,
            Err(error) => {
                let why = format!("{error:#}");
                let subject = format!("{name}: ");
                let again = if why.starts_with(&subject) {
                    ""
                } else {
                    &subject
                };
                complain(NAME, &format!("{again}{why}"));
            }
        }
    }
    Ok(match (done, bad) {
        (done, _) if done == names.len() => exit::DONE,
        (0, 0) => exit::NOTHING,
        _ => exit::SOME_FAILED,
    })
}

/// A name that no image can have is a slip of the command line.
fn good(name: &str) -> Result<(), Usage> {
    check_name(name).map_err(|error| Usage(error.to_string()))
}

fn manifest(store: &Store, name: &str) -> anyhow::Result<disk_image::Manifest> {
    let digest = store.resolve(name)?;
    store.manifest(digest).with_context(|| name.to_string())
}
