//! A connection's child: unprivileged, without tables or files, it reads TLS and XML and hands one
//! validated record at a time to its parent.

use std::io;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use fork_worker::Report;
use fork_worker::confine::Confinement;
use tls::ServerContext;

use crate::conversation::{Ended, hold};
use crate::exchange::{Ask, Reply};

/// Silence after which a connection is closed: xCAT's daemon waits as long.
const SILENCE: Duration = Duration::from_secs(15);

/// What a connection may take in all; its parent ends it.
pub(crate) const IN_ALL: Duration = Duration::from_secs(30);

/// Runs in the child, from the first byte to the last.
pub(crate) fn serve(
    stream: TcpStream,
    context: &Rc<ServerContext>,
    confinement: &Confinement,
    report: &mut Report,
) -> Result<String, String> {
    let prepare = || -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        stream.set_nodelay(true)
    };
    prepare().map_err(|error| error.to_string())?;
    confinement
        .enter()
        .map_err(|error| format!("cannot give up privileges: {error}"))?;
    let mut stream = context.accept(stream).map_err(|error| error.to_string())?;
    let ended = hold(&mut stream, &mut |message| ask(report, message));
    stream.finish();
    match ended {
        Ended::Well(count) => Ok(count.to_string()),
        Ended::Badly(why) => Err(why),
    }
}

fn ask(report: &mut Report, message: &Ask) -> io::Result<Reply> {
    let line = serde_json::to_string(message).map_err(io::Error::other)?;
    let answer = report.ask(&line)?;
    serde_json::from_str(&answer).map_err(io::Error::other)
}
