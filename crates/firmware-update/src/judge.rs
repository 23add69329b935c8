//! What an answer means for its node. Pure: the same plan, node and answer give the same event.

use crate::listing::Held;
use crate::manifest::Purpose;
use crate::node::{Dialect, Node};
use crate::plan::{Goal, Image, Plan};
use crate::state::{Event, State};
use crate::step::{Facts, Kind, Outcome, Power, Seen, Task, Trouble};

/// Answers in a row before a BMC counts as back.
pub const IN_A_ROW: u32 = 3;

/// What is remembered between two looks, and need not survive us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streak {
    /// Good answers in a row.
    pub good: u32,
    /// Answers in a row with another version, after it had been silent.
    pub old: u32,
    /// The last percentage.
    pub percent: Option<u8>,
    /// It has moved since the last look.
    pub moved: bool,
}

/// Judges an answer. What is learnt goes into the node; of a failure, `node.why` is the reason.
pub fn judge(
    plan: &Plan,
    node: &mut Node,
    streak: &mut Streak,
    answer: Result<Outcome, Trouble>,
) -> Event {
    streak.moved = false;
    match answer {
        Ok(outcome) => outcome_of(plan, node, streak, outcome),
        Err(trouble) => trouble_of(node, streak, trouble),
    }
}

fn outcome_of(plan: &Plan, node: &mut Node, streak: &mut Streak, outcome: Outcome) -> Event {
    match (node.state, outcome) {
        (State::Preflight, Outcome::Facts(facts)) => facts_of(plan, node, &facts),
        (State::Upload, Outcome::Sent { id, task }) => {
            let slot = node.slot();
            slot.sent = true;
            slot.id = id;
            slot.task = task;
            Event::Good
        }
        (State::Upload, Outcome::Existed) => {
            node.slot().existed = true;
            Event::Good
        }
        (State::Find, Outcome::Seen(seen)) => found(plan, node, &seen),
        (State::Flash, Outcome::Seen(seen)) => flashed(plan, node, streak, &seen),
        (State::Back, Outcome::Seen(seen)) => back(plan, node, streak, &seen),
        (State::OffWait, Outcome::Seen(seen)) => match seen.power {
            Power::Off => Event::Good,
            _ => Event::Again,
        },
        (State::OnWait, Outcome::Seen(seen)) => host_back(plan, node, streak, &seen),
        (
            State::Activate | State::First | State::Reset | State::HostOff | State::HostOn,
            Outcome::Done,
        ) => Event::Good,
        (state, other) => fail(
            node,
            format!("internal error: {state:?} was answered by {other:?}"),
        ),
    }
}

/// A state that asks again bears silence until its limit; one that changes something does not.
fn trouble_of(node: &mut Node, streak: &mut Streak, trouble: Trouble) -> Event {
    let Trouble { kind, text } = trouble;
    streak.good = 0;
    streak.old = 0;
    match (node.state, kind) {
        // An own reset makes new certificates and forgets sessions; while it starts, logins fail.
        (State::Back, _) => {
            node.silent |= kind == Kind::Silent;
            node.why = text;
            Event::Again
        }
        (_, Kind::Untrusted) => fail(node, text),
        (State::Reset, Kind::Silent) => Event::Gone,
        (State::Find | State::Flash, Kind::Silent) if node.by_itself => {
            node.silent = true;
            Event::Gone
        }
        (State::Upload, Kind::Silent) if node.slot().sent => {
            // The answer was lost, not necessarily the image.
            node.why = text;
            Event::Good
        }
        (State::Preflight | State::Upload, Kind::Silent) => fail(node, text),
        (State::HostOff | State::HostOn, Kind::Silent) => {
            node.why = text;
            Event::Again
        }
        (_, Kind::Silent | Kind::Busy) => {
            node.why = text;
            Event::Again
        }
        (State::Find | State::Flash | State::OffWait | State::OnWait, Kind::Denied) => {
            node.why = text;
            Event::Again
        }
        _ => fail(node, text),
    }
}

