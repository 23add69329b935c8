//! Records on standard output, sentences for the log.

use std::io::Write;

use program::{Output, escape};
use serde_json::json;
use single_server::{Event, Stands, Status, What};

pub(crate) struct Shown {
    pub(crate) out: Output,
    pub(crate) json: bool,
}

impl Shown {
    /// The event's own line, or its fields.
    pub(crate) fn event(&mut self, event: &Event) {
        match self.json {
            true => self.out.line(&json!(event).to_string()),
            false => self.out.line(&event.to_string()),
        }
    }

    pub(crate) fn address(&mut self, event: &Event) {
        let address = event.address.as_deref().unwrap_or_default();
        match self.json {
            true => self.out.line(&json!(event).to_string()),
            false => self.out.line(&escape(address)),
        }
    }

    pub(crate) fn status(&mut self, name: &str, status: &Status) {
        let word = match &status.standing {
            Stands::Nothing => "stopped",
            Stands::Abandoned(_) => "abandoned",
            Stands::Standby => "standby",
            Stands::Failed => "failed",
            Stands::Owner(_) => "owner",
            Stands::Broken(_) => "suspect",
        };
        let supervisor = status.supervisor.map(|process| process.pid);
        let server = match &status.standing {
            Stands::Owner(server) | Stands::Abandoned(server) => Some(server.pid),
            _ => None,
        };
        if self.json {
            let own = &status.own;
            let line = json!({"kind": name, "state": word, "supervisor": supervisor, "server": server, "event": own});
            return self.out.line(&line.to_string());
        }
        let event = status
            .own
            .as_ref()
            .map_or(String::new(), |own| format!(" {own}"));
        self.out.line(&format!("{name}: {word}{event}"));
    }

    pub(crate) fn kind(&mut self, name: &str, supervised: bool, state: &[Event]) {
        if self.json {
            let line = json!({"kind": name, "supervised": supervised, "instances": state});
            return self.out.line(&line.to_string());
        }
        if state.is_empty() {
            let word = if supervised { "standby" } else { "stopped" };
            return self.out.line(&format!("{name}: {word}"));
        }
        for event in state {
            self.out.line(&format!("{name}: {event}"));
        }
    }
}

/// For the log: `csnap: ready: epoch 17: tcp:10.77.9.2:8080`.
pub(crate) fn sentence(event: &Event) -> String {
    let mut text = format!("{}: {}", event.kind, event.event.word());
    if event.instance > 1 {
        text = format!("{}@{}: {}", event.kind, event.instance, event.event.word());
    }
    if event.epoch > 0 {
        text.push_str(&format!(": epoch {}", event.epoch));
    }
    if event.event == What::Ready && !event.host.is_empty() {
        text.push_str(&format!(" on {}", event.host));
    }
    for more in [&event.address, &event.reason].into_iter().flatten() {
        text.push_str(&format!(": {more}"));
    }
    text
}

/// Whoever started us waits for this line, then for the end of the file.
pub(crate) fn announce() {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "listening");
    let _ = program::close_stdout();
}
