//! Receiving an image: what speaks against it before the body, the body, and what is made of it.

use std::time::{Duration, Instant};

use nix::poll::PollTimeout;
use serde_json::{Value, json};

use super::{redfish, redfish_task, rest};
use crate::Fault;
use crate::bmc::{Bmc, State};
use crate::dialect::TooLarge;
use crate::http::Wire;
use crate::message::{Answer, Request};
use crate::multipart::Multipart;
use crate::tar_scan::TarScan;
use crate::updater::{Upload, Wish};
use crate::world::World;

/// Ways to send an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `/upload/image`.
    Rest,
    /// Redfish's `HttpPushUri`.
    Push,
    /// Redfish's `MultipartHttpPushUri`.
    Multipart,
    /// Redfish's SimpleUpdate: the body says where the image is.
    Pull,
}

/// What comes in.
enum Incoming {
    Plain(TarScan),
    Parts(Box<Multipart>),
}

/// The answer to an upload by somebody who may.
pub(super) fn receive(
    world: &World,
    number: usize,
    request: &Request,
    wire: &mut Wire,
    way: Way,
) -> Answer {
    let kind = request.header("content-type").unwrap_or_default();
    let mut incoming = match way {
        Way::Multipart => match Multipart::new(kind) {
            Some(parts) => Incoming::Parts(Box::new(parts)),
            None => return super::closing(redfish::error(400, "PropertyMissing", &["UpdateFile"])),
        },
        Way::Push if kind != "application/octet-stream" => {
            return super::closing(Answer::empty(400));
        }
        Way::Rest if kind != "application/octet-stream" => {
            return super::closing(rest::error(415, "Unsupported Media Type"));
        }
        _ => Incoming::Plain(TarScan::default()),
    };
    if way == Way::Pull {
        return pull(world, number, request, wire);
    }
    let announced = wire.announced();
    let begun = world.with(number, |bmc, state| begin(bmc, state, announced, way));
    let limit = match begun {
        Some(Ok(limit)) => limit,
        Some(Err(answer)) => return super::closing(answer),
        None => return Answer::empty(500),
    };
    let received = body(world, number, request, wire, &mut incoming, limit);
    let answer = world.with(number, |bmc, state| {
        state.updater.receiving = false;
        match received {
            Ok(()) => finish(world, bmc, state, incoming, way, request),
            Err(answer) => answer,
        }
    });
    answer.unwrap_or_else(|| Answer::empty(500))
}

/// Fetches an image, and answers when it has it.
fn pull(world: &World, number: usize, request: &Request, wire: &mut Wire) -> Answer {
    let asked = wire.whole(64 << 10).ok().flatten().unwrap_or_default();
    let asked: Value = serde_json::from_slice(&asked).unwrap_or_default();
    let offered = world.with(number, |_, state| state.rules.has(&Fault::PullsOnly));
    if offered != Some(true) {
        return redfish::missing(request);
    }
    let mut scan = TarScan::default();
    let fetched = asked["ImageURI"].as_str().map(|url| fetch(url, &mut scan));
    if !matches!(fetched, Some(Ok(()))) {
        return redfish::error(400, "ActionParameterValueError", &["ImageURI"]);
    }
    let finished = world.with(number, |bmc, state| {
        state.updater.apply_time = asked["@Redfish.OperationApplyTime"]
            .as_str()
            .unwrap_or("Immediate")
            .to_string();
        finish(world, bmc, state, Incoming::Plain(scan), Way::Pull, request)
    });
    finished.unwrap_or_else(|| Answer::empty(500))
}

/// GET over plain HTTP, to the end of the connection.
fn fetch(url: &str, scan: &mut TarScan) -> std::io::Result<()> {
    use std::io::{BufRead, BufReader, Read, Write};
    let wrong = || std::io::Error::other("no such URL");
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (host, path) = rest.split_once('/').ok_or_else(wrong)?;
    let mut server = std::net::TcpStream::connect(host)?;
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    server.write_all(request.as_bytes())?;
    let mut answer = BufReader::new(server);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    if !line.contains(" 200 ") {
        return Err(wrong());
    }
    while line.trim() != "" {
        line.clear();
        answer.read_line(&mut line)?;
    }
    let mut chunk = [0; 16 << 10];
    loop {
        match answer.read(&mut chunk)? {
            0 => return Ok(()),
            count => scan.feed(&chunk[..count]),
        }
    }
}

