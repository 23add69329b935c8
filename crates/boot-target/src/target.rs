//! What the nodes are told to do, and how that reads on a kernel line.

use crate::error::Error;

/// What a set of nodes boots next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The state that goes to `chain.currstate` and behind `destiny=`: `runcmd=getadapter`, so that
    /// stock images know it too.
    pub action: String,
    /// Where our agents report, `ADDRESS:PORT` (an IPv6 address in brackets). Empty: not said.
    pub report: String,
    /// SHA-256 of the listener's public key in lower hex. Empty: not said.
    pub pin: String,
    /// The claim's nonce in hex. Empty: not said.
    pub nonce: String,
    /// SHA-256 of the order that `osload-agent` fetches, in lower hex. Empty: not said.
    pub order: String,
    /// Where the image servers of that order are, in its sequence: `ADDRESS:PORT` each, separated by
    /// commas. Empty: not said.
    pub images: String,
    /// The state that follows the action when genesis asks for its next one; what the node booted before
    /// if that is not said. A node that may have half of a disk is to go to `shell`.
    pub then: Option<String>,
}

/// Image servers in one order.
const IMAGES: usize = 16;

impl Target {
    /// Refuses what would not stay one word on a kernel line, or what a boot loader or xCAT would
    /// take for something else than text.
    ///
    /// # Errors
    /// [`Error::Target`] names the field.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |field, why| Err(Error::Target { field, why });
        if self.action.is_empty() || !self.action.bytes().all(is_action) {
            return refuse("action", "only letters, digits and -_.=:/ can be passed on");
        }
        if !self.report.is_empty() && !is_address_and_port(&self.report) {
            return refuse("report", "is not ADDRESS:PORT");
        }
        if !self.pin.is_empty() && !is_hex(&self.pin, 64) {
            return refuse("pin", "is not 64 hexadecimal digits");
        }
        let length = self.nonce.len();
        if length != 0 && (length < 16 || !is_hex(&self.nonce, length)) {
            return refuse("nonce", "is not at least 16 hexadecimal digits");
        }
        if !self.order.is_empty() && !is_hex(&self.order, 64) {
            return refuse("order", "is not 64 hexadecimal digits");
        }
        let images = || self.images.split(',');
        if !self.images.is_empty()
            && (images().count() > IMAGES || !images().all(is_address_and_port))
        {
            return refuse("images", "is not ADDRESS:PORT,...");
        }
        if let Some(then) = &self.then
            && (then.is_empty() || !then.bytes().all(is_action))
        {
            return refuse("then", "only letters, digits and -_.=:/ can be passed on");
        }
        Ok(())
    }

    /// The same under the names that our agents look for in their environment: for a site's boot command,
    /// which may hand them on in its own way. What is only of osload is there only for osload.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("NODETOOLS_REPORT", &self.report),
            ("NODETOOLS_PIN", &self.pin),
            ("NODETOOLS_NONCE", &self.nonce),
            ("NODETOOLS_ORDER", &self.order),
            ("NODETOOLS_IMAGES", &self.images),
        ]
        .iter()
        .filter(|(name, value)| OF_ALL.contains(name) || !value.is_empty())
        .map(|(name, value)| ((*name).to_string(), (*value).clone()))
        .collect()
    }

    /// Our additions to the kernel line, in one order: `nodetools.report=`, `.pin=`, `.nonce=`,
    /// `.order=`, `.images=`.
    pub fn words(&self) -> String {
        [
            ("report", &self.report),
            ("pin", &self.pin),
            ("nonce", &self.nonce),
            ("order", &self.order),
            ("images", &self.images),
        ]
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{PREFIX}{name}={value}"))
        .collect::<Vec<_>>()
        .join(" ")
    }
}

/// Names that every boot command finds, set or not.
const OF_ALL: [&str; 3] = ["NODETOOLS_REPORT", "NODETOOLS_PIN", "NODETOOLS_NONCE"];

/// What every word of ours on a kernel line begins with.
const PREFIX: &str = "nodetools.";

/// `line` without any word of ours: what it was before, whoever put them there.
pub(crate) fn without_words(line: &str) -> String {
    line.split_ascii_whitespace()
        .filter(|word| !word.starts_with(PREFIX))
        .collect::<Vec<_>>()
        .join(" ")
}

