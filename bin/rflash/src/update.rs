//! Flashing: from a plan to a summary.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Context;
use bmc::{Settings, Target};
use firmware_update::journal::{self, Folder};
use firmware_update::{Goal, Image, Node, Options, Plan, Said, Wire, run};
use program::{Interrupt, Usage, complain};
use xcat_tables::Tables;

use crate::NAME;
use crate::speaker::Speaker;

/// BMCs that can be asked, and why others cannot.
pub(crate) struct Found {
    pub(crate) good: BTreeMap<String, Target>,
    pub(crate) failed: BTreeMap<String, String>,
}

/// The nodes' BMCs. Two nodes with one BMC are both out: which of them would be flashed?
pub(crate) fn targets(tables: &Tables, nodes: &[String]) -> anyhow::Result<Found> {
    let mut good = BTreeMap::new();
    let mut failed = BTreeMap::new();
    let mut by_address: BTreeMap<SocketAddr, Vec<String>> = BTreeMap::new();
    for (node, target) in bmc::targets(tables, nodes)? {
        match target {
            Ok(target) => {
                by_address
                    .entry(target.address)
                    .or_default()
                    .push(node.clone());
                good.insert(node, target);
            }
            Err(error) => drop(failed.insert(node, lookup(&error))),
        }
    }
    for (address, nodes) in by_address.into_iter().filter(|(_, nodes)| nodes.len() > 1) {
        for node in &nodes {
            good.remove(node);
            failed.insert(
                node.clone(),
                format!("{} have one BMC address, {address}", nodes.join(" and ")),
            );
        }
    }
    Ok(Found { good, failed })
}

/// xCAT's words for what the tables lack.
fn lookup(error: &bmc::Error) -> String {
    match error {
        bmc::Error::Table { subject, why } if why.starts_with("is not set") => {
            match subject.split_once('.') {
                Some(("openbmc", attribute)) => format!("Unable to get attribute {attribute}"),
                _ => error.to_string(),
            }
        }
        // Sic: scripts look for it.
        bmc::Error::Unresolved { host, .. } => {
            format!("Unable to resolved ip address for bmc: {host}")
        }
        other => other.to_string(),
    }
}

/// What all children need; TLS contexts are made here, once.
pub(crate) fn wire(
    tables: &Tables,
    targets: BTreeMap<String, Target>,
    options: &Options,
) -> anyhow::Result<Wire> {
    let limits = &options.limits;
    let bounds = bmc::Limits {
        connect: limits.connect,
        request: limits.request,
        retries: 2,
        total: limits.request * 2,
    };
    let settings = |accept_new| {
        let trust = bmc::Trust {
            insecure: options.trust.insecure,
            accept_new,
            ..bmc::Trust::default()
        };
        Settings::of_site(tables, &trust, bounds)
    };
    Ok(Wire {
        targets,
        settings: settings(options.trust.accept_new)?,
        after_reset: settings(true)?,
        limits: limits.clone(),
    })
}

/// `--preflight`: a record per node, and nothing is written or locked.
pub(crate) fn preflight(
    speaker: &mut Speaker<'_>,
    tables: &Tables,
    planned: Option<(Goal, Vec<Image>)>,
    targets: BTreeMap<String, Target>,
    options: Options,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let images = planned.map(|(_, images)| images).unwrap_or_default();
    let nodes: Vec<String> = targets.keys().cloned().collect();
    let plan = Plan {
        goal: Goal::Preflight,
        images,
        nodes: nodes.clone(),
        options,
    };
    let worker = firmware_update::worker(wire(tables, targets, &plan.options)?);
    let step = firmware_update::Step::Preflight;
    firmware_update::survey(
        &nodes,
        &step,
        &plan.options,
        &worker,
        interrupt,
        &mut |name, answer| {
            let mut node = Node::new(name, plan.images.len());
            let event = firmware_update::judge(
                &plan,
                &mut node,
                &mut firmware_update::Streak::default(),
                answer,
            );
            if event == firmware_update::Event::Enough {
                speaker.text(name, &node.why);
                speaker.settled(name, None);
            } else {
                speaker.error(Some(name), &node.why);
                speaker.settled(name, Some(&node.why));
            }
        },
    )?;
    speaker.counted();
    Ok(speaker.code())
}

