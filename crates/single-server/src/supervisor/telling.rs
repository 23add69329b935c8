//! What others are told: the state of this host, its subscribers, the log.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Phase, Remark, Supervisor};
use crate::engine::Instance;
use crate::error::Error;
use crate::event::{Event, What};
use crate::process::Process;

impl Supervisor<'_> {
    /// Tells what happened here; it is the state from now on.
    pub(super) fn tell(
        &mut self,
        instance: u32,
        what: What,
        epoch: u64,
        address: Option<&str>,
        reason: Option<&str>,
    ) {
        let pid = match &self.phase {
            Phase::In(term) => term.pid(),
            Phase::Out(_) => 0,
        };
        let host = self.host.clone();
        let event = self.event(instance, what, epoch, &host, pid, address, reason);
        self.told.insert(instance, event.clone());
        self.write_state();
        self.deliver(&event);
    }

    /// Told, but not the state of any server.
    pub(super) fn tell_aside(&mut self, instance: u32, what: What, epoch: u64) {
        let host = self.host.clone();
        let event = self.event(instance, what, epoch, &host, 0, None, None);
        self.deliver(&event);
    }

    pub(super) fn tell_waiting(&mut self, instance: u32) {
        let held = self
            .told
            .get(&instance)
            .filter(|event| event.event != What::Lost);
        let epoch = held.map_or(0, |event| event.epoch);
        self.tell_aside(instance, What::Waiting, epoch);
    }

    /// What is seen of an instance that is not ours. Never goes back to an older epoch, nor wakes up one
    /// that is over.
    pub(super) fn tell_of_other(&mut self, number: u32, instance: &Instance) {
        if matches!(&self.phase, Phase::In(term) if term.instance == number) {
            return;
        }
        let told = self.told.get(&number);
        let last = told.map_or(0, |event| event.epoch);
        // That of our own server; another's lock shows its holder a moment after its epoch.
        let over = |event: &Event| {
            matches!(event.event, What::Lost | What::Failed) && !event.host.is_empty()
        };
        if instance.epoch < last || instance.epoch == 0 {
            return;
        }
        let same = told.filter(|event| event.epoch == instance.epoch);
        if same.is_some_and(over) {
            return;
        }
        let what = match (&instance.address, instance.held) {
            (_, false) => What::Lost,
            (Some(_), true) => What::Ready,
            // It had one.
            (None, true) if same.is_some_and(|event| event.address.is_some()) => What::Suspect,
            (None, true) => What::Starting,
        };
        let address = match what {
            What::Ready => instance.address.as_ref(),
            _ => None,
        };
        if same.is_some_and(|event| event.event == what) {
            return;
        }
        let host = address.map_or(String::new(), |(_, host)| host.clone());
        let address = address.map(|(address, _)| address.clone());
        let epoch = instance.epoch;
        let event = self.event(number, what, epoch, &host, 0, address.as_deref(), None);
        self.told.insert(number, event.clone());
        self.write_state();
        self.deliver(&event);
    }

    pub(super) fn write_state(&mut self) {
        let state: Vec<Event> = self.told.values().cloned().collect();
        let written = self.board.write_state(&state);
        self.written(written);
    }

    /// What runs here, for who asks and for who comes after us.
    pub(super) fn note_server(&mut self) {
        let pid = match &self.phase {
            Phase::In(term) => term.pid(),
            Phase::Out(_) => 0,
        };
        let noted = self.board.note_server(Process::of(pid));
        self.written(noted);
    }

    pub(super) fn written(&mut self, written: Result<(), Error>) {
        if let Err(error) = written {
            self.unwritten = true;
            self.trouble(&error.to_string());
        }
    }

    fn deliver(&mut self, event: &Event) {
        let state: Vec<Event> = self.told.values().cloned().collect();
        self.board.deliver(event, &state);
        (self.say)(&Remark::Event(event));
    }

    #[allow(clippy::too_many_arguments)] // The fields of an event, in their order.
    fn event(
        &mut self,
        instance: u32,
        what: What,
        epoch: u64,
        host: &str,
        pid: i32,
        address: Option<&str>,
        reason: Option<&str>,
    ) -> Event {
        self.seq += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Event {
            event: what,
            kind: self.service.name.clone(),
            instance,
            epoch,
            seq: self.seq,
            host: host.into(),
            pid,
            since: now.map_or(0, |now| now.as_secs()),
            address: address.map(Into::into),
            reason: reason.map(Into::into),
            resync: false,
        }
    }
}
