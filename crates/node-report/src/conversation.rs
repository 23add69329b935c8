//! One connection's requests and answers, over any stream: TLS in a connection's child, standard
//! input for one request. Everything that genesis sends is answered or refused at once.

use std::io::{self, ErrorKind, Read, Write};

use xcat_request::{Element, Framer, Limits, load, parse, response};

use crate::exchange::{Ask, Reply};

/// The longest nonce that is looked at.
const NONCE: usize = 64;

/// How a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The peer closed, or has all its answers: so many requests were answered.
    Well(usize),
    /// It was refused or broke off; the text is for the log.
    Badly(String),
}

/// Reads requests and answers each; ends when the peer closes or all that it sent is answered. xCAT's
/// daemon waits for more; a stock node's `openssl s_client -quiet` waits until the server closes, so
/// that would be 15 s of silence in every boot. `ask` brings a message to whoever stores reports and
/// returns what that says.
pub(crate) fn hold(
    stream: &mut (impl Read + Write),
    ask: &mut dyn FnMut(&Ask) -> io::Result<Reply>,
) -> Ended {
    let limits = Limits::default();
    let mut framer = Framer::new(&limits);
    let mut answered = 0;
    let mut chunk = [0; 16_384];
    loop {
        for request in framer.by_ref() {
            let answer = match answer(&request, &limits, ask) {
                Ok(answer) => answer,
                Err(why) => return Ended::Badly(why),
            };
            answered += 1;
            if let Err(error) = stream
                .write_all(answer.as_bytes())
                .and_then(|()| stream.flush())
            {
                // A stock node leaves without reading (`openssl s_client < file`); its report is safe.
                return if gone(&error) {
                    Ended::Well(answered)
                } else {
                    Ended::Badly(error.to_string())
                };
            }
        }
        if answered > 0 && !framer.is_inside() {
            return Ended::Well(answered);
        }
        let trouble = match stream.read(&mut chunk) {
            Ok(0) if framer.is_inside() => {
                return Ended::Badly("closed in the middle of a request".into());
            }
            Ok(0) => return Ended::Well(answered),
            Ok(n) => framer
                .feed(&chunk[..n])
                .map_or_else(|error| Some(error.to_string()), |()| None),
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Some("silence".into())
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = trouble {
            return Ended::Badly(why);
        }
    }
}

fn answer(
    request: &[u8],
    limits: &Limits,
    ask: &mut dyn FnMut(&Ask) -> io::Result<Reply>,
) -> Result<String, String> {
    let root = parse(request, limits).map_err(|error| error.to_string())?;
    if root.name != "xcatrequest" {
        return Err(format!("root element {}", program::escape(&root.name)));
    }
    let command = root.text_of("command").unwrap_or_default().trim();
    let message = match (command, root.text_of("action").map(str::trim)) {
        ("getadapter", Some("update")) => report(&root)?,
        ("getadapter", _) => Ask::New {
            noderange: root.text_of("noderange").unwrap_or_default().into(),
            arguments: root.all("arg").map(|arg| arg.text.clone()).collect(),
        },
        (load::COMMAND, _) => match load::from_request(&root) {
            Ok((nonce, told)) => Ask::Load { nonce, told },
            Err(why) => return Ok(response::error(&why.to_string(), 1)),
        },
        ("getdestiny", _) => Ask::Destiny { next: false },
        ("nextdestiny", _) => Ask::Destiny { next: true },
        _ => {
            return Ok(response::error(
                &format!("{}: is not served here", program::escape(command)),
                1,
            ));
        }
    };
    Ok(
        match ask(&message).map_err(|error| format!("the parent: {error}"))? {
            Reply::Stored => response::done(),
            Reply::Busy(why) => response::error(&format!("busy, try later: {why}"), 1),
            Reply::Refused(why) => response::error(&why, 1),
            Reply::Destiny { node, destiny } => response::destiny(&node, &destiny, &[]),
            Reply::Lines(lines) => response::data(&lines),
        },
    )
}

fn report(root: &Element) -> Result<Ask, String> {
    let facts = adapter_facts::from_request(root);
    let nonce = root
        .text_of("nonce")
        .map(|nonce| nonce.trim().to_string())
        .filter(|nonce| !nonce.is_empty());
    if nonce.as_ref().is_some_and(|nonce| {
        nonce.len() > NONCE || !nonce.bytes().all(|byte| byte.is_ascii_hexdigit())
    }) {
        return Err("its nonce is none".into());
    }
    Ok(Ask::Report { nonce, facts })
}

fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof
    )
}
