//! All nodes of a request in one loop. Runs in a child of its own, which has the claims; its children do
//! one step each, and reboots are the node-reboot library's.
//!
//! Nothing of a node's way back is only in memory: until its agent has said that its disk is whole, it is
//! armed for genesis, and then for a shell; should this process be killed at any step, that is how it
//! stays. Its claim dies with this process, and with the claim its agent's leave to write.

mod aim;
mod end;
mod news;
mod reboot;
mod start;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use boot_target::Target;
use disk_image::Store;
use disk_image::order::Order;
use fork_worker::{Crew, Event, Limits, What};
use node_reboot::genesis::{self, Step};
use node_reboot::privileged::Answers;
use node_reboot::{Handle, Status};
use node_report::{Place as Reports, Waiter};
use xcat_tables::Tables;

use crate::node::{Node, Place, TRIES};
use crate::plan::Plan;
use crate::{console, order};
use aim::Aim;

/// What genesis is told to run.
const ACTION: &str = "runcmd=osload-agent";
/// How often to look without being rung.
const TICK: Duration = Duration::from_secs(1);
/// Children at a time.
const CHILDREN: usize = 64;
/// How long lines may wait for a reader that is behind, before they are offered again.
const OFFER: Duration = Duration::from_millis(200);
/// Claims are for other hosts' eyes as long as everything together may take, twice, and this.
const MARGIN: Duration = Duration::from_secs(3600);

/// Carries a plan out to its end.
pub(crate) fn carry_out(plan: Plan, answers: Answers) -> Result<String, String> {
    let term = node_reboot::termination().map_err(|error| error.to_string())?;
    let mut run = Run::open(plan, answers)?;
    let work = run.work(&term);
    run.end();
    work.map(|()| String::new())
}

#[derive(Debug, Clone)]
enum Task {
    /// Off, armed, on.
    Start(Vec<String>),
    /// Boot targets, and what follows for the nodes when that is done.
    Target(Vec<String>, Aim),
}

struct Run {
    plan: Plan,
    tables: Tables,
    answers: Answers,
    crew: Crew<Task>,
    waiter: Waiter,
    store: Store,
    nodes: BTreeMap<String, Node>,
    /// What nodes are told, when there is anything to tell.
    target: Option<Target>,
    aims: BTreeMap<Aim, Vec<String>>,
    aiming: BTreeMap<Aim, Vec<String>>,
    reboots: Vec<Handle>,
    consoles: PathBuf,
    troubles: BTreeSet<String>,
    failed: usize,
    next_servers: Instant,
}