pub(crate) fn flash(
    speaker: &mut Speaker<'_>,
    tables: &Tables,
    mut plan: Plan,
    mut targets: BTreeMap<String, Target>,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let hooks = program::paths::config_dir().join("veto.d");
    for (node, why) in fork_worker::veto::consult(&hooks, NAME, "flash", &plan.nodes)? {
        let why = format!("vetoed: {why}");
        speaker.error(Some(&node), &why);
        speaker.settled(&node, Some(&why));
        plan.nodes.retain(|other| *other != node);
        targets.remove(&node);
    }
    for image in plan.images.iter().filter(|_| speaker.args.dry_run) {
        let what = match &image.id {
            Some(id) => format!("ID {id} would be activated"),
            None => format!(
                "{} ({} {}, {} bytes) would be sent",
                image.path.display(),
                image.manifest.purpose,
                image.manifest.version,
                image.size
            ),
        };
        plan.nodes.iter().for_each(|node| speaker.text(node, &what));
    }
    if speaker.args.dry_run || plan.nodes.is_empty() {
        return Ok(speaker.code());
    }
    if let Some(id) = unfinished(&plan)? {
        let question = format!("run {id} did the same, and was interrupted: go on with it?");
        return match program::ask(&question) {
            Some(true) if speaker.args.background => crate::runs::detach(speaker, &id),
            Some(true) => crate::runs::resume(speaker, &id, interrupt),
            _ => Err(Usage(format!(
                "run {id}: did the same, and was interrupted: --resume {id} goes on with it, --cancel {id} drops it"
            ))
            .into()),
        };
    }
    speaker.announce(&attempt(&plan));
    let mut folder = Folder::create(&mut plan, speaker.args.sha256.as_deref())?;
    if speaker.args.background {
        let id = folder.id().to_string();
        // The lock goes to the process that works on it.
        drop(folder);
        return crate::runs::detach(speaker, &id);
    }
    if speaker.args.verbose {
        complain(NAME, &format!("run {}", folder.id()));
    }
    let nodes = plan
        .nodes
        .iter()
        .map(|name| (name.clone(), Node::new(name, plan.images.len())))
        .collect();
    carry_out(
        speaker,
        tables,
        &plan,
        nodes,
        targets,
        &mut folder,
        interrupt,
    )
}

/// Works on a run until it is over, or was left.
pub(crate) fn carry_out(
    speaker: &mut Speaker<'_>,
    tables: &Tables,
    plan: &Plan,
    nodes: BTreeMap<String, Node>,
    targets: BTreeMap<String, Target>,
    folder: &mut Folder,
    interrupt: &Interrupt,
) -> anyhow::Result<u8> {
    let started = journal::now();
    let worker = firmware_update::worker(wire(tables, targets, &plan.options)?);
    let summary = run(plan, nodes, folder, worker, interrupt, &mut |said| {
        if let Said::Power(node, status) = said {
            note_status(tables, node, status);
        }
        speaker.say(plan, &said);
    });
    let summary = summary.with_context(|| format!("run {} (--resume {0} goes on)", folder.id()))?;
    let left: Vec<&str> = summary
        .nodes
        .values()
        .filter(|node| !node.state.is_settled())
        .map(|node| node.node.as_str())
        .collect();
    if left.is_empty() {
        folder.end("all nodes are settled");
        folder.flush()?;
    } else {
        for node in &left {
            let why = format!("was left as it was; --resume {} goes on", folder.id());
            speaker.error(Some(node), &why);
            speaker.settled(node, Some(&why));
        }
    }
    speaker.summary(plan, &summary.nodes);
    if let Some(path) = &speaker.args.report {
        let page = firmware_update::report::page(
            plan,
            &summary.nodes,
            folder.id(),
            started,
            journal::now(),
        );
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    Ok(speaker.code())
}

/// A run of the same work that was interrupted: that one is to be gone on with, not begun a second
/// time.
fn unfinished(plan: &Plan) -> anyhow::Result<Option<String>> {
    for id in journal::list() {
        let Ok(run) = journal::read(&id) else {
            continue;
        };
        let same = run.plan.goal == plan.goal
            && run
                .plan
                .images
                .iter()
                .map(|image| (&image.path, image.size))
                .eq(plan.images.iter().map(|image| (&image.path, image.size)));
        let settled = run.nodes.values().all(|node| node.state.is_settled());
        let shares = run.plan.nodes.iter().any(|node| {
            plan.nodes.contains(node)
                && run
                    .nodes
                    .get(node)
                    .is_some_and(|node| !node.state.is_settled())
        });
        if run.ended.is_some() || settled || !same || !shares || journal::worker(&id)?.is_some() {
            continue;
        }
        return Ok(Some(id));
    }
    Ok(None)
}

/// xCAT's first line.
fn attempt(plan: &Plan) -> String {
    if let Some(id) = plan.images.first().and_then(|image| image.id.as_ref()) {
        return format!("Attempting to activate ID={id}, please wait...");
    }
    let paths: Vec<String> = plan
        .images
        .iter()
        .map(|image| image.path.display().to_string())
        .collect();
    format!(
        "Attempting to upload {}, please wait...",
        paths.join(" and ")
    )
}

/// `nodelist.status`, for others who look there; never a reason to fail.
fn note_status(tables: &Tables, node: &str, status: &str) {
    let done = tables.transaction::<_, xcat_tables::Error>(&["nodelist"], |change| {
        change.update("nodelist", &[("node", node)], &[("status", Some(status))])
    });
    if let Err(error) = done {
        complain(NAME, &format!("{node}: nodelist.status: {error}"));
    }
}
