//! What happened, in order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its number, from 0.
    pub number: u64,
    /// When, in simulated seconds since the start.
    pub at: f64,
    /// At which BMC, or the node beside it.
    pub bmc: usize,
    /// What.
    #[serde(flatten)]
    pub what: Happened,
}

/// Kinds of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happened {
    /// A request was answered.
    Request {
        /// `METHOD /path`.
        request: String,
        /// The status of the answer; 0: there was none.
        status: u16,
    },
    /// A connection was taken.
    Connected,
    /// The power state changed.
    Power {
        /// The new state.
        power: crate::Power,
    },
    /// The host began to boot.
    Boot {
        /// The device, in Redfish's words.
        from: String,
    },
    /// The BMC began to reboot.
    BmcReboot,
    /// The BMC is up again.
    BmcUp,
    /// The node's port closed.
    NodeDown,
    /// The node's port is open.
    NodeUp {
        /// Its boot id.
        boot_id: String,
    },
    /// Something that only some dialects or tests know.
    Note {
        /// What.
        text: String,
    },
}

/// All events since the start.
#[derive(Debug, Default)]
pub(crate) struct Events {
    log: Mutex<Log>,
    grown: Condvar,
    keep_requests: bool,
}

#[derive(Debug, Default)]
struct Log {
    events: Vec<Event>,
    counts: BTreeMap<String, u64>,
}

impl Events {
    pub(crate) fn new(keep_requests: bool) -> Events {
        Events {
            keep_requests,
            ..Events::default()
        }
    }

    pub(crate) fn add(&self, at: f64, bmc: usize, what: Happened) {
        let mut log = self.lock();
        let chatter = match &what {
            Happened::Request { request, status } => {
                let key = format!("{status} {request}");
                *log.counts.entry(key).or_default() += 1;
                true
            }
            Happened::Connected => {
                *log.counts.entry("connected".to_string()).or_default() += 1;
                true
            }
            _ => false,
        };
        if chatter && !self.keep_requests {
            return;
        }
        let number = log.events.len() as u64;
        log.events.push(Event {
            number,
            at,
            bmc,
            what,
        });
        drop(log);
        self.grown.notify_all();
    }

    /// Events from number `since` on.
    pub(crate) fn since(&self, since: u64) -> Vec<Event> {
        let log = self.lock();
        log.events.iter().skip(since as usize).cloned().collect()
    }

    /// As [`Events::since`], but waits until there is one.
    pub(crate) fn wait(&self, since: u64) -> Vec<Event> {
        let mut log = self.lock();
        while log.events.len() as u64 <= since {
            log = match self.grown.wait(log) {
                Ok(log) => log,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
        log.events.iter().skip(since as usize).cloned().collect()
    }

    /// How often each `STATUS METHOD /path` was seen.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.lock().counts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
