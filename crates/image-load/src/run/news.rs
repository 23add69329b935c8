//! What nodes say of themselves: their set-ups and their verdicts.

use node_reboot::Status;
use node_report::News;
use xcat_request::load::{Told, Verdict, status};

use super::Run;
use super::aim::Aim;
use crate::node::Place;

impl Run {
    pub(super) fn take_news(&mut self, news: News) {
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

    /// The agent's first word. What image servers count is none: it may be of the boot before.
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
}
