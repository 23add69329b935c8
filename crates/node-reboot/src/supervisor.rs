//! All nodes of a request, each on its ladder, in one loop. Runs in a child of its own; its children do
//! one step each.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use fork_worker::{ChildId, Crew, Event as ChildEvent, Job, Limits, What};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::climber::Climber;
use crate::hold::Holds;
use crate::ladder::{Event, State, next};
use crate::line::Line;
use crate::outlet::Outlet;
use crate::pace::Pace;
use crate::plan::Plan;
use crate::request::{COMMAND_FANOUT, POWER_FANOUT, WAIT};
use crate::route::Route;
use crate::step::{Flight, Said, Shared, Step, Work};
use crate::verdict::{NodeResult, Status};

/// Between two readings of xCAT's statuses.
const STATUSES: Duration = Duration::from_secs(5);
/// Calls with sets of nodes at a time, of one kind: the others wait, and make larger sets.
const SETS: usize = 4;
/// How long lines may wait for a reader that is behind, before they are offered again.
const OFFER: Duration = Duration::from_millis(200);

/// The way of nodes whose management controllers we speak with.
const CONTROLLERS: u8 = 5;

/// Carries a plan out to its end.
pub(crate) fn carry_out(plan: Plan, outlet: Outlet) -> Result<String, String> {
    let mut supervisor = Supervisor::new(plan, outlet)?;
    supervisor.run()?;
    supervisor.outlet.drain();
    Ok(String::new())
}

/// Nodes that wait for the same kind of step by the same way.
type Kind = (Step, u8);

struct Supervisor {
    crew: Crew<()>,
    shared: Rc<Shared>,
    climbers: Vec<Climber>,
    /// When something is due for which node.
    timers: BTreeSet<(Instant, usize)>,
    queues: BTreeMap<Kind, VecDeque<usize>>,
    flights: HashMap<ChildId, Flight>,
    /// Which child, or queue, a node waits for.
    awaited: HashMap<usize, Awaited>,
    pace: Pace,
    holds: Holds,
    outlet: Outlet,
    unsettled: usize,
    term: SignalFd,
    statuses: bool,
    next_statuses: Option<Instant>,
    wait: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Queue(Step),
    Child(ChildId),
}

impl Supervisor {
    fn new(plan: Plan, mut outlet: Outlet) -> Result<Supervisor, String> {
        let term = termination().map_err(|error| error.to_string())?;
        for result in plan.settled() {
            outlet.say(&Line::Settled(result.clone()));
        }
        let holds = Holds::open()?;
        let mut climbers = Vec::new();
        let mut chassis = Vec::new();
        for node in &plan.nodes {
            match holds.take(&node.name) {
                Ok(()) => {
                    chassis.push(node.chassis.clone());
                    climbers.push(Climber::new(Rc::new(node.clone()), plan.rules(node)));
                }
                Err(why) => {
                    let result = NodeResult::new(&node.name, Status::NOT_STARTED, why);
                    outlet.say(&Line::Settled(result));
                }
            }
        }
        let options = plan.options.clone();
        let fanout = options.fanout.unwrap_or(POWER_FANOUT);
        Ok(Supervisor {
            // One more for reading statuses.
            crew: Crew::new(Limits::fanout(fanout + COMMAND_FANOUT + 1)),
            unsettled: climbers.len(),
            climbers,
            timers: BTreeSet::new(),
            queues: BTreeMap::new(),
            flights: HashMap::new(),
            awaited: HashMap::new(),
            pace: Pace::new(chassis, &options),
            holds,
            outlet,
            term,
            statuses: plan.statuses && options.wait.is_some(),
            next_statuses: None,
            wait: options.wait.unwrap_or(WAIT),
            shared: Rc::new(Shared {
                ways: plan.ways,
                options,
                location: plan.location,
            }),
        })
    }

    fn run(&mut self) -> Result<(), String> {
        while self.unsettled > 0 {
            self.advance(Instant::now());
            self.launch();
            self.outlet.push();
            if self.unsettled == 0 {
                break;
            }
            let timeout = self.sleep(Instant::now());
            let term = self.term.as_fd();
            let ready = self
                .crew
                .wait(&[term], timeout)
                .map_err(|e| e.to_string())?;
            for event in ready.events {
                self.hear(event);
            }
            if !ready.readable.is_empty() {
                self.cancel();
            }
        }
        // Nobody waits for what still runs.
        self.crew.terminate();
        Ok(())
    }

