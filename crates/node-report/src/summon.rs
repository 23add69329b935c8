//! A waiter sees to it that somebody listens: the one callbackd that runs, or one started for as long
//! as anybody waits.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fork_worker::command;
use single_server::Kind;
use tls::{Identity, ServerContext};
use xcat_tables::Tables;

use crate::Error;
use single_server::PrivateDir;

/// xCAT's port, for sites without its daemon.
const XCATD: u16 = 3001;

/// Where callbackd listens beside xCAT's daemon, if site key `nodetoolsport` says nothing. 3001 and
/// 3002 are xCAT's.
const BESIDE_XCATD: u16 = 3003;

/// How long a callbackd may take until it listens.
const START: Duration = Duration::from_secs(20);

/// The one callbackd of this host.
pub fn kind() -> Result<Kind, Error> {
    let kind = Kind::new(&directory()?, "callbackd")?;
    kind.init_once()?;
    Ok(kind)
}

/// Where callbackd's lock and key are: a directory of ours alone.
fn directory() -> Result<PathBuf, Error> {
    let dir = program::paths::state_dir().join("callbackd");
    PrivateDir::open(&dir)?;
    Ok(dir)
}

/// callbackd's key and certificate; made at the first call, kept for ever.
pub fn identity() -> Result<Identity, Error> {
    let name = nix::unistd::gethostname().map_err(|why| Error::Host(why.to_string()))?;
    Ok(tls::identity(&directory()?, &name.to_string_lossy())?)
}

/// What our agents know callbackd by.
pub fn pin() -> Result<String, Error> {
    Ok(ServerContext::new(&identity()?, None)?.pin().to_string())
}

/// Where nodes reach a callbackd that published `address`: a listener on every address is reached at
/// site.master, else under this host's name.
pub fn reachable(tables: &Tables, address: &str) -> Result<String, Error> {
    let Some(address) = address
        .parse::<SocketAddr>()
        .ok()
        .filter(|address| address.ip().is_unspecified())
    else {
        return Ok(address.into());
    };
    let port = address.port();
    let master = match tables.site("master")? {
        Some(master) => master,
        None => nix::unistd::gethostname()
            .map_err(|why| Error::Host(why.to_string()))?
            .to_string_lossy()
            .into_owned(),
    };
    // Genesis has no resolver to speak of: an address, wherever the name gives one.
    let resolved = (master.as_str(), port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next());
    Ok(resolved.map_or_else(|| format!("{master}:{port}"), |address| address.to_string()))
}

/// The port to listen on: site key `nodetoolsport`; else 3001, or site key `xcatdport`, where xCAT's
/// daemon is not installed. Where it is, its port is never taken, running or not.
pub fn port(tables: &Tables) -> Result<u16, Error> {
    let number = |key: &str| -> Result<Option<u16>, Error> {
        let Some(text) = tables.site(key)? else {
            return Ok(None);
        };
        let port = text.trim().parse().ok().filter(|port| *port != 0);
        port.map(Some).ok_or_else(|| {
            Error::Host(format!(
                "site.{key}: {}: is no port",
                program::escape(&text)
            ))
        })
    };
    let xcatd = number("xcatdport")?.unwrap_or(XCATD);
    let installed = program::paths::xcat_command("xcatd").is_some();
    match number("nodetoolsport")? {
        Some(port) if installed && port == xcatd => Err(Error::Host(format!(
            "site.nodetoolsport: {port}: is the port of xCAT's daemon, which is installed"
        ))),
        Some(port) => Ok(port),
        None if installed => Ok(BESIDE_XCATD),
        None => Ok(xcatd),
    }
}

/// The address on which a callbackd of this host listens, as `ADDRESS:PORT`; starts `callbackd` (its
/// path) if none does. It ends by itself when nobody waits any more.
pub fn listener(callbackd: &Path) -> Result<String, Error> {
    let kind = kind()?;
    let failed = |why: String| Error::Host(format!("{}: {why}", callbackd.display()));
    if let Some(published) = kind
        .published()
        .map_err(|error| failed(error.to_string()))?
    {
        return Ok(published.address);
    }
    let ready = command::start_detached(callbackd, &["--while-waited".into()], &[])
        .map_err(|error| failed(error.to_string()))?;
    let mut line = String::new();
    // End of file without a line: it failed, or another one was quicker and holds the lock.
    let read = BufReader::new(ready).read_line(&mut line);
    if let Err(error) = read {
        return Err(failed(error.to_string()));
    }
    match kind
        .wait_published(START)
        .map_err(|error| failed(error.to_string()))?
    {
        Some(published) => Ok(published.address),
        None => Err(failed(if line.trim().is_empty() {
            "did not start (its log says why)".into()
        } else {
            program::escape(line.trim()).into_owned()
        })),
    }
}
