//! What happens to a server, as a line.
//!
//! `key=value` separated by one blank, at most 4096 bytes, values percent-encoded, unknown keys ignored:
//! `event=ready kind=csnap instance=1 epoch=17 seq=42 host=h2 pid=4711 since=1795205825 address=tcp:h2:1`

use std::fmt;

use serde::Serialize;

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// This host stands in line.
    Waiting,
    /// The lock is held and a server was launched under this epoch.
    Starting,
    /// It can be reached at the address.
    Ready,
    /// Its holder does not answer, or doubts its lock; nobody else may start yet.
    Suspect,
    /// That incarnation is over. Clients stop using its epoch.
    Lost,
    /// This host does not start it again by itself.
    Failed,
    /// The server was told to read its settings again.
    Reloaded,
}

const WORDS: [(What, &str); 7] = [
    (What::Waiting, "waiting"),
    (What::Starting, "starting"),
    (What::Ready, "ready"),
    (What::Suspect, "suspect"),
    (What::Lost, "lost"),
    (What::Failed, "failed"),
    (What::Reloaded, "reloaded"),
];

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What happened.
    pub event: What,
    /// The kind's name.
    pub kind: String,
    /// Which of its instances.
    pub instance: u32,
    /// Which incarnation; 0 where none is known.
    pub epoch: u64,
    /// Counts this supervisor's events: a gap is a lost one.
    pub seq: u64,
    /// The host of the incarnation, or of who says this.
    pub host: String,
    /// The process of the server, or of its supervisor; 0 if it is on another host.
    pub pid: i32,
    /// Seconds since 1970, for people only.
    pub since: u64,
    /// Where the server is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reader was too slow and has missed something; this is the complete state.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resync: bool,
}

impl Event {
    /// Reads a line; None if it is none.
    pub fn parse(line: &str) -> Option<Event> {
        let mut event = Event {
            event: What::Waiting,
            kind: String::new(),
            instance: 1,
            epoch: 0,
            seq: 0,
            host: String::new(),
            pid: 0,
            since: 0,
            address: None,
            reason: None,
            resync: false,
        };
        let mut state = None;
        for word in line.split(' ') {
            let (key, value) = word.split_once('=')?;
            let value = decode(value)?;
            match key {
                "event" if value == "resync" => event.resync = true,
                "event" | "state" => {
                    let found = WORDS.iter().find(|(_, word)| *word == value);
                    state = found.map(|(what, _)| *what);
                }
                "kind" => event.kind = value,
                "instance" => event.instance = value.parse().ok()?,
                "epoch" => event.epoch = value.parse().ok()?,
                "seq" => event.seq = value.parse().ok()?,
                "host" => event.host = value,
                "pid" => event.pid = value.parse().ok()?,
                "since" => event.since = value.parse().ok()?,
                "address" => event.address = Some(value),
                "reason" => event.reason = Some(value),
                _ => {}
            }
        }
        event.event = state?;
        Some(event)
    }
}

impl What {
    /// Its word.
    pub fn word(self) -> &'static str {
        let found = WORDS.iter().find(|(what, _)| *what == self);
        found.map_or("", |(_, word)| word)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resync {
            true => write!(f, "event=resync state={}", self.event.word())?,
            false => write!(f, "event={}", self.event.word())?,
        }
        write!(
            f,
            " kind={} instance={} epoch={} seq={} host={} pid={} since={}",
            encode(&self.kind, 100),
            self.instance,
            self.epoch,
            self.seq,
            encode(&self.host, 255),
            self.pid,
            self.since
        )?;
        if let Some(address) = &self.address {
            write!(f, " address={}", encode(address, 1024))?;
        }
        if let Some(reason) = &self.reason {
            write!(f, " reason={}", encode(reason, 500))?;
        }
        Ok(())
    }
}

/// Everything but printable ASCII without blank and `%` as `%XX`; cut, so that a line stays a line. An
/// address is never cut: it is shorter.
fn encode(text: &str, most: usize) -> String {
    let mut encoded = String::new();
    for byte in text.bytes().take(most) {
        match byte {
            b'%' | 0..=b' ' | 0x7f.. => encoded.push_str(&format!("%{byte:02X}")),
            byte => encoded.push(char::from(byte)),
        }
    }
    encoded
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(word: usize, address: Option<String>, reason: Option<String>) -> Event {
        Event {
            event: WORDS[word].0,
            kind: "csnap".into(),
            instance: 2,
            epoch: 17,
            seq: 42,
            host: "h2".into(),
            pid: 4711,
            since: 1_795_205_825,
            address,
            reason,
            resync: word.is_multiple_of(2),
        }
    }

    #[test]
    fn a_line() {
        let event = Event {
            resync: false,
            ..event(2, Some("tcp:10.77.9.2:8080".into()), None)
        };
        let line = "event=ready kind=csnap instance=2 epoch=17 seq=42 host=h2 pid=4711 since=1795205825 address=tcp:10.77.9.2:8080";
        assert_eq!(event.to_string(), line);
        assert_eq!(Event::parse(&format!("{line} later=1")), Some(event));
        for bad in [
            "",
            "x",
            "event=none kind=a",
            "kind=a",
            "event=ready epoch=-1",
            "event=ready reason=%4",
        ] {
            assert_eq!(Event::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn lines_come_back_and_fit(
            word in 0..WORDS.len(),
            address in prop::option::of("\\PC{0,300}"),
            reason in prop::option::of(any::<String>().prop_map(|s| s.chars().take(120).collect::<String>())),
        ) {
            let event = event(word, address, reason);
            let line = event.to_string();
            // What a FIFO takes as a whole.
            prop_assert!(line.len() < 4096 && !line.contains('\n'));
            prop_assert_eq!(Event::parse(&line), Some(event));
        }

        #[test]
        fn any_line_is_survived(line: String) {
            let _ = Event::parse(&line);
        }
    }
}
