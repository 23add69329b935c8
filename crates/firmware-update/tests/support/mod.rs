//! A BMC in a file: what the engine is tested against where no wire is needed. Each step is a child
//! process, so all state is in the file.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use firmware_update::listing::Held;
use firmware_update::{
    Dialect, Facts, Goal, Image, Kind, Limits, Manifest, Options, Order, Outcome, Plan, Power,
    Purpose, Seen, Step, Stop, Task, Trouble, Versions, Worker,
};
use fork_worker::Report;
use serde::{Deserialize, Serialize};

/// One BMC. Faults are words; see [`work`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Fake {
    pub(crate) redfish: bool,
    pub(crate) fault: String,
    pub(crate) runs: Versions,
    pub(crate) images: Vec<Held>,
    /// Whole archives that came in.
    pub(crate) uploads: u32,
    pub(crate) resets: u32,
    /// Looks for which it does not answer yet.
    pub(crate) away: u32,
    /// Looks until an activation is done.
    pub(crate) busy: u32,
    pub(crate) power: Power,
    /// Takes effect with the next reset, or host start.
    pub(crate) next: Versions,
}

impl Fake {
    pub(crate) fn new(redfish: bool, fault: &str) -> Fake {
        let held = |id: &str, purpose, version: &str| Held {
            id: id.into(),
            purpose,
            activation: Some("Active".into()),
            version: Some(version.into()),
            priority: Some(0),
            running: Some(true),
            extended: None,
        };
        Fake {
            redfish,
            fault: fault.into(),
            runs: Versions {
                bmc: Some("b1".into()),
                host: Some("h1".into()),
            },
            images: vec![
                held("0b", Purpose::Bmc, "b1"),
                held("0a", Purpose::Host, "h1"),
            ],
            uploads: 0,
            resets: 0,
            away: 0,
            busy: 0,
            power: Power::On,
            next: Versions::default(),
        }
    }

