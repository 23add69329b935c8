//! How long everything may take, and how often is asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Every wait of an update. No state lasts for ever: each is bounded by one of these, counted from
/// its beginning or from its last progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Reaching a BMC, TLS included.
    pub connect: Duration,
    /// One request and its answer.
    pub request: Duration,
    /// An upload that moves no byte.
    pub stall: Duration,
    /// A whole upload, the wait for its share of a limited rate included.
    pub upload: Duration,
    /// From the last byte of an upload to the answer.
    pub accept: Duration,
    /// From the answer until the image is in the BMC's list.
    pub find: Duration,
    /// A BMC that is busy with somebody else's update, before ours.
    pub busy: Duration,
    /// An activation whose percentage does not change.
    pub activate: Duration,
    /// From our reset until the BMC runs the wanted version.
    pub reset: Duration,
    /// From power off until the host is off.
    pub host_off: Duration,
    /// From power on until the host runs the wanted version.
    pub host_on: Duration,
    /// Between two looks.
    pub poll: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(20),
            request: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            upload: Duration::from_secs(7200),
            accept: Duration::from_secs(90),
            find: Duration::from_secs(60),
            busy: Duration::from_secs(300),
            activate: Duration::from_secs(600),
            reset: Duration::from_secs(900),
            host_off: Duration::from_secs(120),
            host_on: Duration::from_secs(300),
            poll: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// The names that [`Limits::set`] knows.
    pub const NAMES: [&str; 12] = [
        "connect", "request", "stall", "upload", "accept", "find", "busy", "activate", "reset",
        "host-off", "host-on", "poll",
    ];

    /// Sets the limit of that name.
    ///
    /// # Errors
    /// A text for a name that there is not.
    pub fn set(&mut self, name: &str, value: Duration) -> Result<(), String> {
        let slot = match name {
            "connect" => &mut self.connect,
            "request" => &mut self.request,
            "stall" => &mut self.stall,
            "upload" => &mut self.upload,
            "accept" => &mut self.accept,
            "find" => &mut self.find,
            "busy" => &mut self.busy,
            "activate" => &mut self.activate,
            "reset" => &mut self.reset,
            "host-off" => &mut self.host_off,
            "host-on" => &mut self.host_on,
            "poll" => &mut self.poll,
            _ => {
                return Err(format!(
                    "no such limit (there are {})",
                    Limits::NAMES.join(", ")
                ));
            }
        };
        *slot = value;
        Ok(())
    }

    /// Reads `NAME=SECONDS[,NAME=SECONDS...]`; seconds may have a fraction.
    ///
    /// # Errors
    /// A text that names what is wrong.
    pub fn parse(&mut self, text: &str) -> Result<(), String> {
        for part in text.split(',') {
            let (name, seconds) = part
                .split_once('=')
                .ok_or_else(|| format!("{part}: is not NAME=SECONDS"))?;
            let value = seconds
                .parse::<f64>()
                .ok()
                .filter(|seconds| (0.001..=604_800.0).contains(seconds))
                .ok_or_else(|| {
                    format!("{part}: is no number of seconds between 0.001 and 604800")
                })?;
            self.set(name, Duration::from_secs_f64(value))
                .map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::Limits;

    #[test]
    fn every_name_can_be_set_and_sets_something() {
        for name in Limits::NAMES {
            let mut limits = Limits::default();
            limits.parse(&format!("{name}=1.5")).unwrap();
            assert_ne!(limits, Limits::default(), "{name}");
        }
        let mut limits = Limits::default();
        limits.parse("reset=1800,stall=5").unwrap();
        assert_eq!(limits.reset, Duration::from_secs(1800));
        assert_eq!(limits.stall, Duration::from_secs(5));
    }

    #[test]
    fn nonsense_is_named() {
        for (text, why) in [
            ("reset", "reset: is not NAME=SECONDS"),
            ("reset=soon", "reset=soon: is no number"),
            ("reset=0", "reset=0: is no number"),
            ("reset=-1", "is no number"),
            ("reset=NaN", "is no number"),
            ("lunch=5", "lunch: no such limit"),
        ] {
            let said = Limits::default().parse(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
