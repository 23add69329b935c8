//! How long each rung of the ladder may take.

use std::time::Duration;

/// A limit for each rung. A site may shorten or lengthen each by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Setting the one-shot boot device.
    pub boot: Duration,
    /// Running the node's configuration again.
    pub configure: Duration,
    /// The ssh port takes a connection.
    pub port: Duration,
    /// One call of ssh.
    pub ssh: Duration,
    /// The node has gone down after a reboot by ssh.
    pub down: Duration,
    /// The same after it prepared itself for an image.
    pub prepare: Duration,
    /// It is off after it was asked to shut down.
    pub soft: Duration,
    /// It is off after its power was cut.
    pub off: Duration,
    /// It is on after it was switched on.
    pub on: Duration,
    /// One exchange with a management controller, or one power command.
    pub power: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            boot: seconds(60),
            configure: seconds(600),
            port: seconds(2),
            ssh: seconds(20),
            down: seconds(60),
            prepare: seconds(400),
            soft: seconds(60),
            off: seconds(120),
            on: seconds(180),
            power: seconds(90),
        }
    }
}

impl Limits {
    /// The names, in the order in which a node meets them.
    pub const NAMES: [&str; 10] = [
        "boot",
        "configure",
        "port",
        "ssh",
        "down",
        "prepare",
        "soft",
        "off",
        "on",
        "power",
    ];

    /// Each limit with its name, in that order.
    pub(crate) fn named(&self) -> [(&'static str, Duration); 10] {
        let values = [
            self.boot,
            self.configure,
            self.port,
            self.ssh,
            self.down,
            self.prepare,
            self.soft,
            self.off,
            self.on,
            self.power,
        ];
        std::array::from_fn(|at| (Limits::NAMES[at], values[at]))
    }

    /// Sets one limit from `NAME=SECONDS`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn set(&mut self, text: &str) -> Result<(), String> {
        let (name, seconds) = text
            .split_once('=')
            .ok_or_else(|| "is not NAME=SECONDS".to_string())?;
        let seconds: u64 = seconds
            .parse()
            .ok()
            .filter(|seconds| (1..=86_400).contains(seconds))
            .ok_or_else(|| format!("{seconds}: is not a number of seconds from 1 to 86400"))?;
        let limit = match name {
            "boot" => &mut self.boot,
            "configure" => &mut self.configure,
            "port" => &mut self.port,
            "ssh" => &mut self.ssh,
            "down" => &mut self.down,
            "prepare" => &mut self.prepare,
            "soft" => &mut self.soft,
            "off" => &mut self.off,
            "on" => &mut self.on,
            "power" => &mut self.power,
            _ => {
                let known = Limits::NAMES.join(", ");
                return Err(format!("{name}: no such limit ({known})"));
            }
        };
        *limit = Duration::from_secs(seconds);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_name_can_be_set() {
        for name in Limits::NAMES {
            let mut limits = Limits::default();
            limits.set(&format!("{name}=7777")).unwrap();
            assert_ne!(limits, Limits::default(), "{name}");
        }
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for text in [
            "",
            "off",
            "off=",
            "off=0",
            "off=-1",
            "off=90000",
            "of=1",
            "off=1s",
        ] {
            assert!(Limits::default().set(text).is_err(), "{text:?}");
        }
    }
}
