//! The steps over the wire: what a child does with one BMC.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bmc::firmware::{Archive, Image, Meanwhile, Patience, Sent, TaskState, UploadError};
use bmc::{Client, Off, PowerState, Settings, Target};
use fork_worker::Report;

use crate::engine::Worker;
use crate::limits::Limits;
use crate::listing::Held;
use crate::manifest::Purpose;
use crate::node::{Dialect, Versions};
use crate::step::{Facts, Kind, Order, Outcome, Power, Seen, Step, Task, Trouble};

/// What all steps need, made once in the parent.
#[derive(Debug)]
pub struct Wire {
    /// Where each node's BMC is, and its login.
    pub targets: BTreeMap<String, Target>,
    /// Trust and limits.
    pub settings: Settings,
    /// The same, but a changed key is taken over: after our own reset of a BMC.
    pub after_reset: Settings,
    /// Limits of uploads.
    pub limits: Limits,
}

/// The worker over these BMCs.
pub fn worker(wire: Wire) -> Worker {
    let wire = Rc::new(wire);
    Rc::new(move |order: &Order, report: &mut Report| work(&wire, order, report))
}

fn work(wire: &Wire, order: &Order, report: &mut Report) -> Result<Outcome, Trouble> {
    let target = wire
        .targets
        .get(&order.node)
        .ok_or_else(|| Trouble::new(Kind::Refused, "no BMC is known"))?;
    // Only the wait after our own reset asks what runs and not what is held.
    let after_reset = matches!(
        order.step,
        Step::Look {
            after_reset: true,
            ..
        }
    );
    let settings = if after_reset {
        &wire.after_reset
    } else {
        &wire.settings
    };
    let meaning = match order.step {
        Step::Upload { .. } => unsent,
        _ => trouble,
    };
    let mapped = |error: bmc::Error| meaning(&error);
    let mut client = Client::connect(target, settings).map_err(mapped)?;
    let done = |()| Outcome::Done;
    match &order.step {
        Step::Preflight => preflight(&mut client),
        Step::Upload {
            archive,
            size,
            name,
            rated,
            pull,
        } => {
            let patience = Patience {
                stall: wire.limits.stall,
                accept: wire.limits.accept,
            };
            before(&mut client, report)?;
            if let Some(url) = pull
                && client.update_offer().map_err(mapped)?.pulls
            {
                return fetch(&mut client, url, report);
            }
            upload(&mut client, archive, *size, name, *rated, patience, report)
        }
        Step::Look {
            images,
            unless_running,
            runs,
            task,
            ..
        } => look(
            &mut client,
            *images,
            *unless_running,
            *runs,
            task.as_deref(),
        ),
        Step::Activate(id) => client.activate(id).map(done).map_err(mapped),
        Step::First(id) => client.make_first(id).map(done).map_err(mapped),
        Step::Delete(id) => delete(&mut client, id),
        Step::Reset => client.restart_bmc().map(done).map_err(mapped),
        Step::HostOff => client.off(Off::Hard).map(done).map_err(mapped),
        Step::HostOn => client.on().map(done).map_err(mapped),
        Step::SshKey => Err(Trouble::new(Kind::Refused, "internal error: no work here")),
    }
}

fn preflight(client: &mut Client) -> Result<Outcome, Trouble> {
    let mapped = |error: bmc::Error| trouble(&error);
    let offer = client.update_offer().map_err(mapped)?;
    let images = client.images().map_err(mapped)?;
    let running = client.running().map_err(mapped)?;
    Ok(Outcome::Facts(Facts {
        dialect: if offer.redfish {
            Dialect::Redfish
        } else {
            Dialect::Rest
        },
        busy: images
            .iter()
            .any(|image| image.activation.as_deref() == Some("Activating")),
        images: images.into_iter().map(held).collect(),
        runs: Versions {
            bmc: running.bmc,
            host: running.host,
        },
        power: power(&running.power),
        limit: offer.limit,
        memory: offer.memory,
        by_itself: offer.by_itself,
        pulls: offer.pulls,
    }))
}

fn look(
    client: &mut Client,
    images: bool,
    unless_running: bool,
    runs: bool,
    task: Option<&str>,
) -> Result<Outcome, Trouble> {
    let mapped = |error: bmc::Error| trouble(&error);
    let mut seen = Seen::default();
    if let Some(path) = task {
        seen.task = Some(match client.task(path).map_err(mapped)? {
            TaskState::Running(percent) => Task::Running(percent),
            TaskState::Done => Task::Done,
            TaskState::Broken(why) => Task::Broken(why),
            TaskState::Vanished => Task::Vanished,
        });
    }
    if images && !(unless_running && matches!(seen.task, Some(Task::Running(_)))) {
        let found = client.images().map_err(mapped)?;
        seen.percent = found.iter().find_map(|image| image.progress);
        seen.images = Some(found.into_iter().map(held).collect());
    }
    if runs {
        let running = client.running().map_err(mapped)?;
        seen.runs = Versions {
            bmc: running.bmc,
            host: running.host,
        };
        seen.ready = running.ready;
        seen.power = power(&running.power);
    }
    Ok(Outcome::Seen(seen))
}

