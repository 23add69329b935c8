//! `osload serve`: exactly one server of an image on this host, for nodes with a living claim.
//!
//! Its files are in `<state dir>/osload/servers`: the lock and the published address of single-server,
//! and the port, which the next server of the image takes again: nodes only ask again. A crash leaves
//! nothing that anybody believes: the lock goes with the process (spec nodereboot-osload 3.7 has the
//! original's gap).

mod desk;
mod gate;
mod port;
mod progress;
mod service;

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk_image::Digest;
use single_server::{Kind, PrivateDir};

pub use progress::{Progress, progress};
pub use service::{Remark, Running, Service, open};

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(20);

/// Why there is no image server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory cannot be used.
    #[error(transparent)]
    Directory(#[from] single_server::DirError),
    /// Which server is the one.
    #[error(transparent)]
    Server(#[from] single_server::Error),
    /// The image.
    #[error(transparent)]
    Image(#[from] disk_image::Error),
    /// The tables.
    #[error(transparent)]
    Tables(#[from] xcat_tables::Error),
    /// Who we are to nodes.
    #[error(transparent)]
    Report(#[from] node_report::Error),
    /// The transfer's own trouble.
    #[error(transparent)]
    Transfer(#[from] image_transfer::Error),
    /// A file or a program.
    #[error("{}: {why}", subject.display())]
    System {
        /// Which.
        subject: PathBuf,
        /// Why not.
        why: String,
    },
}

/// The server of an image on this host.
///
/// # Errors
/// Its directory cannot be used.
pub fn kind(image: &Digest) -> Result<Kind, Error> {
    let kind = Kind::new(servers()?.path(), &format!("osload-{}", short(image)))?;
    kind.init_once()?;
    Ok(kind)
}

/// Where nodes reach the server of an image, as `ADDRESS:PORT`; starts `osload serve` (its path) if none
/// runs. It ends by itself when nobody loads the image any more.
///
/// # Errors
/// [`Error`]: it does not come up.
pub fn up(osload: &Path, image: &Digest) -> Result<String, Error> {
    let kind = kind(image)?;
    if let Some(published) = kind.published()? {
        return Ok(published.address);
    }
    let failed = |why: String| Error::System {
        subject: osload.into(),
        why,
    };
    let args: Vec<OsString> = vec!["serve".into(), image.to_string().into()];
    let ready = fork_worker::command::start_detached(osload, &args, &[])
        .map_err(|error| failed(error.to_string()))?;
    let mut line = String::new();
    // End of file without a line: it failed, or another one was quicker and holds the lock.
    BufReader::new(ready)
        .read_line(&mut line)
        .map_err(|error| failed(error.to_string()))?;
    match kind.wait_published(START)? {
        Some(published) => Ok(published.address),
        None => Err(failed(match line.trim() {
            "" => "does not serve the image (its log says why)".into(),
            said => program::escape(said).into_owned(),
        })),
    }
}

/// The first 16 digits: enough for the names of files.
fn short(image: &Digest) -> String {
    let mut text = image.to_string();
    text.truncate(16);
    text
}

fn orders() -> PathBuf {
    program::paths::state_dir().join("osload/orders")
}

fn servers() -> Result<PrivateDir, Error> {
    let above = program::paths::state_dir();
    PrivateDir::open(&above)?;
    PrivateDir::open(&above.join("osload"))?;
    Ok(PrivateDir::open(&above.join("osload/servers"))?)
}