    pub(crate) fn read(dir: &Path, node: &str) -> Fake {
        let text = std::fs::read_to_string(dir.join(node)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn write(&self, dir: &Path, node: &str) {
        let new = dir.join(format!(".{node}.{}", std::process::id()));
        std::fs::write(&new, serde_json::to_string(self).unwrap()).unwrap();
        std::fs::rename(new, dir.join(node)).unwrap();
    }
}

/// A worker over the BMCs in `dir`.
pub(crate) fn worker(dir: PathBuf) -> Worker {
    Rc::new(move |order: &Order, report: &mut Report| {
        let mut bmc = Fake::read(&dir, &order.node);
        let answer = work(&mut bmc, &order.step, report);
        bmc.write(&dir, &order.node);
        answer
    })
}

fn work(bmc: &mut Fake, step: &Step, report: &mut Report) -> Result<Outcome, Trouble> {
    let fault = bmc.fault.clone();
    let silent = || Err(Trouble::new(Kind::Silent, "does not answer"));
    if fault == "crash" && matches!(step, Step::Upload { .. }) {
        std::process::abort();
    }
    if fault == "dead" {
        return silent();
    }
    if bmc.away > 0 {
        bmc.away -= u32::from(fault != "never back");
        return silent();
    }
    match step {
        Step::Preflight => Ok(Outcome::Facts(Facts {
            dialect: if bmc.redfish {
                Dialect::Redfish
            } else {
                Dialect::Rest
            },
            images: bmc.images.clone(),
            runs: bmc.runs.clone(),
            power: bmc.power,
            limit: (fault == "small").then_some(10),
            memory: (fault == "little memory").then_some(20),
            by_itself: false,
            pulls: false,
            busy: fault == "busy",
        })),
        Step::Upload { archive, .. } => upload(bmc, archive, report),
        Step::Look { task, .. } => Ok(Outcome::Seen(look(bmc, task.is_some()))),
        Step::Activate(id) => {
            bmc.busy = 2;
            let state = if fault == "activation fails" {
                "Failed"
            } else {
                "Activating"
            };
            bmc.images
                .iter_mut()
                .filter(|held| held.id == *id)
                .for_each(|held| held.activation = Some(state.into()));
            Ok(Outcome::Done)
        }
        Step::First(id) => {
            bmc.images
                .iter_mut()
                .filter(|held| held.id == *id)
                .for_each(|held| held.priority = Some(0));
            Ok(Outcome::Done)
        }
        Step::Reset => {
            bmc.resets += 1;
            bmc.away = 2;
            if let Some(version) = bmc.next.bmc.take().filter(|_| fault != "old version") {
                bmc.runs.bmc = Some(version);
            }
            Ok(Outcome::Done)
        }
        Step::HostOff => {
            bmc.power = if fault == "stays on" {
                Power::On
            } else {
                Power::Off
            };
            Ok(Outcome::Done)
        }
        Step::HostOn => {
            bmc.power = Power::On;
            if let Some(version) = bmc.next.host.take() {
                bmc.runs.host = Some(version);
            }
            Ok(Outcome::Done)
        }
        Step::Delete(_) | Step::SshKey => Ok(Outcome::Done),
    }
}

fn upload(bmc: &mut Fake, archive: &Path, report: &mut Report) -> Result<Outcome, Trouble> {
    let before: Vec<&String> = bmc.images.iter().map(|held| &held.id).collect();
    let parent = |_| Trouble::new(Kind::Silent, "nobody listens");
    let before = serde_json::to_string(&before).unwrap();
    report.ask(&format!("before {before}")).map_err(parent)?;
    let mut file = std::fs::File::open(archive).unwrap();
    let manifest = firmware_update::read_archive(&mut file).unwrap();
    report.line("sent 1000").map_err(parent)?;
    if bmc.fault == "stalls" {
        return Err(Trouble::new(Kind::Silent, "upload stalled"));
    }
    report.ask("last").map_err(parent)?;
    bmc.uploads += 1;
    if bmc.fault == "refuses" {
        return Err(Trouble::new(Kind::Refused, "no space"));
    }
    if bmc.fault == "exists" {
        return Ok(Outcome::Existed);
    }
    let id = format!(
        "{:x}{}",
        16 + bmc.uploads,
        if manifest.purpose == Purpose::Bmc {
            "b"
        } else {
            "a"
        }
    );
    match manifest.purpose {
        Purpose::Bmc => bmc.next.bmc = Some(manifest.version.clone()),
        _ => bmc.next.host = Some(manifest.version.clone()),
    }
    if bmc.fault != "vanishes" {
        bmc.images.push(Held {
            id: id.clone(),
            purpose: manifest.purpose,
            activation: Some(if bmc.redfish { "Active" } else { "Ready" }.into()),
            version: Some(manifest.version),
            priority: (!bmc.redfish).then_some(1),
            running: Some(false),
            extended: None,
        });
    }
    bmc.busy = 2;
    if bmc.fault == "answer lost" {
        return Err(Trouble::new(Kind::Silent, "connection broke"));
    }
    Ok(Outcome::Sent {
        id: None,
        task: bmc.redfish.then(|| "/t/1".to_string()),
    })
}

fn look(bmc: &mut Fake, task: bool) -> Seen {
    let done = bmc.busy == 0;
    bmc.busy = bmc.busy.saturating_sub(u32::from(bmc.fault != "stuck"));
    if done && !bmc.redfish {
        for held in &mut bmc.images {
            if held.activation.as_deref() == Some("Activating") {
                held.activation = Some("Active".into());
            }
        }
    }
    Seen {
        images: Some(bmc.images.clone()),
        runs: bmc.runs.clone(),
        ready: true,
        power: bmc.power,
        task: task.then(|| match (bmc.fault.as_str(), done) {
            ("activation fails", _) => Task::Broken("Exception".into()),
            ("task lost", _) => Task::Vanished,
            (_, true) => Task::Done,
            (_, false) => Task::Running(Some(if bmc.fault == "stuck" {
                90
            } else {
                (50 - bmc.busy) as u8
            })),
        }),
        percent: None,
    }
}

/// A plan for `nodes`; archives lie in `dir`.
pub(crate) fn plan(dir: &Path, goal: Goal, purposes: &[Purpose], nodes: &[String]) -> Plan {
    let image = |purpose: &Purpose| {
        let (version, name) = if *purpose == Purpose::Bmc {
            ("b2", "BMC")
        } else {
            ("h2", "Host")
        };
        let path = dir.join(format!("{name}.tar"));
        std::fs::write(
            &path,
            firmware_update::testing::firmware(version, name, 2000),
        )
        .unwrap();
        let image: Image = firmware_update::image(&path).unwrap();
        assert_eq!(
            image.manifest,
            Manifest {
                version: version.into(),
                purpose: purpose.clone(),
                machine: Some("simulated".into()),
                extended: None
            }
        );
        image
    };
    Plan {
        goal,
        images: purposes.iter().map(image).collect(),
        nodes: nodes.to_vec(),
        options: Options {
            fanout: 8,
            // Short enough to see them pass, long enough for a busy machine.
            limits: Limits {
                find: Duration::from_secs(2),
                busy: Duration::from_secs(2),
                activate: Duration::from_secs(3),
                reset: Duration::from_secs(5),
                host_off: Duration::from_secs(3),
                host_on: Duration::from_secs(5),
                poll: Duration::from_millis(10),
                ..Limits::default()
            },
            ..Options::default()
        },
    }
}

/// Nobody stops it.
pub(crate) struct Never(
    std::os::unix::net::UnixStream,
    #[allow(dead_code)] std::os::unix::net::UnixStream,
);

impl Never {
    pub(crate) fn new() -> Never {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        Never(one, other)
    }
}

impl Stop for Never {
    fn as_fd(&self) -> BorrowedFd<'_> {
        AsFd::as_fd(&self.0)
    }
    fn take(&self) -> bool {
        false
    }
}

/// Stops once the cell is set, and then a second time.
pub(crate) struct Told(
    pub(crate) std::os::unix::net::UnixStream,
    pub(crate) Cell<u32>,
);

impl Stop for Told {
    fn as_fd(&self) -> BorrowedFd<'_> {
        AsFd::as_fd(&self.0)
    }
    fn take(&self) -> bool {
        use std::io::Read;
        let mut byte = [0];
        matches!((&self.0).read(&mut byte), Ok(1))
    }
}

/// What became of each node, in short.
pub(crate) fn verdicts(
    nodes: &BTreeMap<String, firmware_update::Node>,
) -> BTreeMap<&str, (firmware_update::State, &str)> {
    nodes
        .iter()
        .map(|(name, node)| (name.as_str(), (node.state, node.why.as_str())))
        .collect()
}
