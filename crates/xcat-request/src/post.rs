//! One request to one of several masters, again until somebody acknowledges it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use tls::{ClientContext, Stream};

use crate::response::{Answer, Reader};
use crate::{Limits, Target};

/// One attempt, from connecting to the end of the answer. xcatd may fork a plugin meanwhile.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Connecting: a host that is down gives no answer at all.
const CONNECT: Duration = Duration::from_secs(10);
/// The pause after the first attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Why a request was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server said no, and would say so again.
    #[error("{target}: refused: {text}")]
    Refused {
        /// Who.
        target: Target,
        /// Its words, as they came.
        text: String,
        /// Its `<errorcode>`, if any.
        code: Option<i32>,
    },
    /// The deadline came first.
    #[error("not acknowledged in time (attempts: {attempts}): {last}")]
    Unacknowledged {
        /// How often it was tried.
        attempts: u32,
        /// What the last attempt met, subject first.
        last: String,
    },
}

/// Sends `request` (a whole `<xcatrequest>` document) to the targets in turn until one answers up to
/// `serverdone` without an error, or until `deadline`. Between rounds it pauses, 1 s at first, then
/// twice as long up to 30 s, a random half of it left out, so that a rack that was switched on
/// together does not come together for ever. `failed` hears of every attempt that failed.
///
/// Tried again: what keeps the request from being answered, and an `<error>` with the word `busy`
/// in it. Any other `<error>` is the answer.
///
/// # Errors
/// [`Error::Refused`], [`Error::Unacknowledged`].
pub fn post(
    targets: &[Target],
    context: &ClientContext,
    request: &str,
    deadline: Instant,
    mut failed: impl FnMut(&str),
) -> Result<Answer, Error> {
    let mut attempts = 0;
    let mut last = "no attempt was made".to_string();
    let mut pause = PAUSES.0;
    loop {
        for target in targets {
            if Instant::now() >= deadline {
                return Err(Error::Unacknowledged { attempts, last });
            }
            attempts += 1;
            let by = deadline.min(Instant::now() + ATTEMPT);
            match attempt(target, context, request, by) {
                Ok(answer) => match refusal(&answer) {
                    None => return Ok(answer),
                    Some((text, _)) if busy(&text) => last = format!("{target}: {text}"),
                    Some((text, code)) => {
                        let target = target.clone();
                        return Err(Error::Refused { target, text, code });
                    }
                },
                Err(why) => last = why,
            }
            failed(&last);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if targets.is_empty() || left.is_zero() {
            return Err(Error::Unacknowledged { attempts, last });
        }
        std::thread::sleep(jittered(pause).min(left));
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// One connection, one request, one answer, all of it by one moment.
fn attempt(
    target: &Target,
    context: &ClientContext,
    request: &str,
    by: Instant,
) -> Result<Answer, String> {
    let socket = connect(target, by)?;
    // The request goes out in few large writes, and then nothing more comes that could be waited for.
    let _ = socket.set_nodelay(true);
    let mut stream = context
        .connect_by(socket, &target.host, by)
        .map_err(|why| why.to_string())?;
    let answer = exchange(&mut stream, request).map_err(|why| format!("{target}: {why}"))?;
    stream.finish();
    Ok(answer)
}

fn exchange(stream: &mut Stream, request: &str) -> Result<Answer, String> {
    // A server that is busy may answer and close before it has read everything, so that a write
    // fails while the answer waits to be read.
    let written = send(stream, request);
    let failed = |why: std::io::Error| match &written {
        Ok(()) => why.to_string(),
        Err(first) => first.to_string(),
    };
    let mut reader = Reader::new(&Limits::default());
    let mut bytes = [0; 4096];
    loop {
        let count = stream.read(&mut bytes).map_err(failed)?;
        if count == 0 {
            return Err("closed the connection without an answer".into());
        }
        if reader
            .feed(&bytes[..count])
            .map_err(|why| format!("answer: {why}"))?
        {
            return reader.answer().ok_or_else(|| "no answer".to_string());
        }
    }
}

/// xcatd looks for the end tag in what one wake-up brought, so it must not be cut in two by the
/// 16 KiB of a TLS record: it travels in a record of its own.
fn send(stream: &mut Stream, request: &str) -> std::io::Result<()> {
    let end = request.rfind("</xcatrequest>").unwrap_or(request.len());
    stream.write_all(&request.as_bytes()[..end])?;
    stream.write_all(&request.as_bytes()[end..])
}

fn connect(target: &Target, by: Instant) -> Result<TcpStream, String> {
    let addresses = (target.host.as_str(), target.port)
        .to_socket_addrs()
        .map_err(|why| format!("{}: {why}", target.host))?;
    let mut last = format!("{}: no address", target.host);
    for address in addresses {
        match connect_to(&address, by) {
            Ok(socket) => return Ok(socket),
            Err(why) => last = format!("{target}: {why}"),
        }
    }
    Err(last)
}

fn connect_to(address: &SocketAddr, by: Instant) -> std::io::Result<TcpStream> {
    let left = by.saturating_duration_since(Instant::now()).min(CONNECT);
    if left.is_zero() {
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    TcpStream::connect_timeout(address, left)
}

fn refusal(answer: &Answer) -> Option<(String, Option<i32>)> {
    let failure = answer.failures().into_iter().next()?;
    Some((failure.text.trim().to_string(), failure.code))
}

fn busy(text: &str) -> bool {
    text.to_ascii_lowercase().contains("busy")
}

/// Between half of `pause` and all of it. The standard library's hash keys are random in each
/// process, which is all that is needed here.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    let thousandths = u32::try_from(random % 501).unwrap_or(0);
    pause * (500 + thousandths) / 1000
}

#[cfg(test)]
mod tests;