    /// Begins what may begin, ends what must end, looks at what is due.
    fn advance(&mut self, now: Instant) {
        if let Some((nodes, why)) = self.pace.dropped() {
            for number in nodes {
                if let Some(climber) = self.climbers.get_mut(number) {
                    climber.push(why.clone());
                }
                self.settle(number, Status::CANCELLED, why.clone());
            }
        }
        for number in self.pace.due(now) {
            self.event(number, Event::Begin);
        }
        while let Some((at, number)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.remove(&(at, number));
            self.due(number, now);
        }
        if self.next_statuses.is_some_and(|at| at <= now) {
            self.read_statuses(now);
        }
    }

    fn due(&mut self, number: usize, now: Instant) {
        let Some(climber) = self.climbers.get_mut(number) else {
            return;
        };
        let state = climber.state;
        // A node without an address is only waited for by its status.
        let blind = climber.node.ssh.is_none() && Step::of(state) == Some(Step::Port);
        if climber.limit.is_some_and(|limit| limit <= now) {
            if blind || climber.overdue {
                return self.run_out(number);
            }
            // On a busy host the last look may be old: nobody fails for that. One more decides.
            climber.overdue = true;
            climber.limit = now.checked_add(self.shared.options.limits.power);
            if self.awaited.contains_key(&number) {
                return self.set_timer(number);
            }
        }
        climber.look = None;
        match Step::of(state) {
            Some(step) if !blind => self.want(number, step),
            _ => {}
        }
        self.set_timer(number);
    }

    fn run_out(&mut self, number: usize) {
        if let Some(climber) = self.climbers.get_mut(number) {
            climber.ran_out();
            self.event(number, Event::Limit);
        }
    }

    /// Something happened to a node: the table says what comes next.
    fn event(&mut self, number: usize, event: Event) {
        let now = Instant::now();
        let Some(climber) = self.climbers.get_mut(number) else {
            return;
        };
        let before = climber.state;
        let state = next(before, event, &climber.rules);
        if state == before {
            climber.look_again(now);
            return self.set_timer(number);
        }
        self.forget(number);
        if let State::Settled(status) = state {
            let story = self
                .climbers
                .get(number)
                .map(|climber| climber.story(status, before, now))
                .unwrap_or_default();
            return self.settle(number, status, story);
        }
        let options = &self.shared.options;
        let limit = state.limit(&options.limits, options.prepare, self.wait);
        let Some(climber) = self.climbers.get_mut(number) else {
            return;
        };
        let step = climber.enter(state, limit, now);
        let within = limit.map(|limit| format!(" (limit {} s)", limit.as_secs()));
        let within = within.unwrap_or_default();
        let text = format!("{}: {}{within}", climber.node.name, state.doing());
        self.note(text);
        self.set_timer(number);
        if state == State::ComingUp && self.statuses {
            // Its status of now is what a later one is told by.
            self.next_statuses = Some(now);
        }
        if let Some(step) = step {
            self.want(number, step);
        }
    }

    fn note(&mut self, text: String) {
        if self.shared.options.notes {
            self.outlet.say(&Line::Note(text));
        }
    }

    fn settle(&mut self, number: usize, status: Status, why: String) {
        let Some(climber) = self.climbers.get_mut(number) else {
            return;
        };
        if matches!(climber.state, State::Settled(_)) {
            return;
        }
        climber.state = State::Settled(status);
        (climber.limit, climber.look) = (None, None);
        let name = climber.node.name.clone();
        self.holds.release(&name);
        self.unsettled -= 1;
        self.pace.ended(number, status.is_failure(), &name);
        self.outlet
            .say(&Line::Settled(NodeResult::new(&name, status, why)));
    }

    /// Queues a step of a node.
    fn want(&mut self, number: usize, step: Step) {
        let Some(climber) = self.climbers.get(number) else {
            return;
        };
        self.awaited.insert(number, Awaited::Queue(step));
        self.queues
            .entry((step, way(step, &climber.node.route)))
            .or_default()
            .push_back(number);
    }

