//! What is looked at once a second: how far nodes are, who is wedged, whether the servers run.

use std::time::{Duration, Instant};

use node_reboot::Status;
use xcat_request::load::status;

use super::Run;
use crate::node::{Patience, Place, TRIES, Wedged};
use crate::{console, serve};

/// How often it is seen to that callbackd and the image servers run.
const SERVERS: Duration = Duration::from_secs(5);

impl Run {
    pub(super) fn tick(&mut self) {
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
            node.hear(one.words);
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
        let told = self.target.clone().unwrap_or_default();
        let seen = [
            ("callbackd", self.listener(), told.report),
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
}
