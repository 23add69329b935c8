//! All nodes of a request in one loop. Runs in a child of its own, which has the claims; its children do
//! one step each, and reboots are the node-reboot library's.
//!
//! Nothing of a node's way back is only in memory: until its agent has said that its disk is whole, it is
//! armed for genesis, and then for a shell; should this process be killed at any step, that is how it
//! stays. Its claim dies with this process, and with the claim its agent's leave to write.

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
use node_reboot::{Caller, Handle, NodeResult, Status};
use node_report::{News, Place as Reports, Waiter};
use xcat_request::load::{Told, Verdict, status};
use xcat_tables::Tables;

use crate::node::{Node, Patience, Place, TRIES, Wedged};
use crate::plan::Plan;
use crate::{console, order, serve};

/// What genesis is told to run.
const ACTION: &str = "runcmd=osload-agent";
/// How often to look without being rung.
const TICK: Duration = Duration::from_secs(1);
/// How often it is seen to that callbackd and the image servers run.
const SERVERS: Duration = Duration::from_secs(5);
/// Nodes in one call of what arms or powers them.
const SET: usize = 64;
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

/// Where nodes' boot targets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Aim {
    /// Their disks: those are whole.
    Disk,
    /// A shell of genesis: their disks may be half of something.
    Shell,
    /// What they were: their disks were not touched.
    Before,
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
        let listener = node_report::listener(&self.plan.options.callbackd)
            .and_then(|address| node_report::reachable(&self.tables, &address))
            .map_err(|error| error.to_string())?;
        let servers = self.servers()?;
        Ok(Target {
            action: ACTION.into(),
            report: listener,
            pin: node_report::pin().map_err(|error| error.to_string())?,
            nonce,
            order: digest.to_string(),
            images: servers,
            then: Some(genesis::SHELL.into()),
        })
    }

    /// Where the image servers are; starts those that do not run.
    fn servers(&self) -> Result<String, String> {
        let images = self.plan.images.iter();
        let addresses = images.map(|image| {
            serve::up(&self.plan.options.osload, &image.manifest)
                .map_err(|error| format!("{}: {error}", image.name))
        });
        Ok(addresses.collect::<Result<Vec<_>, _>>()?.join(","))
    }

    /// Starts nodes as far as the fanout allows.
    fn begin(&mut self) {
        let pending: Vec<String> = self.at(&Place::Pending);
        if pending.is_empty() {
            return;
        }
        let asked = self.nodes.len() + self.plan.settled().len();
        if self.plan.options.is_too_much(self.failed, asked) {
            for node in pending {
                let why = format!("not begun: {} nodes have failed", self.failed);
                self.settle(&node, Status::CANCELLED, why);
            }
            return;
        }
        let under_way = self
            .nodes
            .values()
            .filter(|node| node.is_under_way())
            .count();
        let room = self.plan.options.fanout.saturating_sub(under_way);
        let chosen: Vec<String> = pending.into_iter().take(room).collect();
        for set in chosen.chunks(SET) {
            self.start(set.to_vec());
        }
    }

    fn start(&mut self, set: Vec<String>) {
        let Some(target) = self.target.clone() else {
            return;
        };
        for name in &set {
            if let Some(node) = self.nodes.get_mut(name) {
                node.enter(Place::Starting);
                node.tries += 1;
            }
        }
        let location = self.plan.location.clone();
        let job = match self.plan.options.power {
            true => genesis::job(location, set.clone(), target),
            false => genesis::arm(location, set.clone(), target),
        };
        self.crew.start(Task::Start(set), job);
    }

    /// One child for each aim at a time: those that come meanwhile are the next one's set.
    fn start_aims(&mut self) {
        for (aim, nodes) in std::mem::take(&mut self.aims) {
            if self.aiming.contains_key(&aim) {
                self.aims.insert(aim, nodes);
                continue;
            }
            self.aiming.insert(aim, nodes.clone());
            let location = self.plan.location.clone();
            let job = match aim {
                Aim::Disk => genesis::release_to_disk(location, nodes.clone()),
                Aim::Shell => genesis::keep_in_shell(location, nodes.clone()),
                Aim::Before => genesis::release(location, nodes.clone()),
            };
            self.crew.start(Task::Target(nodes, aim), job);
        }
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

    fn booting(&mut self, name: &str) {
        if let Some(node) = self.nodes.get_mut(name)
            && node.place == Place::Starting
        {
            node.enter(Place::Booting);
            let how = match self.plan.options.power {
                true => "booting into genesis",
                false => "armed, to be booted",
            };
            self.note(format!("{name}: {how}"));
        }
    }

    /// Power or boot target failed: no second try makes that better, and its disk is as it was, unless
    /// this was the second.
    fn not_started(&mut self, name: &str, why: &str) {
        if self.place(name) == Some(Place::Starting) {
            self.fail(name, Status::POWER_FAILED, why.to_string());
        }
    }

    fn not_aimed(&mut self, name: &str, aim: Aim, why: &str) {
        if aim == Aim::Disk && self.place(name) == Some(Place::Whole) {
            let why = format!("its disk is whole, but {why}");
            return self.settle(name, Status::NOT_STARTED, why);
        }
        // A target that stays is one of ours: no disk is booted by it.
        self.trouble(format!("{name}: {why}"));
    }

    fn take_news(&mut self, news: News) {
        for text in news.remarks {
            self.note(text);
        }
        for text in news.troubles {
            self.trouble(text);
        }
        for (name, told) in news.told {
            match told {
                Told::SetUp(set_up) => {
                    let disks = set_up.disks.iter().map(|disk| {
                        let number = disk.serial.as_ref().or(disk.wwn.as_ref());
                        let number = number.map_or("no number", String::as_str);
                        format!(
                            "{} to {} ({number}, {} bytes)",
                            disk.image, disk.name, disk.size
                        )
                    });
                    let text = disks.collect::<Vec<_>>().join(", ");
                    if self.entered(&name) {
                        self.note(format!("{name}: loads {text}"));
                    }
                }
                Told::Verdict(verdict) => self.judged(&name, &verdict),
            }
        }
    }

    /// The agent's first word, or its first frame.
    fn entered(&mut self, name: &str) -> bool {
        let Some(node) = self.nodes.get_mut(name) else {
            return false;
        };
        // The line that says that it boots may come after the word of a node that boots fast.
        let enters = matches!(node.place, Place::Starting | Place::Booting);
        if enters {
            node.touched = true;
            node.enter(Place::Loading);
        }
        enters
    }

    fn judged(&mut self, name: &str, verdict: &Verdict) {
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        if !matches!(
            node.place,
            Place::Starting | Place::Booting | Place::Loading
        ) {
            return;
        }
        if verdict.status == status::LOADED {
            let written: u64 = verdict.images.iter().map(|image| image.written).sum();
            let seconds = verdict
                .images
                .iter()
                .map(|image| image.seconds)
                .sum::<u64>();
            node.story = format!("loaded: {written} bytes written in {seconds} s");
            node.enter(Place::Whole);
            let text = format!("{name}: {}", node.story);
            self.note(text);
            self.aims
                .entry(Aim::Disk)
                .or_default()
                .push(name.to_string());
            return;
        }
        let why = match verdict.reason.as_str() {
            "" => "its agent does not say why".to_string(),
            reason => program::escape(reason).into_owned(),
        };
        // The agent knows whether it wrote anything before it stopped.
        let untouched = matches!(verdict.status, status::NOT_STARTED | status::REFUSED);
        if untouched && node.tries == 1 {
            node.touched = false;
        }
        self.fail(name, Status(i32::from(verdict.status)), why);
    }

    /// Disks are whole and boot targets on them: the last step.
    fn reboot(&mut self, nodes: Vec<String>) {
        let whole: Vec<String> = nodes
            .into_iter()
            .filter(|node| self.place(node) == Some(Place::Whole))
            .collect();
        if whole.is_empty() {
            return;
        }
        if !self.plan.options.power {
            for node in whole {
                let story = self.story(&node);
                self.settle(
                    &node,
                    Status::DONE,
                    format!("{story}; waits in genesis to be rebooted"),
                );
            }
            return;
        }
        let options = node_reboot::Options {
            // In genesis nothing is mounted that would have to be shut down.
            at_once: true,
            batch: 0,
            wait: self.plan.options.wait,
            notes: self.plan.options.notes,
            ..node_reboot::Options::default()
        };
        self.hand_over(whole, Place::Rebooting, options);
    }

    fn configure(&mut self, node: &str) {
        let options = node_reboot::Options {
            configure: true,
            batch: 0,
            notes: self.plan.options.notes,
            ..node_reboot::Options::default()
        };
        self.hand_over(vec![node.to_string()], Place::Configuring, options);
    }

    fn hand_over(&mut self, nodes: Vec<String>, place: Place, options: node_reboot::Options) {
        for name in &nodes {
            if let Some(node) = self.nodes.get_mut(name) {
                node.enter(place.clone());
            }
        }
        let request = node_reboot::Request {
            nodes: nodes.clone(),
            options,
            // Whether the caller may was judged before anything began.
            caller: Caller {
                effective: 0,
                real: 0,
                behind: None,
            },
        };
        match node_reboot::start(&self.tables, &request) {
            Ok(handle) => self.reboots.push(handle),
            Err(why) => {
                for node in nodes {
                    let why = format!("its disk is whole, but: {why}");
                    self.settle(&node, Status::NOT_STARTED, why);
                }
            }
        }
    }

    fn hear_reboots(&mut self) {
        let mut results = Vec::new();
        let mut notes = Vec::new();
        for handle in &mut self.reboots {
            results.extend(handle.poll_results());
            notes.extend(handle.poll_notes());
        }
        self.reboots.retain(|handle| !handle.is_ended());
        for note in notes {
            self.note(note);
        }
        for result in results {
            let story = self.story(&result.node);
            match (self.place(&result.node), result.status) {
                (Some(Place::Rebooting), Status::DONE) if self.plan.options.configure => {
                    self.configure(&result.node);
                }
                (Some(Place::Rebooting | Place::Configuring), Status::DONE) => {
                    let why = format!("{story}; {}", result.why);
                    self.settle(&result.node, Status::DONE, why);
                }
                (Some(Place::Rebooting | Place::Configuring), status) => {
                    let why = format!("{story}; {status}: {}", result.why);
                    self.settle(&result.node, status, why);
                }
                _ => {}
            }
        }
    }

    fn tick(&mut self) {
        let news = self.waiter.tick();
        self.take_news(news);
        self.look_at_progress();
        if Instant::now() >= self.next_servers {
            self.next_servers = Instant::now() + SERVERS;
            self.keep_servers();
        }
        let patience = Patience {
            set_up: self.plan.options.set_up,
            limit: self.plan.limit,
            stall: self.plan.options.stall,
        };
        let now = Instant::now();
        let wedged: Vec<(String, Wedged)> = self
            .nodes
            .iter()
            .filter_map(|(name, node)| Some((name.clone(), node.wedged(now, &patience)?)))
            .collect();
        for (name, wedged) in wedged {
            self.wedged(&name, wedged);
        }
    }

    fn look_at_progress(&mut self) {
        let progress = match serve::progress(self.waiter.nonce()) {
            Ok(progress) => progress,
            Err(error) => return self.trouble(error.to_string()),
        };
        let mut notes = Vec::new();
        for (name, one) in progress {
            let Some(node) = self.nodes.get_mut(&name) else {
                continue;
            };
            // Counts of before it was started again are no word of it.
            if node.has_spoken(one.words) && node.place == Place::Booting {
                self.entered(&name);
            }
            let Some(node) = self.nodes.get_mut(&name) else {
                continue;
            };
            if node.place == Place::Loading && node.progressed(one.have, one.total) {
                let tenths = one
                    .have
                    .saturating_mul(10)
                    .checked_div(one.total)
                    .unwrap_or(0);
                if tenths > node.told {
                    node.told = tenths;
                    notes.push(format!("{name}: {} of {} frames", one.have, one.total));
                }
            }
        }
        for note in notes {
            self.note(note);
        }
    }

    /// Whoever was killed is started again: nodes are still on their way.
    fn keep_servers(&mut self) {
        let listener = node_report::listener(&self.plan.options.callbackd)
            .and_then(|address| node_report::reachable(&self.tables, &address))
            .map_err(|error| error.to_string());
        let told = self.target.clone().unwrap_or_default();
        let seen = [
            ("callbackd", listener, told.report),
            ("the image server", self.servers(), told.images),
        ];
        for (who, now, told) in seen {
            match now {
                Ok(now) if now == told => {}
                Ok(now) => self.trouble(format!("{who} listens at {now}, nodes were told {told}")),
                Err(why) => self.trouble(why),
            }
        }
    }

    fn wedged(&mut self, name: &str, wedged: Wedged) {
        self.show_console(name);
        let Some(node) = self.nodes.get_mut(name) else {
            return;
        };
        if node.tries < TRIES {
            node.have = (0, 0);
            node.told = 0;
            let text = format!("{name}: {}; started once more", wedged.why);
            self.trouble(text);
            return self.start(vec![name.to_string()]);
        }
        let status = match wedged.never_entered {
            true => Status::NOT_UP,
            false => Status(i32::from(status::WRITE)),
        };
        let why = format!("{}, twice", wedged.why);
        self.fail(name, status, why);
    }

    fn show_console(&mut self, name: &str) {
        for line in console::tail(&self.consoles, name) {
            self.answers.note(&format!("{name}: console: {line}"));
        }
    }

    /// A node's end before its disk is whole: its boot target becomes one that does no harm.
    fn fail(&mut self, name: &str, status: Status, why: String) {
        self.aim_away(name);
        self.settle(name, status, why);
    }

    fn aim_away(&mut self, name: &str) {
        let Some(node) = self.nodes.get(name).filter(|node| node.tries > 0) else {
            return;
        };
        let aim = match node.touched {
            true => Aim::Shell,
            false => Aim::Before,
        };
        self.aims.entry(aim).or_default().push(name.to_string());
    }

    fn settle(&mut self, name: &str, status: Status, why: String) {
        match self.nodes.get_mut(name) {
            Some(node) if node.place != Place::Settled => node.enter(Place::Settled),
            _ => return,
        }
        if let Err(error) = self.waiter.give_up(&[name.to_string()]) {
            self.trouble(error.to_string());
        }
        self.say(name, status, &why);
    }

    fn say(&mut self, name: &str, status: Status, why: &str) {
        self.failed += usize::from(status.is_failure());
        self.answers.settled(&NodeResult::new(name, status, why));
    }

    /// The end, reached or asked for: claims and FIFO go in the order that loses nothing, what is not
    /// settled is cancelled, and no boot target is left that boots half of a disk.
    fn end(&mut self) {
        let (news, _) = self.waiter.end();
        self.take_news(news);
        for handle in &mut self.reboots {
            handle.cancel();
        }
        self.hear_reboots();
        self.crew.terminate();
        self.crew = Crew::new(Limits::fanout(CHILDREN));
        // Children that were just ended may not have come to it: doing it twice changes nothing.
        for (aim, nodes) in std::mem::take(&mut self.aiming) {
            self.aims.entry(aim).or_default().extend(nodes);
        }
        let left: Vec<String> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.place != Place::Settled)
            .map(|(name, _)| name.clone())
            .collect();
        for name in left {
            let last = self
                .nodes
                .get(&name)
                .map(Node::last_known)
                .unwrap_or_default();
            match self.place(&name) {
                Some(Place::Whole) => {
                    self.aims.entry(Aim::Disk).or_default().push(name.clone());
                }
                Some(Place::Rebooting | Place::Configuring) => {}
                _ => self.aim_away(&name),
            }
            self.settle(&name, Status::CANCELLED, format!("last known: {last}"));
        }
        self.start_aims();
        while !self.crew.is_idle() {
            match self.crew.wait(&[], Some(TICK)) {
                Ok(ready) => ready.events.into_iter().for_each(|event| self.take(event)),
                Err(_) => break,
            }
        }
        let nonce = self.waiter.nonce().to_string();
        if let Err(why) = order::remove(&self.store, &nonce) {
            self.trouble(why);
        }
        self.answers.drain();
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