/// What speaks against an upload before its body; else how long that may be.
fn begin(bmc: &Bmc, state: &mut State, announced: Option<u64>, way: Way) -> Result<u64, Answer> {
    let limit = bmc.limit.unwrap_or(u64::MAX);
    if announced.is_some_and(|length| length > limit) || state.rules.has(&Fault::TooLarge) {
        let closes = bmc.dialect.too_large == TooLarge::Closes;
        let closes = closes || state.rules.has(&Fault::ClosesOnOversize);
        return Err(if closes {
            Answer::none()
        } else {
            Answer::empty(413)
        });
    }
    // phosphor-rest lets a second upload wait; ours takes it.
    let busy = state.updater.busy() || state.rules.has(&Fault::Busy);
    if busy && !bmc.dialect.envelope {
        return Err(match way {
            Way::Rest => Answer::empty(503).with("Retry-After", "30"),
            _ if bmc.dialect.dbus_updater => redfish::error(500, "InternalError", &[]),
            _ => redfish::error(503, "ServiceTemporarilyUnavailable", &["30"])
                .with("Retry-After", "30"),
        });
    }
    state.updater.receiving = true;
    Ok(limit)
}

/// Reads the body at the pace of today.
fn body(
    world: &World,
    number: usize,
    request: &Request,
    wire: &mut Wire,
    incoming: &mut Incoming,
    limit: u64,
) -> Result<(), Answer> {
    let (rate, stalls, closes) = world
        .with(number, |_, state| {
            let rules = &state.rules;
            (
                rules.standing(|fault| match fault {
                    Fault::UploadRate { rate } => Some(*rate),
                    _ => None,
                }),
                rules.standing(|fault| match fault {
                    Fault::UploadStalls { bytes } => Some(*bytes),
                    _ => None,
                }),
                rules.standing(|fault| match fault {
                    Fault::UploadCloses { bytes } => Some(*bytes),
                    _ => None,
                }),
            )
        })
        .unwrap_or((None, None, None));
    if request.header("expect").is_some() {
        super::go_on(wire);
    }
    let mut chunk = [0; 16 << 10];
    let mut total = 0_u64;
    let started = Instant::now();
    loop {
        if stalls.is_some_and(|after| total >= after) {
            stall(world, number, wire);
            return Err(Answer::none());
        }
        if closes.is_some_and(|after| total >= after) {
            return Err(Answer::none());
        }
        let count = wire.body(&mut chunk).map_err(|_| Answer::none())?;
        if count == 0 {
            return Ok(());
        }
        total += count as u64;
        if total > limit {
            // Only a body in chunks gets here.
            return Err(super::closing(Answer::empty(500)));
        }
        match incoming {
            Incoming::Plain(scan) => scan.feed(&chunk[..count]),
            Incoming::Parts(parts) => parts.feed(&chunk[..count]),
        }
        if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
            let due = world.clock.real(total as f64 / rate);
            let ahead = due.saturating_sub(started.elapsed());
            if ahead > Duration::from_millis(1) {
                std::thread::sleep(ahead);
            }
        }
    }
}

/// Reads nothing until the client goes or the fault does. With a full window the end of the client
/// is not seen, so the fault is looked at now and then.
fn stall(world: &World, number: usize, wire: &Wire) {
    let stalls = |fault: &Fault| matches!(fault, Fault::UploadStalls { .. }).then_some(());
    let stands = || {
        world
            .with(number, |_, state| state.rules.standing(stalls))
            .flatten()
    };
    while stands().is_some() && !crate::connection::gone(&wire.stream, PollTimeout::from(100_u8)) {}
}