/// Not what runs: the BMC's own image never, the host's not while it is on.
fn delete(client: &mut Client, id: &str) -> Result<Outcome, Trouble> {
    let mapped = |error: bmc::Error| trouble(&error);
    let refuse = |text: &str| Err(Trouble::new(Kind::Refused, text));
    let images = client.images().map_err(mapped)?;
    let Some(image) = images
        .iter()
        .find(|image| image.id.eq_ignore_ascii_case(id))
    else {
        return refuse(
            "Invalid ID provided to delete.  Use the -l option to view valid firmware IDs.",
        );
    };
    let runs =
        image.running == Some(true) || (image.running.is_none() && image.priority == Some(0));
    match image.purpose.as_str() {
        "BMC" if runs => return refuse("Deleting currently active BMC firmware is not supported"),
        "Host" if runs && client.power().map_err(mapped)? != PowerState::Off => {
            return refuse(
                "Deleting currently active firmware on powered on host is not supported",
            );
        }
        "" => return refuse("Unable to determine the purpose of the firmware to delete"),
        _ => {}
    }
    let id = image.id.clone();
    client.delete_image(&id).map_err(mapped)?;
    Ok(Outcome::Done)
}

/// Tells the parent what the BMC holds before there is anything of ours.
fn before(client: &mut Client, report: &mut Report) -> Result<(), Trouble> {
    let images = client.images().map_err(|error| unsent(&error))?;
    let ids: Vec<&str> = images.iter().map(|image| image.id.as_str()).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    let told = report.ask(&format!("before {ids}"));
    told.map(drop).map_err(|error| own(WORKER, &error))
}

/// Has a BMC fetch the archive that takes none.
fn fetch(client: &mut Client, url: &str, report: &mut Report) -> Result<Outcome, Trouble> {
    report.ask("last").map_err(|error| own(WORKER, &error))?;
    match client.pull(url) {
        Ok(Sent::Accepted { id, task }) => Ok(Outcome::Sent { id, task }),
        Ok(Sent::Exists) => Ok(Outcome::Existed),
        Err(error) => Err(trouble(&error)),
    }
}

/// Whose error it is when the parent does not answer.
const WORKER: &str = "this node's worker";

/// An error of our own side.
fn own(what: &str, error: &io::Error) -> Trouble {
    Trouble::new(Kind::Refused, format!("{what}: {error}"))
}

fn upload(
    client: &mut Client,
    archive: &Path,
    size: u64,
    name: &str,
    rated: bool,
    patience: Patience,
    report: &mut Report,
) -> Result<Outcome, Trouble> {
    let mut file =
        File::open(archive).map_err(|error| own(&archive.display().to_string(), &error))?;
    let mut meanwhile = Words {
        report,
        rated,
        told: None,
    };
    let archive = Archive {
        file: &mut file,
        size,
        name,
    };
    match client.upload(archive, patience, &mut meanwhile) {
        Ok(Sent::Accepted { id, task }) => Ok(Outcome::Sent { id, task }),
        Ok(Sent::Exists) => Ok(Outcome::Existed),
        Err(UploadError::Bmc(error)) => Err(unsent(&error)),
        Err(UploadError::Broke(why)) => Err(Trouble::new(
            Kind::Silent,
            format!("Failed to upload update file. {why}"),
        )),
        Err(UploadError::Ended(why)) => Err(Trouble::new(Kind::Refused, why)),
    }
}

/// The child's words with its parent during an upload.
struct Words<'a> {
    report: &'a mut Report,
    rated: bool,
    told: Option<Instant>,
}

impl Meanwhile for Words<'_> {
    fn sent(&mut self, bytes: u64) {
        // A view that is redrawn once a second needs no more.
        if self
            .told
            .is_none_or(|told| told.elapsed() >= Duration::from_secs(1))
        {
            self.told = Some(Instant::now());
            let _ = self.report.line(&format!("sent {bytes}"));
        }
    }

    fn may_send(&mut self, bytes: u64) -> io::Result<()> {
        if self.rated {
            self.report.ask(&format!("grant {bytes}"))?;
        }
        Ok(())
    }

    fn last(&mut self) -> io::Result<()> {
        self.report.ask("last").map(drop)
    }
}

fn held(image: Image) -> Held {
    Held {
        purpose: Purpose::of(&image.purpose),
        id: image.id,
        activation: image.activation,
        version: image.version,
        priority: image.priority,
        running: image.running,
        extended: image.extended,
    }
}

fn power(power: &PowerState) -> Power {
    match power {
        PowerState::On => Power::On,
        PowerState::Off => Power::Off,
        _ => Power::Other,
    }
}

/// What an error means for the node. The node's name is printed before it, so the address is enough.
fn trouble(error: &bmc::Error) -> Trouble {
    let kind = match error {
        bmc::Error::Unreachable { .. }
        | bmc::Error::TimedOut { .. }
        | bmc::Error::Dropped { .. } => Kind::Silent,
        bmc::Error::Busy { .. } => Kind::Busy,
        bmc::Error::Login { .. } => Kind::Denied,
        bmc::Error::PinChanged { .. } | bmc::Error::Handshake { .. } => Kind::Untrusted,
        _ => Kind::Refused,
    };
    Trouble::new(kind, error.to_string())
}

/// The same before the first byte of an archive: a BMC that answered in preflight is not lost because
/// it, or the network, is slow when its turn comes. It is asked again, as a busy one is.
fn unsent(error: &bmc::Error) -> Trouble {
    let trouble = trouble(error);
    match trouble.kind {
        Kind::Silent => Trouble {
            kind: Kind::Busy,
            ..trouble
        },
        _ => trouble,
    }
}
