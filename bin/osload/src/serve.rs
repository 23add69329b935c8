//! `osload serve`: the one image server of this host for an image.

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Context;
use disk_image::{Digest, Store};
use image_load::serve::{Remark, Service, open};
use program::syslog::{Level, log};
use program::{Interrupt, Site, close_stdout, complain, exit, paths};
use xcat_tables::Location;

use crate::NAME;

/// What was typed after `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image: a name, or the SHA-256 of a manifest
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Listen there; default: every address, a port that the image's digest chooses
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Send at most so many MiB a second, to all nodes together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: Option<u64>,
    /// End when for so many seconds no node has loaded the image
    #[arg(long, value_name = "S", default_value_t = 60)]
    idle: u64,
    /// Say troubles on standard error as well
    #[arg(short = 'V', long)]
    verbose: bool,
}

/// Serves; prints `ready ADDRESS:PORT` when nodes can ask. Where another server of the image runs there is
/// nothing to do.
pub(crate) fn serve(args: &Args) -> anyhow::Result<u8> {
    let interrupt = Interrupt::new().context("signals")?;
    let store = Store::open(
        &Site::read()?.image_dir(),
        &paths::state_dir().join("osload/orders"),
    )?;
    // No name is that long.
    let image = match args.image.parse::<Digest>() {
        Ok(digest) => digest,
        Err(_) => store.resolve(&args.image)?,
    };
    let service = Service {
        location: Location::find()?,
        image,
        listen: args.listen,
        rate: args.rate.map(|mebibytes| mebibytes << 20),
        idle: Duration::from_secs(args.idle),
    };
    let Some(mut running) = open(&store, service)? else {
        return Ok(exit::DONE);
    };
    // Whoever started us waits for this line, then for the end of the file.
    let _ = writeln!(std::io::stdout(), "ready {}", running.address);
    close_stdout().context("standard output")?;
    running.serve(interrupt.as_fd(), &mut |remark| {
        let Remark::Trouble(text) = remark;
        log(NAME, Level::Warning, &text);
        if args.verbose {
            complain(NAME, &text);
        }
    })?;
    Ok(exit::DONE)
}
