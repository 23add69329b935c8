//! OpenBMC's old REST interface: objects of its bus under fixed names, the same on every machine.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{HeaderValue, Method};

use crate::dialect::Dialect;
use crate::firmware::{self, Firmware};
use crate::http::{Answer, Call, Http};
use crate::shapes;
use crate::{BootDevice, BootOverride, Error, Off, PowerState};

const POWER: &str = "/xyz/openbmc_project/state/chassis0/attr/CurrentPowerState";
const CHASSIS: &str = "/xyz/openbmc_project/state/chassis0/attr/RequestedPowerTransition";
const HOST: &str = "/xyz/openbmc_project/state/host0/attr/RequestedHostTransition";
const ONE_TIME: &str = "/xyz/openbmc_project/control/host0/boot/one_time/attr/Enabled";
/// Where the boot source is: of the one-time settings on old levels, of all on later ones.
const SOURCES: [&str; 2] = [
    "/xyz/openbmc_project/control/host0/boot/one_time/attr/BootSource",
    "/xyz/openbmc_project/control/host0/boot/attr/BootSource",
];
const SOURCE: &str = "xyz.openbmc_project.Control.Boot.Source.Sources.";
/// How long the end of a session may take.
const GOODBYE: Duration = Duration::from_secs(3);
/// Pause between two looks at the power during a reset.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest cookie that is sent back.
const COOKIE: usize = 4096;

/// One BMC.
#[derive(Debug)]
pub(crate) struct OpenBmc {
    pub(crate) http: Http,
}

impl OpenBmc {
    /// `no_redfish`: why it is not asked by Redfish.
    pub(crate) fn log_in(http: Http, no_redfish: &str) -> Result<OpenBmc, Error> {
        let mut bmc = OpenBmc { http };
        match bmc.make_session() {
            Err(Error::Refused { bmc, why, .. } | Error::Answer { bmc, why, .. }) => {
                let why = format!("{no_redfish}; /login: {why}");
                Err(Error::NoDialect { bmc, why })
            }
            Err(other) => Err(other),
            Ok(()) => Ok(bmc),
        }
    }

    /// Both forms of the login: a list, which all levels until 2026 take, and names, which all of the
    /// later server take.
    fn make_session(&mut self) -> Result<(), Error> {
        self.http.log_in(Vec::new());
        let target = self.http.target();
        let (user, password) = (&target.user, target.password.reveal());
        let list = json!({"data": [user, password]});
        let names = json!({"username": user, "password": password});
        let mut answer = self.post_login(&list)?;
        if answer.status == 400 {
            answer = self.post_login(&names)?;
        }
        if matches!(answer.status, 401 | 403) {
            return Err(self.http.refused_login(&answer));
        }
        if !answer.good() {
            return Err(self.http.refused("login", &answer));
        }
        let body: Value =
            shapes::read(&answer.body).map_err(|why| self.http.unusable("login", why))?;
        let token = body.get("token").and_then(Value::as_str);
        let login = match token.and_then(|token| HeaderValue::from_str(token).ok()) {
            Some(token) => vec![("x-auth-token", token)],
            None => cookies(&answer),
        };
        if login.is_empty() {
            return Err(self
                .http
                .unusable("login", "neither token nor cookie in it"));
        }
        self.http.log_in(login);
        Ok(())
    }

    fn post_login(&self, body: &Value) -> Result<Answer, Error> {
        self.http
            .call(&Call::send("login", &Method::POST, "/login", body))
    }

    /// A request within the session; one that the BMC has forgotten is made anew, once.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<Answer, Error> {
        let answer = self.http.call(call)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        self.make_session()?;
        self.http.call(call)
    }

    pub(crate) fn get(&mut self, what: &str, path: &str) -> Result<Answer, Error> {
        let answer = self.call(&Call::get(what, path))?;
        match answer.good() {
            true => Ok(answer),
            false => Err(self.http.refused(what, &answer)),
        }
    }

    /// Sets an attribute; the answer may be a refusal.
    fn put(&mut self, what: &str, path: &str, value: &Value) -> Result<Answer, Error> {
        let body = json!({ "data": value });
        self.call(&Call::send(what, &Method::PUT, path, &body))
    }

    pub(crate) fn set(&mut self, what: &str, path: &str, value: &Value) -> Result<(), Error> {
        let answer = self.put(what, path, value)?;
        match answer.good() {
            true => Ok(()),
            false => Err(self.http.refused(what, &answer)),
        }
    }

    fn transition(&mut self, what: &str, path: &str, kind: &str) -> Result<(), Error> {
        let value = format!("xyz.openbmc_project.State.{kind}");
        self.set(what, path, &Value::from(value))
    }

    pub(crate) fn refused(&self, what: &str, why: &str) -> Error {
        Error::Refused {
            bmc: self.http.target().host.clone(),
            what: what.to_string(),
            why: why.to_string(),
        }
    }
}