fn facts_of(plan: &Plan, node: &mut Node, facts: &Facts) -> Event {
    node.dialect = Some(facts.dialect);
    node.was = facts.runs.clone();
    node.runs = facts.runs.clone();
    node.by_itself = facts.by_itself;
    node.before = facts.images.iter().map(|image| image.id.clone()).collect();
    if let Some(image) = plan.images.iter().max_by_key(|image| image.size) {
        let too_large = |why: String| {
            format!(
                "{} has {} bytes, and the BMC {why}",
                image.path.display(),
                image.size
            )
        };
        if let Some(limit) = facts.limit.filter(|limit| image.size > *limit) {
            return fail(node, too_large(format!("takes at most {limit}")));
        }
        // It holds the whole archive in memory before it looks at it.
        if let Some(memory) = facts.memory.filter(|memory| image.size > *memory) {
            return fail(node, too_large(format!("has {memory} of memory left")));
        }
    }
    if facts.pulls && plan.options.pull.is_none() && plan.images.iter().any(|image| image.size > 0)
    {
        return fail(
            node,
            "the BMC takes no upload, but fetches archives by itself: --pull URL tells it where"
                .into(),
        );
    }
    let needs_ids = plan.images.iter().any(|image| image.id.is_some());
    if needs_ids && facts.dialect == Dialect::Redfish {
        return fail(
            node,
            "a Redfish BMC activates nothing by its ID without restarting at once".into(),
        );
    }
    if facts.busy {
        node.why = "another update is going on".into();
        return Event::Again;
    }
    let current = plan.images.iter().all(|image| {
        image.id.is_none()
            && facts.runs.of(&image.manifest.purpose) == Some(&image.manifest.version)
    });
    if plan.options.skip_current && current && !plan.images.is_empty() {
        node.why = "runs this version already".into();
        return Event::Enough;
    }
    if plan.goal == Goal::Preflight {
        node.why = preflight_text(facts);
        return Event::Enough;
    }
    Event::Good
}

/// One record of `--preflight`.
fn preflight_text(facts: &Facts) -> String {
    let dialect = match facts.dialect {
        Dialect::Redfish => "Redfish",
        Dialect::Rest => "OpenBMC REST",
    };
    let power = match facts.power {
        Power::On => "host on",
        Power::Off => "host off",
        Power::Other => "host unknown",
    };
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "unknown".into());
    let limit = facts.limit.map_or_else(
        || "size limit unknown".into(),
        |limit| format!("up to {limit} bytes"),
    );
    let memory = facts.memory.map_or_else(String::new, |memory| {
        format!(", {memory} bytes of memory free")
    });
    let itself = if facts.by_itself {
        ", restarts by itself"
    } else {
        ""
    };
    format!(
        "ready: {dialect}, BMC {}, Host {}, {power}, {limit}{memory}{itself}",
        version(&facts.runs.bmc),
        version(&facts.runs.host)
    )
}

