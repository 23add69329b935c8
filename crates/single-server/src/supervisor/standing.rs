//! Standing in line, and the child that looks at the lock for us.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fork_worker::{ChildId, Failure, Job, What};

use super::term::Term;
use super::{LOOK, Phase, Supervisor, Task};
use crate::engine::{Heard, Instance, Seen};
use crate::error::Error;
use crate::event;
use crate::service::Standing;

/// After an epoch could not be written.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// Why a term ends when an administrator has allowed fewer instances.
const FEWER: &str = "there may be fewer instances now";

impl Supervisor<'_> {
    /// Stands in the line of each instance, if this host is to; else in none.
    pub(super) fn line_up(&mut self) {
        let count = match (&self.seen, self.wanted) {
            (Some(seen), true) => u32::try_from(seen.instances.len()).unwrap_or(0),
            _ => 0,
        };
        let Phase::Out(seats) = &mut self.phase else {
            return;
        };
        // Instances that may not be any more, or all.
        for (_, (waiter, seat)) in seats.split_off(&(count + 1)) {
            drop(seat);
            self.crew.cancel(waiter);
        }
        if self.line_up_due > Instant::now() {
            return;
        }
        for number in 1..=count {
            let Phase::Out(seats) = &mut self.phase else {
                return;
            };
            if seats.contains_key(&number) {
                continue;
            }
            match self.engine.line_up(number) {
                Ok((seat, job)) => {
                    let waiter = self.crew.start(Task::Seat(number), job);
                    seats.insert(number, (waiter, seat));
                    self.tell_waiting(number);
                }
                Err(error) => {
                    self.line_up_due = Instant::now() + LOOK;
                    self.trouble(&error.to_string());
                }
            }
        }
    }

    pub(super) fn heard_seat(&mut self, instance: u32, child: ChildId, what: &What) {
        let heard = match &mut self.phase {
            Phase::Out(seats) => match seats.get_mut(&instance) {
                Some((waiter, seat)) if *waiter == child => seat.hear(what),
                _ => return,
            },
            Phase::In(term) if term.keeper == child => term.seat.hear(what),
            Phase::In(_) => return,
        };
        match (heard, &self.phase) {
            (Ok(Heard::Nothing), _) => {}
            (Ok(Heard::Granted(epoch)), Phase::Out(_)) => self.take_over(instance, epoch),
            (Ok(Heard::Granted(epoch)), Phase::In(_)) => self.launch(epoch),
            (Ok(Heard::Again), Phase::Out(_)) => self.leave_line(instance),
            (Ok(Heard::Lost(why)), Phase::Out(_)) => {
                self.leave_line(instance);
                self.line_up_due = Instant::now() + LOOK;
                self.trouble(&why);
            }
            (Err(error), Phase::Out(_)) => self.no_epoch(instance, &error),
            (Ok(Heard::Again), Phase::In(_)) => self.lock_lost("the lock was replaced"),
            (Ok(Heard::Lost(why)), Phase::In(_)) => self.lock_lost(&why),
            (Err(error), Phase::In(_)) => self.lock_lost(&error.to_string()),
        }
    }

    fn take_over(&mut self, instance: u32, epoch: u64) {
        let Phase::Out(seats) = &mut self.phase else {
            return;
        };
        let mut seats = std::mem::take(seats);
        let Some((keeper, seat)) = seats.remove(&instance) else {
            return;
        };
        // A place in another line that is granted in this moment is let go again.
        for (_, (waiter, seat)) in seats {
            drop(seat);
            self.crew.cancel(waiter);
        }
        self.trouble.clear();
        self.phase = Phase::In(Box::new(Term::new(instance, keeper, seat)));
        // Both may have changed between the grant and now.
        if !self.wanted {
            self.give_up_term("told to hand over");
        } else if self.may_not_be(instance) {
            self.give_up_term(FEWER);
        } else {
            self.launch(epoch);
        }
    }

    fn leave_line(&mut self, instance: u32) {
        if let Phase::Out(seats) = &mut self.phase
            && let Some((waiter, seat)) = seats.remove(&instance)
        {
            drop(seat);
            self.crew.cancel(waiter);
        }
    }

    /// The lock was ours and no number could be had for it: it is free again.
    fn no_epoch(&mut self, instance: u32, error: &Error) {
        self.leave_line(instance);
        self.line_up_due = Instant::now() + AFTER_FAILURE;
        self.tell(
            instance,
            event::What::Failed,
            0,
            None,
            Some(&error.to_string()),
        );
    }

    /// A child that looks at the lock once a second, or when something changes, and says what is new.
    /// While it lives, this host counts among those that can start a server.
    pub(super) fn send_scout(&mut self) {
        let registers = self.service.standing != Standing::Managed;
        let (lock, name) = (self.service.lock.clone(), self.service.name.clone());
        let job = Job::new(move |report| {
            let mut engine = lock.engine(&name).map_err(|error| error.to_string())?;
            let mut look = || -> Result<(), Error> {
                if registers {
                    engine.register()?;
                }
                let mut known = None;
                loop {
                    let seen = engine.look()?;
                    let text = serde_json::to_string(&seen).unwrap_or_default();
                    if known.as_ref() != Some(&seen) && report.line(&text).is_err() {
                        return Ok(());
                    }
                    known = Some(seen);
                    engine.pause(LOOK)?;
                }
            };
            look()
                .map(|()| String::new())
                .map_err(|error| error.to_string())
        });
        // Told anew after each look: much is said in a long life.
        self.scout = Some(self.crew.start(Task::Scout, job.total_limit(usize::MAX)));
    }

    pub(super) fn heard_scout(&mut self, what: &What) {
        match what {
            What::Line(line) => {
                if let Ok(seen) = serde_json::from_str::<Seen>(line) {
                    self.note(seen);
                }
            }
            What::Ended(outcome) => {
                self.scout = None;
                self.scout_due = Instant::now() + LOOK;
                if let Err(failure) = outcome
                    && *failure != Failure::Terminated
                {
                    self.trouble(&failure.to_string());
                }
            }
        }
    }

    fn note(&mut self, seen: Seen) {
        if seen.asked
            && self.service.standing == Standing::OnDemand
            && !self.leaving
            && !self.gave_up()
        {
            self.wanted = true;
        }
        self.tell_of_others(&seen);
        self.seen = Some(seen);
        if let Phase::In(term) = &self.phase
            && self.may_not_be(term.instance)
        {
            self.give_up_term(FEWER);
        }
    }

    /// Tells what was seen of the instances that are not ours.
    pub(super) fn tell_of_others(&mut self, seen: &Seen) {
        for (number, instance) in (1..).zip(&seen.instances) {
            self.tell_of_other(number, instance);
        }
        // There may be fewer than there were.
        let count = u32::try_from(seen.instances.len()).unwrap_or(u32::MAX);
        let beyond = self.told.range(count.saturating_add(1)..);
        let beyond: Vec<(u32, u64)> = beyond.map(|(number, told)| (*number, told.epoch)).collect();
        for (number, epoch) in beyond {
            let gone = Instance {
                epoch,
                held: false,
                address: None,
            };
            self.tell_of_other(number, &gone);
        }
    }

    /// There are fewer instances than that now.
    fn may_not_be(&self, instance: u32) -> bool {
        let most = self.seen.as_ref().map(|seen| seen.instances.len());
        most.is_some_and(|most| usize::try_from(instance).is_ok_and(|number| number > most))
    }

    /// In no line, with nobody to be told.
    pub(super) fn out() -> Phase {
        Phase::Out(BTreeMap::new())
    }
}
