//! What shows that a node has gone through a reboot. A ping shows nothing: a boot loader or a
//! management controller answers those.

use crate::ladder::Event;

/// What is said of a node whose port does not answer.
const SILENT: &str = "its ssh port does not answer";

/// What was seen of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Its ssh port takes connections.
    Open,
    /// Its ssh port takes none.
    Closed,
    /// The boot that it runs.
    BootId(String),
    /// ssh does not let us in, or failed.
    NoSsh(String),
    /// xCAT's status, set since our start.
    Status(String),
}

/// What is known of a node's boots.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// The boot before.
    before: Option<String>,
    /// It was seen without power, or without its ssh port.
    gone: bool,
    /// How often ssh failed while its port was open, since the port was last closed.
    refusals: u8,
    /// The last thing seen, for people.
    last: String,
}

impl Evidence {
    /// Notes the boot id of before the reboot.
    pub(crate) fn was(&mut self, boot_id: String) {
        self.before = Some(boot_id);
    }

    /// Notes that it was seen off, or not there.
    pub(crate) fn is_gone(&mut self) {
        self.gone = true;
    }

    /// The last thing seen.
    pub(crate) fn last(&self) -> &str {
        if self.last.is_empty() {
            "nothing was seen of it"
        } else {
            &self.last
        }
    }

    /// Judges one sight of a node that was told to reboot by ssh and has not been seen going down.
    pub(crate) fn going_down(&mut self, seen: &Seen) -> Option<Event> {
        match seen {
            Seen::Closed => {
                self.gone = true;
                self.last = SILENT.into();
                Some(Event::Closed)
            }
            Seen::BootId(id) if self.before.as_ref() != Some(id) => Some(Event::Up),
            _ => None,
        }
    }

    /// Judges one sight of a node that is to come up.
    pub(crate) fn coming_up(&mut self, seen: &Seen) -> Option<Event> {
        match seen {
            Seen::Closed => {
                self.gone = true;
                self.refusals = 0;
                self.last = SILENT.into();
                None
            }
            // No key there: closed and opened again is what can be known. That ssh failed may also mean
            // that it has gone again, so it must be open still; and where there was a key before, one
            // failure is not enough.
            Seen::Open if self.gone && self.refusals > u8::from(self.before.is_some()) => {
                Some(Event::Up)
            }
            Seen::Open => {
                if self.last.is_empty() || self.last == SILENT {
                    self.last = "its ssh port answers".into();
                }
                None
            }
            Seen::BootId(id) => match &self.before {
                Some(before) if before == id => {
                    self.last = "it answers with the boot id of before".into();
                    None
                }
                None if !self.gone => {
                    self.last = "it answers, and nobody saw it go down".into();
                    None
                }
                _ => Some(Event::Up),
            },
            Seen::NoSsh(why) => {
                self.refusals = self.refusals.saturating_add(1);
                let unseen = match self.gone {
                    true => "its ssh port answers",
                    false => "nobody saw it go down",
                };
                self.last = format!("{unseen}, and {why}");
                None
            }
            Seen::Status(status) if status == "booted" => Some(Event::Up),
            Seen::Status(status) => {
                self.last = format!("its status is {status}");
                (status == "failed").then_some(Event::Broken)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Seen {
        Seen::BootId(text.into())
    }

    fn refused() -> Seen {
        Seen::NoSsh("Permission denied".into())
    }

    #[test]
    fn another_boot_id_is_up_and_the_same_is_not() {
        let mut evidence = Evidence::default();
        evidence.was("a".into());
        assert_eq!(evidence.going_down(&id("a")), None);
        assert_eq!(evidence.going_down(&Seen::Closed), Some(Event::Closed));
        assert_eq!(evidence.coming_up(&id("a")), None);
        assert_eq!(evidence.last(), "it answers with the boot id of before");
        assert_eq!(evidence.coming_up(&id("b")), Some(Event::Up));
    }

    #[test]
    fn without_a_key_the_port_must_have_closed() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.coming_up(&Seen::Open), None);
        assert_eq!(evidence.coming_up(&refused()), None);
        assert_eq!(evidence.coming_up(&Seen::Closed), None);
        assert_eq!(evidence.coming_up(&Seen::Open), None);
        assert_eq!(evidence.coming_up(&refused()), None);
        assert_eq!(evidence.coming_up(&Seen::Open), Some(Event::Up));
    }

    #[test]
    fn a_failure_of_ssh_on_the_way_down_is_not_up() {
        let mut evidence = Evidence::default();
        evidence.was("a".into());
        for seen in [
            Seen::Closed,
            Seen::Open,
            refused(),
            Seen::Closed,
            Seen::Open,
            refused(),
        ] {
            assert_eq!(evidence.coming_up(&seen), None, "{seen:?}");
        }
        // A key that worked before is missed twice.
        assert_eq!(evidence.coming_up(&Seen::Open), None);
        assert_eq!(evidence.coming_up(&refused()), None);
        assert_eq!(evidence.coming_up(&Seen::Open), Some(Event::Up));
    }

    #[test]
    fn what_was_seen_off_is_up_when_it_answers() {
        let mut evidence = Evidence::default();
        assert_eq!(evidence.coming_up(&id("x")), None);
        evidence.is_gone();
        assert_eq!(evidence.coming_up(&id("x")), Some(Event::Up));
    }

    #[test]
    fn only_booted_is_up_and_only_failed_is_a_failure() {
        let status = |text: &str| Evidence::default().coming_up(&Seen::Status(text.into()));
        assert_eq!(status("booted"), Some(Event::Up));
        assert_eq!(status("failed"), Some(Event::Broken));
        for other in ["alive", "installing", "netbooting", ""] {
            assert_eq!(status(other), None, "{other}");
        }
    }
}