impl Dialect for OpenBmc {
    fn firmware(&mut self) -> Option<Box<dyn Firmware + '_>> {
        Some(Box::new(firmware::Rest(self)))
    }

    fn begin(&mut self) {
        self.http.begin(Duration::MAX);
    }

    fn power(&mut self) -> Result<PowerState, Error> {
        let what = "power state";
        let answer = self.get(what, POWER)?;
        shapes::rest_power(&answer.body).map_err(|why| self.http.unusable(what, why))
    }

    fn on(&mut self) -> Result<(), Error> {
        self.transition("power on", HOST, "Host.Transition.On")
    }

    fn off(&mut self, how: Off) -> Result<(), Error> {
        match how {
            Off::Soft => self.transition("soft off", HOST, "Host.Transition.Off"),
            Off::Hard => self.transition("power off", CHASSIS, "Chassis.Transition.Off"),
        }
    }

    /// Off, until two reads say so, and on: old levels have nothing harder than a polite reboot.
    fn reset(&mut self) -> Result<(), Error> {
        let what = "reset";
        let mut before = self.power()?;
        if before == PowerState::Off {
            return Err(self.refused(what, "it is off"));
        }
        self.off(Off::Hard)?;
        loop {
            let now = self.power()?;
            if PowerState::settled(&PowerState::Off, &before, &now) {
                return self.on();
            }
            before = now;
            if self.http.left() <= PAUSE {
                return Err(self.refused(what, "did not go off"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn boot_once(&mut self, device: BootDevice) -> Result<BootOverride, Error> {
        let what = "boot device";
        let source = match device {
            BootDevice::Network => "Network",
            BootDevice::Disk => "Disk",
            BootDevice::None => "Default",
        };
        let value = format!("{SOURCE}{source}");
        self.set(what, ONE_TIME, &Value::Bool(true))?;
        let mut path = SOURCES[0];
        let mut answer = self.put(what, path, &Value::from(value.as_str()))?;
        if matches!(answer.status, 403 | 404) {
            path = SOURCES[1];
            answer = self.put(what, path, &Value::from(value.as_str()))?;
        }
        if !answer.good() {
            return Err(self.http.refused(what, &answer));
        }
        let back = self.get(what, path)?;
        let found = shapes::rest_data(&back.body).map_err(|why| self.http.unusable(what, why))?;
        if found.as_str() == Some(value.as_str()) {
            return Ok(BootOverride::Once);
        }
        Err(Error::NotTaken {
            bmc: self.http.target().host.clone(),
            what: format!("{what} {source}"),
            found: crate::error::tidy(&found.to_string()),
        })
    }

    fn log_out(&mut self) {
        if !self.http.logged_in() {
            return;
        }
        self.http.begin(GOODBYE);
        let body = json!({"data": []});
        let _ = self.http.call(&Call {
            again: false,
            ..Call::send("logout", &Method::POST, "/logout", &body)
        });
    }
}

/// The session's cookies as they came, attributes cut off; the one against forged requests is sent as a
/// header too, without which nothing can be written.
fn cookies(answer: &Answer) -> Vec<(&'static str, HeaderValue)> {
    let mut pairs = Vec::new();
    let mut login = Vec::new();
    for cookie in answer.headers.get_all("set-cookie") {
        let text = cookie.to_str().unwrap_or_default();
        let pair = text.split(';').next().unwrap_or_default().trim();
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        if name == "XSRF-TOKEN"
            && let Ok(value) = HeaderValue::from_str(value)
        {
            login.push(("x-xsrf-token", value));
        }
        pairs.push(pair);
    }
    let all = pairs.join("; ");
    match HeaderValue::from_str(&all) {
        Ok(all) if !pairs.is_empty() && all.len() <= COOKIE => {
            login.push(("cookie", all));
            login
        }
        _ => Vec::new(),
    }
}