    /// What a node waited for is not for it any more.
    fn forget(&mut self, number: usize) {
        self.unset_timer(number);
        if let Some(Awaited::Child(child)) = self.awaited.remove(&number)
            && let Some(flight) = self.flights.get_mut(&child)
        {
            flight.left.remove(&number);
            if flight.left.is_empty() {
                self.crew.cancel(child);
            }
        }
    }

    fn set_timer(&mut self, number: usize) {
        self.unset_timer(number);
        if let Some(climber) = self.climbers.get_mut(number) {
            climber.timer = climber.due();
            self.timers.extend(climber.timer.map(|due| (due, number)));
        }
    }

    fn unset_timer(&mut self, number: usize) {
        let timer = self
            .climbers
            .get_mut(number)
            .and_then(|climber| climber.timer.take());
        if let Some(at) = timer {
            self.timers.remove(&(at, number));
        }
    }

    /// Starts children as far as the fanouts allow.
    fn launch(&mut self) {
        let kinds: Vec<Kind> = self.queues.keys().copied().collect();
        for kind in kinds {
            while self.has_room(kind) {
                let nodes = self.take(kind);
                if nodes.is_empty() {
                    break;
                }
                self.start(kind.0, nodes);
            }
        }
        self.queues.retain(|_, queue| !queue.is_empty());
    }

    fn has_room(&self, (step, way): Kind) -> bool {
        let options = &self.shared.options;
        let (class, most) = match is_power(way) {
            true => (true, options.fanout.unwrap_or(POWER_FANOUT)),
            false => (false, options.fanout.unwrap_or(COMMAND_FANOUT)),
        };
        let same = self
            .flights
            .values()
            .filter(|flight| flight.way == way && flight.step == step);
        let sets = same.filter(|flight| flight.set).count();
        let running = self
            .flights
            .values()
            .filter(|flight| is_power(flight.way) == class);
        sets < SETS && running.count() < most.max(1)
    }

