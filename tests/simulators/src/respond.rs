//! From a request to an answer: faults first, then the phase of the BMC, then its dialect.

use crate::Fault;
use crate::bmc::{Bmc, State};
use crate::dialects;
use crate::http::{Manner, Wire};
use crate::message::{Answer, Body, Request};
use crate::phase::Phase;
use crate::world::World;

/// What happens to a request.
#[derive(Debug)]
pub(crate) enum Reply {
    Answer(Answer, Manner),
    /// Never any.
    Hang,
    /// The connection is reset.
    Close,
    /// Header lines without end.
    Headers,
}

/// What BMC `number` does with a request.
pub(crate) fn respond(world: &World, number: usize, request: &Request, wire: &mut Wire) -> Reply {
    let what = request.what();
    let (slow, wrong) = world
        .with(number, |bmc, state| {
            state.requests += 1;
            let slow = state.rules.take(&what, |fault| match fault {
                Fault::Slow { seconds } => Some(*seconds),
                _ => None,
            });
            let wrong = state.rules.take(&what, |fault| wrong(bmc, fault));
            (slow.unwrap_or(0.0), wrong)
        })
        .unwrap_or((0.0, None));
    let mut answer = match wrong {
        Some(Reply::Answer(answer, _)) => answer,
        Some(other) => {
            world.clock.pass(slow);
            return other;
        }
        None => {
            // The delay of a slow BMC comes before its work: what it says is as late as its answer.
            world.clock.pass(slow);
            dialects::answer(world, number, request, wire)
        }
    };
    let manner = world.with(number, |_, state| manner(world, state, &what, &mut answer));
    Reply::Answer(answer, manner.unwrap_or_default())
}

/// What a fault makes of any request.
fn wrong(bmc: &Bmc, fault: &Fault) -> Option<Reply> {
    let answer = match fault {
        Fault::Hang => return Some(Reply::Hang),
        Fault::CloseAfterRequest => return Some(Reply::Close),
        Fault::EndlessHeaders => return Some(Reply::Headers),
        Fault::Unauthorized => Answer::empty(401),
        Fault::Unavailable { retry_after } => {
            let answer = dialects::failure(bmc, 503);
            match retry_after {
                Some(value) => answer.with("Retry-After", value.clone()),
                None => answer,
            }
        }
        Fault::Status { code } => dialects::failure(bmc, *code),
        Fault::Html => Answer::text(
            200,
            "text/html",
            "<!DOCTYPE html>\n<html><head><title>BMC</title></head><body><h1>Welcome</h1></body></html>\n",
        ),
        Fault::NotJson => Answer::text(200, "application/json", "{\"Members\": [\n"),
        Fault::EmptyBody => Answer::empty(200),
        Fault::HugeJson { bytes } => Answer {
            body: Body::Huge(*bytes),
            ..Answer::empty(200)
        }
        .with("Content-Type", "application/json"),
        Fault::DeepJson { depth } => {
            let text = "[".repeat(*depth) + &"]".repeat(*depth);
            Answer::text(200, "application/json", text)
        }
        Fault::Redirect { to } => Answer::empty(302).with("Location", to.clone()),
        _ => return None,
    };
    Some(Reply::Answer(answer, Manner::default()))
}

/// What faults make of an answer that is ready.
fn manner(world: &World, state: &mut State, what: &str, answer: &mut Answer) -> Manner {
    let prefix = state.rules.take(what, |fault| match fault {
        Fault::AbsoluteUris { to } => Some(to.clone()),
        _ => None,
    });
    if let Some(prefix) = prefix {
        elsewhere(answer, &prefix);
    }
    Manner {
        chunked: state
            .rules
            .take(what, |fault| (*fault == Fault::Chunked).then_some(()))
            .is_some(),
        rate: state.rules.take(what, |fault| match fault {
            Fault::Trickle { rate } => {
                let second = world.clock.real(1.0).as_secs_f64();
                Some(rate / second.max(1e-9))
            }
            _ => None,
        }),
        cut: state.rules.take(what, |fault| match fault {
            Fault::DropMidAnswer { bytes } => Some(*bytes),
            _ => None,
        }),
    }
}

/// Puts a prefix before every path in an answer.
fn elsewhere(answer: &mut Answer, prefix: &str) {
    for (name, value) in &mut answer.headers {
        if *name == "Location" && value.starts_with('/') {
            *value = format!("{prefix}{value}");
        }
    }
    if let Body::Bytes(bytes) = &mut answer.body {
        let text = String::from_utf8_lossy(bytes);
        let text = text.replace("\"/redfish/", &format!("\"{prefix}/redfish/"));
        *bytes = text
            .replace("\"/xyz/", &format!("\"{prefix}/xyz/"))
            .into_bytes();
    }
}

/// What a BMC that starts answers, if it is not yet the real thing.
pub(crate) fn starting(bmc: &Bmc, phase: Phase, request: &Request) -> Option<Answer> {
    match phase {
        Phase::Up | Phase::Starting => None,
        Phase::Refused => Some(Answer {
            close: true,
            ..Answer::empty(503)
        }),
        Phase::Unavailable => Some(dialects::failure(bmc, 503)),
        Phase::NotFound => Some(dialects::failure(bmc, 404)),
        Phase::Broken if request.path == "/redfish/v1" => None,
        Phase::Broken => Some(Answer::empty(500)),
    }
}