impl Run {
    /// Listens, claims. Nodes that somebody else holds are settled.
    fn open(plan: Plan, mut answers: Answers) -> Result<Run, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        for result in plan.settled() {
            answers.settled(result);
        }
        let tables = Tables::open(&plan.location).map_err(|e| text(&e))?;
        let store = Store::open(&plan.images_dir, &crate::orders()).map_err(|e| text(&e))?;
        let place = Reports::open(tables.clone()).map_err(|e| text(&e))?;
        let (waiter, news) = Waiter::open(place, "osload", false).map_err(|e| text(&e))?;
        let mut run = Run {
            failed: plan
                .settled()
                .iter()
                .filter(|one| one.status.is_failure())
                .count(),
            nodes: BTreeMap::new(),
            consoles: console::directory(&tables),
            tables,
            answers,
            crew: Crew::new(Limits::fanout(CHILDREN)),
            waiter,
            store,
            target: None,
            aims: BTreeMap::new(),
            aiming: BTreeMap::new(),
            reboots: Vec::new(),
            troubles: BTreeSet::new(),
            next_servers: Instant::now(),
            plan,
        };
        run.take_news(news);
        let seconds = (run.plan.options.set_up + run.plan.limit) * TRIES + MARGIN;
        let taken = run
            .waiter
            .claim(&run.plan.nodes, seconds.as_secs())
            .map_err(|e| text(&e))?;
        for (node, holder) in &taken.held {
            let why = format!("is waited for by {holder}");
            run.say(node, Status::NOT_STARTED, &why);
        }
        run.nodes
            .extend(taken.claimed.into_iter().map(|node| (node, Node::new())));
        Ok(run)
    }

    fn work(&mut self, term: &impl AsFd) -> Result<(), String> {
        if self.nodes.is_empty() {
            return Ok(());
        }
        match self.prepare() {
            Ok(target) => self.target = Some(target),
            Err(why) => {
                for node in self.at(&Place::Pending) {
                    self.settle(&node, Status::NOT_STARTED, why.clone());
                }
                return Ok(());
            }
        }
        let mut next_tick = Instant::now();
        loop {
            self.begin();
            self.start_aims();
            if self.is_done() {
                return Ok(());
            }
            self.answers.push();
            let mut timeout = next_tick.saturating_duration_since(Instant::now());
            if self.answers.is_behind() {
                timeout = timeout.min(OFFER);
            }
            let mut others = vec![term.as_fd(), self.waiter.as_fd()];
            let living = self.reboots.iter().filter(|handle| !handle.is_ended());
            others.extend(living.map(AsFd::as_fd));
            let ready = self
                .crew
                .wait(&others, Some(timeout))
                .map_err(|error| format!("poll: {error}"))?;
            if ready.readable.contains(&0) {
                return Ok(());
            }
            for event in ready.events {
                self.take(event);
            }
            if ready.readable.contains(&1) {
                let news = self.waiter.rung();
                self.take_news(news);
            }
            self.hear_reboots();
            if Instant::now() >= next_tick {
                next_tick = Instant::now() + TICK;
                self.tick();
            }
        }
    }

    /// The order is on disk, callbackd and the image servers run: what nodes are told.
    fn prepare(&mut self) -> Result<Target, String> {
        let nonce = self.waiter.nonce().to_string();
        let claims = node_report::claims(&self.tables).map_err(|error| error.to_string())?;
        order::sweep(&claims.values().map(|claim| claim.nonce.as_str()).collect());
        let order = Order::new(
            &nonce,
            self.plan.images.clone(),
            self.plan.options.overwrite.clone(),
            self.plan.options.zero,
            self.plan.limit.as_secs().max(1),
        )
        .map_err(|error| error.to_string())?;
        let digest = order::write(&self.store, &order)?;
        let report = self.listener()?;
        let servers = self.servers()?;
        Ok(Target {
            action: ACTION.into(),
            report,
            pin: node_report::pin().map_err(|error| error.to_string())?,
            nonce,
            order: digest.to_string(),
            images: servers,
            then: Some(genesis::SHELL.into()),
        })
    }

    fn is_done(&self) -> bool {
        self.nodes.values().all(|node| node.place == Place::Settled)
            && self.aims.is_empty()
            && self.aiming.is_empty()
    }

    fn take(&mut self, event: Event<Task>) {
        match (event.key, event.what) {
            (Task::Start(_), What::Line(line)) => match Step::parse(&line) {
                Some(Step::Booting(node)) => self.booting(&node),
                Some(Step::Failed(node, why)) => self.not_started(&node, &why),
                Some(Step::Off(_)) | None => {}
            },
            (Task::Start(set), What::Ended(ended)) => {
                let why = match ended {
                    Ok(_) => "nothing was said of it".to_string(),
                    Err(why) => why.to_string(),
                };
                for node in set {
                    if self.place(&node) == Some(Place::Starting) {
                        self.not_started(&node, &why);
                    }
                }
            }
            (Task::Target(_, aim), What::Line(line)) => {
                if let Some(Step::Failed(node, why)) = Step::parse(&line) {
                    self.not_aimed(&node, aim, &why);
                }
            }
            (Task::Target(nodes, aim), What::Ended(ended)) => {
                self.aiming.remove(&aim);
                match ended {
                    Ok(_) if aim == Aim::Disk => self.reboot(nodes),
                    Ok(_) => {}
                    Err(why) => {
                        for node in nodes {
                            self.not_aimed(&node, aim, &format!("its boot target stays: {why}"));
                        }
                    }
                }
            }
        }
    }

    fn at(&self, place: &Place) -> Vec<String> {
        let found = self.nodes.iter().filter(|(_, node)| node.place == *place);
        found.map(|(name, _)| name.clone()).collect()
    }

    fn place(&self, name: &str) -> Option<Place> {
        self.nodes.get(name).map(|node| node.place.clone())
    }

    fn story(&self, name: &str) -> String {
        self.nodes
            .get(name)
            .map(|node| node.story.clone())
            .unwrap_or_default()
    }

    /// For who wants to know more.
    fn note(&mut self, text: String) {
        if self.plan.options.notes {
            self.answers.note(&text);
        }
    }

    /// For everybody, once.
    fn trouble(&mut self, text: String) {
        if self.troubles.insert(text.clone()) {
            self.answers.note(&text);
        }
    }
}
