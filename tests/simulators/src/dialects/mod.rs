//! What a BMC in good order answers: who may ask, and the tables of resources.

mod access;
mod login;
mod power;
mod redfish;
mod redfish_machine;
mod redfish_session;
mod redfish_task;
mod redfish_update;
mod rest;
mod rest_software;
mod rest_state;
mod routes;
mod upload;

use serde_json::{Value, json};

use crate::bmc::{Bmc, State};
use crate::http::Wire;
use crate::message::{Answer, Request};
use crate::respond::starting;
use crate::world::World;

pub(crate) use access::Caller;

use routes::Action;

/// Longest body of a request that is no image.
const BODY: usize = 1 << 20;
/// Longest body that is read from somebody without a login.
const STRANGER: u64 = 4096;

/// A request with all that a resource may look at.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a World,
    pub(crate) bmc: &'a Bmc,
    pub(crate) state: &'a mut State,
    pub(crate) caller: Caller,
    pub(crate) now: f64,
    /// What stood for the `*`s of the route.
    pub(crate) names: Vec<String>,
    pub(crate) body: Value,
    pub(crate) request: &'a Request,
}

/// The answer to a request that no fault has taken.
pub(crate) fn answer(world: &World, number: usize, request: &Request, wire: &mut Wire) -> Answer {
    let route = world.with(number, |bmc, state| {
        let now = world.clock.now();
        if let Some(answer) = starting(bmc, state.phase(bmc.dialect, now), request) {
            return Err(answer);
        }
        let caller = access::caller(world, bmc, state, request);
        let route = routes::find(bmc.dialect, request)?;
        access::allowed(bmc, state, &caller, route.open, request)?;
        Ok((caller, route))
    });
    let (caller, route) = match route {
        Some(Ok(found)) => found,
        Some(Err(answer)) => return refused(answer, wire),
        None => return Answer::empty(500),
    };
    let handler = match route.action {
        Action::Upload(way) => return upload::receive(world, number, request, wire, way),
        Action::Call(handler) => handler,
    };
    if request.header("expect").is_some() {
        go_on(wire);
    }
    let body = match wire.whole(BODY) {
        Ok(Some(body)) => body,
        Ok(None) => return refused(Answer::empty(413), wire),
        Err(_) => return closing(Answer::empty(400)),
    };
    let body = if body.is_empty() {
        Value::Null
    } else {
        match serde_json::from_slice(&body) {
            Ok(body) => body,
            Err(_) => {
                return world
                    .with(number, |bmc, _| malformed(bmc, request))
                    .unwrap_or_else(|| Answer::empty(400));
            }
        }
    };
    let done = world.with(number, |bmc, state| {
        let mut call = Call {
            world,
            bmc,
            state,
            caller,
            now: world.clock.now(),
            names: route.names,
            body,
            request,
        };
        handler(&mut call)
    });
    done.unwrap_or_else(|| Answer::empty(500))
}

/// A refusal before the body was read: the connection ends if there is much of it.
fn refused(answer: Answer, wire: &Wire) -> Answer {
    match wire.announced() {
        Some(0..=STRANGER) => answer,
        _ => closing(answer),
    }
}

/// Lets the client send its body. The interim answer of bmcweb carries a length.
fn go_on(wire: &mut Wire) {
    // A client that is gone is noticed at the next read.
    let _ = wire.raw(b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n");
}

fn closing(answer: Answer) -> Answer {
    Answer {
        close: true,
        ..answer
    }
}

/// An error as this BMC's server words it.
pub(crate) fn failure(bmc: &Bmc, status: u16) -> Answer {
    if bmc.dialect.envelope {
        return rest::error(status, crate::message::reason(status));
    }
    match status {
        503 => redfish::error(503, "ServiceTemporarilyUnavailable", &["30"]),
        404 => redfish::error(404, "ResourceNotFound", &["Resource", "?"]),
        500 => redfish::error(500, "InternalError", &[]),
        _ => Answer::empty(status),
    }
}

fn malformed(bmc: &Bmc, request: &Request) -> Answer {
    if bmc.dialect.envelope {
        rest::error(400, "Expecting request format { \"data\": <value> }")
    } else if request.path.starts_with("/redfish") {
        redfish::error(400, "MalformedJSON", &[])
    } else {
        Answer::empty(400)
    }
}

/// A link.
fn link(path: impl std::fmt::Display) -> Value {
    json!({"@odata.id": path.to_string()})
}