/// What becomes of a body that was received whole.
fn finish(
    world: &World,
    bmc: &Bmc,
    state: &mut State,
    incoming: Incoming,
    way: Way,
    request: &Request,
) -> Answer {
    let now = world.clock.now();
    let mut apply = match way {
        Way::Pull => state.updater.apply_time.clone(),
        Way::Push if bmc.dialect.apply_patch => state.updater.apply_time.clone(),
        Way::Push => "Immediate".to_string(),
        _ => "OnReset".to_string(),
    };
    let scan = match incoming {
        Incoming::Plain(scan) => scan,
        Incoming::Parts(mut parts) => {
            if !parts.finish() {
                return redfish::error(400, "PropertyMissing", &["UpdateFile"]);
            }
            match parameters(bmc, parts.parameters.as_ref()) {
                Err(answer) => return answer,
                Ok(asked) => apply = asked.unwrap_or(apply),
            }
            parts.image
        }
    };
    state.updater.uploads.push(Upload {
        bytes: scan.bytes,
        digest: scan.digest,
    });
    let why = refusal(bmc, state, &scan);
    let late = state.rules.standing(|fault| match fault {
        Fault::ObjectLate { seconds } => Some(*seconds),
        _ => None,
    });
    let wish = Wish {
        by_itself: way != Way::Rest,
        immediate: apply == "Immediate",
        seen_after: late.unwrap_or(world.config.timing.unpack),
    };
    let manifest = scan.manifest().filter(|_| why.is_none());
    let order = manifest.map(|manifest| state.updater.add(&manifest, now, &wish));
    match (way, order) {
        (Way::Rest, None) => {
            let wait = if bmc.dialect.envelope { 10.0 } else { 15.0 };
            let text = match why {
                Some("NoSpace") => "[Errno 28] No space left on device",
                _ => "Version already exists or failed to be extracted",
            };
            Answer {
                delay: wait,
                ..rest::error(400, text)
            }
        }
        (Way::Rest, Some(order)) => {
            let id = state.updater.by_order(order).map(|image| image.id.clone());
            Answer {
                delay: wish.seen_after,
                ..rest::data(json!(id))
            }
        }
        // The updater's refusal is seen only in the task.
        (_, order) if order.is_some() || bmc.dialect.dbus_updater => {
            let delay = if bmc.dialect.dbus_updater {
                0.0
            } else {
                wish.seen_after
            };
            Answer {
                delay,
                ..redfish_task::begin(bmc, state, order, now, &request.path)
            }
        }
        _ => match why {
            Some("Exists") => redfish::error(409, "ResourceAlreadyExists", &["UpdateService"]),
            Some("Machine" | "NoSpace") => redfish::error(500, "InternalError", &[]),
            _ => redfish::error(400, "MissingOrMalformedPart", &[]),
        },
    }
}

/// Why the image is refused, if it is.
fn refusal(bmc: &Bmc, state: &State, scan: &TarScan) -> Option<&'static str> {
    let Some(manifest) = scan.manifest() else {
        return Some("Malformed");
    };
    let machine = manifest.machine.as_deref();
    if machine.is_some_and(|machine| machine != bmc.machine_name) {
        Some("Machine")
    } else if state.updater.exists(&manifest.version) || state.rules.has(&Fault::ImageExists) {
        Some("Exists")
    } else if state.rules.has(&Fault::NoSpace) {
        Some("NoSpace")
    } else {
        None
    }
}

/// The apply time of a multipart push, if its parameters are right.
fn parameters(bmc: &Bmc, parameters: Option<&Value>) -> Result<Option<String>, Answer> {
    let manager = format!("/redfish/v1/Managers/{}", bmc.dialect.manager);
    let targets = parameters.and_then(|value| value["Targets"].as_array());
    match targets.map(Vec::as_slice) {
        None | Some([]) if bmc.dialect.dbus_updater => {
            return Err(redfish::error(500, "InternalError", &[]));
        }
        None | Some([]) => {}
        Some([target]) if target.as_str() == Some(manager.as_str()) => {}
        Some(_) => {
            return Err(redfish::error(
                400,
                "PropertyValueFormatError",
                &["?", "Targets"],
            ));
        }
    }
    let apply = parameters.and_then(|value| value["@Redfish.OperationApplyTime"].as_str());
    match apply {
        None => Ok(None),
        Some("Immediate" | "OnReset") => Ok(apply.map(String::from)),
        Some(other) => Err(redfish::error(
            400,
            "PropertyValueNotInList",
            &[other, "@Redfish.OperationApplyTime"],
        )),
    }
}