/// The image is what is new in the list and has the right version; an ID is never computed.
fn found(plan: &Plan, node: &mut Node, seen: &Seen) -> Event {
    if let Some(Task::Broken(why)) = &seen.task {
        return fail(node, format!("the BMC refused the image: {why}"));
    }
    let Some(image) = plan.images.get(node.image) else {
        return fail(node, "internal error: no such image".into());
    };
    let images = seen.images.as_deref().unwrap_or_default();
    let slot = node.slot().clone();
    let fits = |held: &&Held| {
        held.version.as_deref() == Some(image.manifest.version.as_str())
            && (held.purpose == image.manifest.purpose || matches!(held.purpose, Purpose::Other(_)))
    };
    let said: Vec<&Held> = images
        .iter()
        .filter(fits)
        .filter(|held| slot.id.as_ref() == Some(&held.id))
        .collect();
    let new: Vec<&Held> = images
        .iter()
        .filter(fits)
        .filter(|held| slot.existed || !node.before.contains(&held.id))
        .collect();
    let mut candidates = if said.is_empty() { new } else { said };
    if slot.existed {
        // Of several with one version any will do: the BMC itself says that they are the same.
        candidates.sort_by_key(|held| (held.running == Some(true), held.id.clone()));
        candidates.truncate(1);
    }
    match (candidates.as_slice(), &seen.task) {
        ([held], _) => {
            node.slot().id = Some(held.id.clone());
            let state = held.activation.as_deref().unwrap_or_default();
            if node.dialect == Some(Dialect::Rest) && matches!(state, "Invalid" | "NotReady" | "") {
                node.why = format!(
                    "the BMC calls the image {}",
                    if state.is_empty() {
                        "nothing yet"
                    } else {
                        state
                    }
                );
                return Event::Again;
            }
        }
        ([], Some(Task::Done)) => {}
        ([], Some(Task::Vanished)) if node.by_itself => {}
        ([], _) => return Event::Again,
        _ => {
            return fail(
                node,
                format!(
                    "the BMC has several new images of version {}: somebody else is at work",
                    image.manifest.version
                ),
            );
        }
    }
    if node.dialect == Some(Dialect::Redfish) {
        return match plan.goal {
            Goal::Upload if !node.by_itself => Event::Enough,
            _ => Event::Flashing,
        };
    }
    if node.image + 1 < plan.images.len() {
        node.image += 1;
        return Event::NextUpload;
    }
    match plan.goal {
        Goal::Upload | Goal::Preflight => Event::Enough,
        _ => {
            node.image = 0;
            Event::Good
        }
    }
}

fn flashed(plan: &Plan, node: &mut Node, streak: &mut Streak, seen: &Seen) -> Event {
    let percent = match &seen.task {
        Some(Task::Running(percent)) => *percent,
        _ => seen.percent,
    };
    streak.moved = percent != streak.percent;
    streak.percent = percent;
    let Some(image) = plan.images.get(node.image).cloned() else {
        return fail(node, "internal error: no such image".into());
    };
    let images = seen.images.as_deref().unwrap_or_default();
    let id = node.slot().id.clone().or(image.id.clone());
    let held = images.iter().find(|held| id.as_ref() == Some(&held.id));
    let judged = match node.dialect {
        Some(Dialect::Redfish) => redfish_flashed(node, &image, images, held, seen),
        _ => rest_flashed(node, held),
    };
    if judged != Event::Good {
        return judged;
    }
    node.slot().active = true;
    let last = node.image + 1 >= plan.images.len();
    if node.by_itself && image.manifest.purpose == Purpose::Bmc {
        // It will go down now; what runs afterwards is the result.
        return Event::Gone;
    }
    match (&plan.goal, last) {
        (Goal::Run { .. }, false) => {
            node.image += 1;
            match node.dialect {
                Some(Dialect::Redfish) => Event::NextUpload,
                _ => Event::NextActivate,
            }
        }
        (Goal::Run { keep_host }, true) => {
            let new_bmc = plan
                .images
                .iter()
                .any(|image| image.manifest.purpose == Purpose::Bmc);
            match (new_bmc && !node.by_itself, keep_host) {
                (true, _) => Event::Good,
                (false, false) => Event::HostOnly,
                (false, true) => pending_host(node),
            }
        }
        _ => Event::Enough,
    }
}

fn rest_flashed(node: &mut Node, held: Option<&Held>) -> Event {
    // A list without it: enumerating while flash is written is not always whole.
    let Some(held) = held else {
        return Event::Again;
    };
    match held.activation.as_deref() {
        Some("Active") if held.priority == Some(0) || held.running == Some(true) => Event::Good,
        Some("Active") if held.priority.is_none() => Event::Again,
        Some("Active") => Event::NotFirst,
        Some("Activating" | "Ready" | "Staging" | "Staged" | "NotReady") | None => Event::Again,
        Some("Failed") => {
            let version = held.version.clone().unwrap_or_default();
            fail(node, format!("Firmware {version} activation failed."))
        }
        Some(other) => {
            let why = format!("the BMC calls the image {other}");
            fail(node, why)
        }
    }
}