/// True if a word of ours is on `line`.
pub(crate) fn has_words(line: &str) -> bool {
    line.split_ascii_whitespace()
        .any(|word| word.starts_with(PREFIX))
}

fn is_action(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'=' | b':' | b'/')
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.len() <= 128 && text.bytes().all(|c| c.is_ascii_hexdigit())
}

fn is_address_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_fits = match bare {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_host(host) && !host.contains(':'),
    };
    host_fits && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// True for a host's name or address, which is also one word for a boot loader.
pub(crate) fn is_host(host: &str) -> bool {
    (!host.is_empty()
        && host.len() <= 255
        && host
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_')))
        || host.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn target() -> Target {
        Target {
            action: "runcmd=getadapter".into(),
            report: "10.0.0.1:4001".into(),
            pin: "ab".repeat(32),
            nonce: "0123456789abcdef0123456789abcdef".into(),
            ..Target::default()
        }
    }

    #[test]
    fn the_words_are_those_that_the_agent_reads() {
        let target = target();
        target.check().unwrap();
        assert_eq!(
            target.words(),
            format!(
                "nodetools.report=10.0.0.1:4001 nodetools.pin={} nodetools.nonce={}",
                target.pin, target.nonce
            )
        );
    }

    #[test]
    fn what_is_empty_is_not_said() {
        let bare = Target {
            report: String::new(),
            pin: String::new(),
            nonce: String::new(),
            ..target()
        };
        bare.check().unwrap();
        assert_eq!(bare.words(), "");
    }

    #[test]
    fn nothing_breaks_out_of_the_line() {
        for action in [
            "",
            "runcmd=a b",
            "boot\nexit",
            "x${y}",
            "|a|b|",
            "a\"b",
            "a,b",
        ] {
            let bad = Target {
                action: action.into(),
                ..target()
            };
            assert!(bad.check().is_err(), "{action:?}");
        }
        for report in [
            "10.0.0.1",
            "10.0.0.1:0",
            ":4001",
            "a b:1",
            "fe80::1:4001",
            "[x]:1",
            "h:70000",
        ] {
            let bad = Target {
                report: report.into(),
                ..target()
            };
            assert!(bad.check().is_err(), "{report:?}");
        }
        for (pin, nonce) in [
            ("ab", "00"),
            ("zz", "0123456789abcdef"),
            ("", "012345678 abcdef"),
        ] {
            let bad = Target {
                pin: pin.into(),
                nonce: nonce.into(),
                ..target()
            };
            assert!(bad.check().is_err(), "{pin:?} {nonce:?}");
        }
        assert!(
            Target {
                report: "[fe80::1]:4001".into(),
                ..target()
            }
            .check()
            .is_ok()
        );
    }

    #[test]
    fn an_order_is_handed_over_with_its_servers() {
        let order = Target {
            action: "runcmd=osload-agent".into(),
            order: "cd".repeat(32),
            images: "10.0.0.1:4100,[fd00::1]:4101".into(),
            then: Some("shell".into()),
            ..target()
        };
        order.check().unwrap();
        let words = order.words();
        let expected = format!(
            " nodetools.order={} nodetools.images=10.0.0.1:4100,[fd00::1]:4101",
            order.order
        );
        assert!(words.ends_with(&expected), "{words}");
        let names = |target: &Target| -> Vec<String> {
            target
                .environment()
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        assert!(names(&order).contains(&"NODETOOLS_IMAGES".to_string()));
        assert_eq!(names(&target()).len(), 3, "a scan has none of it");
        for (digest, images, then) in [
            ("cd", "", None),
            ("", "10.0.0.1:4100,", None),
            ("", "10.0.0.1:4100 quiet", None),
            ("", ",", None),
            ("", "", Some("")),
            ("", "", Some("boot\nexit")),
        ] {
            let bad = Target {
                order: digest.into(),
                images: images.into(),
                then: then.map(String::from),
                ..target()
            };
            assert!(bad.check().is_err(), "{digest:?} {images:?} {then:?}");
        }
        let many = Target {
            images: vec!["10.0.0.1:4100"; IMAGES + 1].join(","),
            ..target()
        };
        assert!(many.check().is_err());
    }

    #[test]
    fn words_are_taken_away_again() {
        assert_eq!(
            without_words("quiet nodetools.pin=aa  R::x=1 nodetools.nonce=bb"),
            "quiet R::x=1"
        );
    }
}