    /// The next nodes of a kind that still wait for it: as many as one child takes.
    fn take(&mut self, kind: Kind) -> Vec<usize> {
        let mut nodes = Vec::new();
        let Some(queue) = self.queues.get_mut(&kind) else {
            return nodes;
        };
        while let Some(number) = queue.front() {
            let waits = self.awaited.get(number) == Some(&Awaited::Queue(kind.0));
            let most = self
                .climbers
                .get(*number)
                .map_or(0, |climber| kind.0.set(&climber.node.route));
            if waits && nodes.len() >= most {
                break;
            }
            let number = queue.pop_front();
            nodes.extend(number.filter(|_| waits));
        }
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    fn start(&mut self, step: Step, nodes: Vec<usize>) -> Option<ChildId> {
        let members: Vec<(usize, Rc<crate::route::Node>)> = nodes
            .iter()
            .filter_map(|number| Some((*number, Rc::clone(&self.climbers.get(*number)?.node))))
            .collect();
        let (_, first) = members.first()?;
        let (way, set) = (way(step, &first.route), step.set(&first.route) > 1);
        let work = Work {
            step,
            nodes: members,
            shared: Rc::clone(&self.shared),
        };
        let deadline = work.deadline();
        let child = self.crew.start(
            (),
            Job::new(move |report| work.run(report)).deadline(deadline),
        );
        if step != Step::Statuses {
            for number in &nodes {
                self.awaited.insert(*number, Awaited::Child(child));
            }
        }
        let left = nodes.into_iter().collect();
        self.flights.insert(
            child,
            Flight {
                step,
                way,
                set,
                aside: None,
                left,
            },
        );
        Some(child)
    }

    fn hear(&mut self, event: ChildEvent<()>) {
        let Some(flight) = self.flights.get_mut(&event.child) else {
            return;
        };
        let (step, aside) = (flight.step, flight.aside);
        match event.what {
            What::Line(line) => {
                if let Some((number, said)) = flight.read(&line) {
                    self.said(number, step, aside, said);
                }
            }
            What::Ended(end) => {
                let left = std::mem::take(&mut flight.left);
                self.flights.remove(&event.child);
                let why = match end {
                    Ok(_) => "nothing was said of it".to_string(),
                    Err(failure) => failure.to_string(),
                };
                for number in left {
                    self.said(number, step, aside, Said::Failed(why.clone()));
                }
            }
        }
    }

    fn said(&mut self, number: usize, step: Step, aside: Option<State>, said: Said) {
        let now = Instant::now();
        let Some(climber) = self.climbers.get_mut(number) else {
            return;
        };
        let elsewhere = aside.is_some_and(|state| state != climber.state);
        if elsewhere || matches!(climber.state, State::Settled(_)) {
            return;
        }
        if step != Step::Statuses && aside.is_none() {
            self.awaited.remove(&number);
        }
        let mut ask = false;
        let node = Rc::clone(&climber.node);
        let watched = climber.state.is_watched();
        let knew = climber.status().is_some();
        let event = climber.judge(step, said, now, &mut ask);
        if let Some(event) = event {
            return self.event(number, event);
        }
        if watched && step != Step::Statuses && aside.is_none() {
            if climber.overdue {
                return self.run_out(number);
            }
            climber.look_again(now);
        }
        let first = match knew {
            true => None,
            false => climber.status().and_then(|status| status.split_once('|')),
        };
        if let Some((time, status)) = first {
            let text = format!("{}: its status is {status} since {time}", node.name);
            self.note(text);
        }
        self.set_timer(number);
        if ask {
            self.ask_aside(number);
        }
    }

    /// Asks for the boot id while the looks go on: a node that goes down lets ssh hang.
    fn ask_aside(&mut self, number: usize) {
        let state = self.climbers.get(number).map(|climber| climber.state);
        // No room: it is asked after a later look.
        if self.has_room((Step::BootId, 0))
            && let Some(child) = self.start(Step::BootId, vec![number])
            && let Some(flight) = self.flights.get_mut(&child)
        {
            flight.aside = state;
            self.awaited.remove(&number);
        }
    }

    fn read_statuses(&mut self, now: Instant) {
        let under_way = self
            .flights
            .values()
            .any(|flight| flight.step == Step::Statuses);
        let coming: Vec<usize> = (0..self.climbers.len())
            .filter(|number| {
                let climber = self.climbers.get(*number);
                climber.is_some_and(|climber| climber.state == State::ComingUp)
            })
            .collect();
        self.next_statuses = None;
        if coming.is_empty() {
            return;
        }
        self.next_statuses = now.checked_add(STATUSES);
        if !under_way {
            self.start(Step::Statuses, coming);
        }
    }

    fn sleep(&self, now: Instant) -> Option<Duration> {
        let times = [
            self.timers.first().map(|(at, _)| *at),
            self.pace.next(),
            self.next_statuses,
            self.outlet.is_behind().then(|| now + OFFER),
        ];
        let first = times.into_iter().flatten().min();
        first.map(|at| at.saturating_duration_since(now))
    }

    /// TERM: nothing new, and what runs is stopped.
    fn cancel(&mut self) {
        for number in 0..self.climbers.len() {
            self.event(number, Event::Cancel);
        }
    }
}

/// TERM as a descriptor. What a terminal sends to all is our caller's to decide: it tells us by TERM.
///
/// # Errors
/// What the system says.
pub fn termination() -> nix::Result<SignalFd> {
    let mut others = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        others.add(signal);
    }
    others.thread_block()?;
    let mut term = SigSet::empty();
    term.add(Signal::SIGTERM);
    term.thread_block()?;
    let descriptor = SignalFd::with_flags(&term, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    debug_assert!(descriptor.as_raw_fd() > 2);
    Ok(descriptor)
}

/// Nodes whose step goes the same way may share a child.
fn way(step: Step, route: &Route) -> u8 {
    match (step, route) {
        (Step::Port | Step::BootId | Step::SshReboot | Step::Configure | Step::Statuses, _) => 0,
        (_, Route::None) => 1,
        (_, Route::Hook) => 2,
        (_, Route::Rpower) => 3,
        (_, Route::Virsh(_)) => 4,
        (_, Route::Bmc(_)) => CONTROLLERS,
        (_, Route::Partition(_)) => 6,
    }
}

/// True for exchanges with management controllers, which wait rather than work.
fn is_power(way: u8) -> bool {
    way == CONTROLLERS
}