fn redfish_flashed(
    node: &mut Node,
    image: &Image,
    images: &[Held],
    held: Option<&Held>,
    seen: &Seen,
) -> Event {
    let version = &image.manifest.version;
    // IDs change when a BMC restarts: the version is what stays.
    let held = held.or_else(|| {
        images
            .iter()
            .find(|held| held.version.as_ref() == Some(version) && !node.before.contains(&held.id))
    });
    let active =
        held.is_some_and(|held| matches!(held.activation.as_deref(), Some("Active" | "Staged")));
    match &seen.task {
        Some(Task::Broken(why)) => {
            fail(node, format!("Firmware {version} activation failed. {why}"))
        }
        Some(Task::Running(_)) => Event::Again,
        Some(Task::Done) if held.is_some() || node.by_itself => Event::Good,
        // Not in the list though its task is done: the list decides, within the limit.
        Some(Task::Done) => Event::Again,
        Some(Task::Vanished) | None if active => Event::Good,
        Some(Task::Vanished) | None => Event::Again,
    }
}

/// After a reset: the version that runs counts, from a BMC that has answered three times in a row.
fn back(plan: &Plan, node: &mut Node, streak: &mut Streak, seen: &Seen) -> Event {
    node.runs = seen.runs.clone();
    if !seen.ready || seen.runs.bmc.is_none() {
        *streak = Streak::default();
        node.why = "it is not ready".into();
        return Event::Again;
    }
    let wanted = plan
        .images
        .iter()
        .find(|image| image.manifest.purpose == Purpose::Bmc);
    let version = wanted.map(|image| image.manifest.version.as_str());
    if version.is_some() && seen.runs.bmc.as_deref() != version {
        streak.good = 0;
        let runs = seen.runs.bmc.clone().unwrap_or_default();
        node.why = format!("it runs {runs}");
        streak.old += u32::from(node.silent);
        if streak.old >= IN_A_ROW {
            return fail(
                node,
                format!("the BMC came back with the old version {runs}"),
            );
        }
        return Event::Again;
    }
    streak.good += 1;
    streak.old = 0;
    if streak.good < IN_A_ROW {
        return Event::Again;
    }
    node.why = String::new();
    // A BMC that restarted by itself may still lack the host's image.
    if let Some(next) = (node.image + 1..plan.images.len())
        .find(|next| !node.slots.get(*next).is_some_and(|slot| slot.active))
    {
        node.image = next;
        node.before = Vec::new();
        return Event::NextUpload;
    }
    let new_host = plan
        .images
        .iter()
        .any(|image| image.manifest.purpose == Purpose::Host);
    match (&plan.goal, new_host) {
        (Goal::Run { keep_host: false }, true) => Event::Good,
        (Goal::Run { keep_host: true }, true) => pending_host(node),
        _ => Event::Enough,
    }
}

fn pending_host(node: &mut Node) -> Event {
    node.why = "host firmware flashed, needs host power cycle".into();
    Event::Enough
}

fn host_back(plan: &Plan, node: &mut Node, streak: &mut Streak, seen: &Seen) -> Event {
    node.runs = seen.runs.clone();
    let wanted = plan
        .images
        .iter()
        .find(|image| image.manifest.purpose == Purpose::Host);
    let version = wanted.map(|image| image.manifest.version.as_str());
    if seen.power != Power::On
        || version.is_some_and(|version| seen.runs.host.as_deref() != Some(version))
    {
        *streak = Streak::default();
        node.why = format!(
            "host is {}, its firmware {}",
            if seen.power == Power::On {
                "on"
            } else {
                "not on"
            },
            seen.runs.host.as_deref().unwrap_or("unknown")
        );
        return Event::Again;
    }
    streak.good += 1;
    if streak.good < IN_A_ROW {
        return Event::Again;
    }
    node.why = String::new();
    Event::Enough
}

fn fail(node: &mut Node, why: String) -> Event {
    node.why = why;
    Event::Fail
}
