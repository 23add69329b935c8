//! IPMI over LAN, by the system's `ipmitool`: each command is a process and a session.

use std::time::{Duration, Instant};

use fork_worker::command::{self, Finished, Spec};

use crate::dialect::Dialect;
use crate::error::tidy;
use crate::shapes;
use crate::{BootDevice, BootOverride, Error, Limits, Off, PowerState, Settings, Target};

/// IPMI 2.0's limits, in bytes. ipmitool would cut a longer password off, and say that it is wrong.
const USER: usize = 16;
const PASSWORD: usize = 20;
/// What ipmitool may say.
const OUTPUT: usize = 64 << 10;

/// One BMC.
#[derive(Debug)]
pub(crate) struct Ipmi {
    target: Target,
    limits: Limits,
    deadline: Instant,
}

impl Ipmi {
    /// Looks whether user and password can be sent at all.
    pub(crate) fn new(target: &Target, settings: &Settings) -> Result<Ipmi, Error> {
        let unfit = |why: &str| {
            Err(Error::Credentials {
                bmc: target.host.clone(),
                why: why.to_string(),
            })
        };
        let password = target.password.reveal();
        if target.user.len() > USER {
            return unfit("the user name is longer than the 16 bytes that IPMI takes");
        }
        if password.len() > PASSWORD {
            return unfit("the password is longer than the 20 bytes that IPMI takes");
        }
        if password.is_empty() {
            return unfit("ipmitool takes no empty password from a file");
        }
        if [password, target.user.as_str()]
            .iter()
            .any(|text| text.chars().any(char::is_control))
        {
            return unfit("user name or password has a control character in it");
        }
        let limits = settings.limits();
        Ok(Ipmi {
            target: target.clone(),
            limits,
            deadline: Instant::now() + limits.total,
        })
    }

    /// One command; what it printed, if it ended well.
    fn run(&self, what: &str, args: &[&str]) -> Result<Vec<u8>, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let limit = left.min(self.limits.request);
        let late = || Error::TimedOut {
            bmc: self.target.host.clone(),
            what: what.to_string(),
        };
        if limit.is_zero() {
            return Err(late());
        }
        let port = self.target.address.port().to_string();
        let address = self.target.address.ip().to_string();
        // Suite 3 is named because asking for the suites costs 10 s where the BMC does not know that
        // question. The password comes on standard input: neither an argument nor the environment.
        let mut spec = Spec::new("ipmitool")
            .args(["-I", "lanplus", "-C", "3", "-N", "1", "-R", "4"])
            .args(["-H", &address, "-p", &port, "-U", &self.target.user])
            .args(["-f", "/dev/stdin"])
            .args(args)
            .env("LC_ALL", "C")
            .stdin(format!("{}\n", self.target.password.reveal()))
            .deadline(limit);
        // A variable of the caller's could name another password.
        for name in ["IPMI_PASSWORD", "IPMITOOL_PASSWORD", "IPMI_KGKEY"] {
            spec.env.push((name.into(), None));
        }
        spec.grace = Duration::from_millis(200);
        spec.output_limit = OUTPUT;
        let finished = command::run(&spec).map_err(Error::Ipmitool)?;
        if finished.timed_out {
            return Err(late());
        }
        match finished.status.success() && !finished.truncated {
            true => Ok(finished.stdout),
            false => Err(self.failed(what, &finished)),
        }
    }

    fn failed(&self, what: &str, finished: &Finished) -> Error {
        let bmc = self.target.host.clone();
        let text = String::from_utf8_lossy(&finished.stderr);
        let text = self.target.password.hide(&text);
        let has = |part: &str| text.contains(part);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let first = lines.iter().copied().find(|line| !line.is_empty());
        let why = match first {
            Some(line) => tidy(line),
            None => format!("ipmitool ended with {}", finished.status),
        };
        if has("HMAC is invalid") || has("unauthorized name") {
            return Error::Login { bmc, why };
        }
        if has("Unable to establish") {
            // ipmitool tells silence from a refusal only in some cases.
            let why = format!("{why} (no answer, or the login is wrong)");
            return Error::Unreachable { bmc, why };
        }
        Error::Refused {
            bmc,
            what: what.to_string(),
            why,
        }
    }
}

impl Dialect for Ipmi {
    fn begin(&mut self) {
        self.deadline = Instant::now() + self.limits.total;
    }

    fn power(&mut self) -> Result<PowerState, Error> {
        let what = "power state";
        let output = self.run(what, &["chassis", "power", "status"])?;
        shapes::ipmi_power(&output).map_err(|why| Error::Answer {
            bmc: self.target.host.clone(),
            what: what.to_string(),
            why,
        })
    }

    fn on(&mut self) -> Result<(), Error> {
        self.run("power on", &["chassis", "power", "on"]).map(drop)
    }

    fn off(&mut self, how: Off) -> Result<(), Error> {
        match how {
            Off::Soft => self.run("soft off", &["chassis", "power", "soft"]),
            Off::Hard => self.run("power off", &["chassis", "power", "off"]),
        }
        .map(drop)
    }

    fn reset(&mut self) -> Result<(), Error> {
        let what = "reset";
        if self.power()? == PowerState::Off {
            return Err(Error::Refused {
                bmc: self.target.host.clone(),
                what: what.to_string(),
                why: "it is off".to_string(),
            });
        }
        self.run(what, &["chassis", "power", "reset"]).map(drop)
    }

    fn boot_once(&mut self, device: BootDevice) -> Result<BootOverride, Error> {
        let what = "boot device";
        let word = match device {
            BootDevice::Network => "pxe",
            BootDevice::Disk => "disk",
            BootDevice::None => "none",
        };
        // A BMC forgets the choice after a minute, unless it is told not to; a node may be switched on
        // later than that. Not all know this parameter, and the choice itself works without.
        match self.run(what, &["raw", "0x00", "0x08", "0x03", "0x08"]) {
            Ok(_) | Err(Error::Refused { .. }) => {}
            Err(other) => return Err(other),
        }
        self.run(what, &["chassis", "bootdev", word])?;
        Ok(BootOverride::Once)
    }

    fn log_out(&mut self) {}
}
