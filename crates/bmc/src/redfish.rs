//! Redfish: sessions, the computer system, its power and its boot override. Every path but the service
//! root's comes from the BMC.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use ureq::http::{HeaderValue, Method};

use crate::dialect::Dialect;
use crate::firmware::{self, Firmware};
use crate::http::{Answer, Call, Http};
use crate::shapes::{self, Boot, Collection, Root, SessionService, System};
use crate::{BootDevice, BootOverride, Error, Off, PowerState};

/// How long the end of a session may take.
const GOODBYE: Duration = Duration::from_secs(3);
/// How often a boot override is read back until it shows, and the pause between.
const LOOKS: usize = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// One BMC.
#[derive(Debug)]
pub(crate) struct Redfish {
    pub(crate) http: Http,
    pub(crate) root: Root,
    /// The session to end; none with a login in each request.
    session: Option<String>,
    /// The computer system, once it is found.
    system: Option<String>,
    /// What of its firmware half stays as it is.
    pub(crate) fixed: firmware::Fixed,
}

/// A computer system, as it is now.
pub(crate) struct Found {
    path: String,
    pub(crate) system: System,
    tag: Option<String>,
}

impl Redfish {
    /// The service root; the inner error says why this is no Redfish.
    pub(crate) fn root(http: &mut Http) -> Result<Result<Root, String>, Error> {
        let mut why = String::new();
        for path in ["/redfish/v1", "/redfish/v1/"] {
            let mut answer = http.call(&Call::get("service root", path))?;
            if answer.status == 401 && !http.logged_in() {
                // It has to be open to all, but not everybody read that.
                basic(http)?;
                answer = http.call(&Call::get("service root", path))?;
                if answer.status == 401 {
                    return Err(http.refused("service root", &answer));
                }
            }
            if answer.status >= 500 {
                return Err(http.refused("service root", &answer));
            }
            why = match (answer.good(), shapes::read::<Root>(&answer.body)) {
                (true, Ok(root)) if root.is_redfish() => return Ok(Ok(root)),
                (true, Ok(_)) => format!("{path}: not a service root"),
                (true, Err(why)) => format!("{path}: {why}"),
                (false, _) => format!("{path}: status {}", answer.status),
            };
        }
        Ok(Err(why))
    }

    /// Makes a session; where there are none, each request carries the login.
    pub(crate) fn log_in(http: Http, root: Root) -> Result<Redfish, Error> {
        let mut redfish = Redfish {
            http,
            root,
            session: None,
            system: None,
            fixed: firmware::Fixed::default(),
        };
        redfish.make_session()?;
        Ok(redfish)
    }

    fn make_session(&mut self) -> Result<(), Error> {
        self.session = None;
        if !self.http.logged_in() || self.root.sessions().is_some() {
            self.http.log_in(Vec::new());
        }
        let Some(path) = self.sessions()? else {
            return basic(&mut self.http);
        };
        let what = "login";
        let target = self.http.target();
        let body = json!({"UserName": target.user, "Password": target.password.reveal()});
        let answer = self
            .http
            .call(&Call::send(what, &Method::POST, &path, &body))?;
        if matches!(answer.status, 404 | 405 | 501) {
            return basic(&mut self.http);
        }
        if !answer.good() {
            return Err(match answer.status {
                401 | 403 => self.http.refused_login(&answer),
                _ => self.http.refused(what, &answer),
            });
        }
        if shapes::wants_new_password(&answer.body) {
            return Err(self.http.no_login("it demands a new password first"));
        }
        let token = answer
            .headers
            .get("x-auth-token")
            .cloned()
            .ok_or_else(|| self.http.unusable(what, "no token in it"))?;
        self.session = answer.header("location").and_then(shapes::local_path);
        self.http.log_in(vec![("x-auth-token", token)]);
        Ok(())
    }

    /// Where sessions are made.
    fn sessions(&mut self) -> Result<Option<String>, Error> {
        if let Some(path) = self.root.sessions() {
            return Ok(Some(path));
        }
        let service = self.root.session_service.as_ref();
        let Some(path) = service.and_then(shapes::Link::path) else {
            return Ok(None);
        };
        let answer = self.http.call(&Call::get("session service", &path))?;
        if !answer.good() {
            return Ok(None);
        }
        let service: SessionService = self.read("session service", &answer)?;
        Ok(service.sessions.as_ref().and_then(shapes::Link::path))
    }

    /// A request within the session; one that the BMC has forgotten is made anew, once.
    pub(crate) fn call(&mut self, call: &Call<'_>) -> Result<Answer, Error> {
        let answer = self.http.call(call)?;
        if answer.status != 401 || self.session.is_none() {
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

    pub(crate) fn read<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        answer: &Answer,
    ) -> Result<T, Error> {
        shapes::read(&answer.body).map_err(|why| self.http.unusable(what, why))
    }

    /// The node's computer system: the only one that can be reset, else the one with the node's name.
    /// BMCs list hypervisors and accelerator boards beside it; an enclosure lists several nodes.
    pub(crate) fn system(&mut self) -> Result<Found, Error> {
        if let Some(path) = self.system.clone() {
            return self.system_at(path);
        }
        let what = "systems";
        let collection = self.root.systems.as_ref().and_then(shapes::Link::path);
        let Some(collection) = collection else {
            return Err(self.no_system("manages no computer system"));
        };
        let answer = self.get(what, &collection)?;
        let members: Collection = self.read(what, &answer)?;
        let mut found = Vec::new();
        let paths = members.paths();
        let alone = paths.len() == 1;
        for path in paths {
            let one = self.system_at(path)?;
            if alone || one.system.reset().is_some() {
                found.push(one);
            }
        }
        if found.len() > 1 {
            let node = &self.http.target().node;
            let names: Vec<&str> = found.iter().map(|one| one.path.as_str()).collect();
            let why = format!(
                "manages several computer systems, and not exactly one is called {node}: {}",
                crate::error::tidy(&names.join(" "))
            );
            found.retain(|one| one.system.is_called(node));
            if found.len() != 1 {
                return Err(self.no_system(&why));
            }
        }
        let found = found
            .pop()
            .ok_or_else(|| self.no_system("manages no computer system that can be reset"))?;
        self.system = Some(found.path.clone());
        Ok(found)
    }

    fn system_at(&mut self, path: String) -> Result<Found, Error> {
        let what = "computer system";
        let answer = self.get(what, &path)?;
        let system: System = self.read(what, &answer)?;
        let tag = answer.header("etag").or(system.tag()).map(String::from);
        Ok(Found { path, system, tag })
    }

    fn no_system(&self, why: &str) -> Error {
        Error::System {
            bmc: self.http.target().host.clone(),
            why: why.to_string(),
        }
    }

    fn not_offered(&self, what: &str, offered: &[String]) -> Error {
        let why = match offered.is_empty() {
            true => "it says nothing of it".to_string(),
            false => format!("it has {}", crate::error::tidy(&offered.join(", "))),
        };
        Error::NotOffered {
            bmc: self.http.target().host.clone(),
            what: what.to_string(),
            why,
        }
    }

    /// Posts the first of the `wanted` reset types that the system takes. A refusal counts as done if
    /// the system is in the state `done` by then: some refuse to switch on what is on.
    fn act(&mut self, what: &str, wanted: &[&str], done: Option<PowerState>) -> Result<(), Error> {
        let found = self.system()?;
        let Some(reset) = found.system.reset() else {
            return Err(self.not_offered(what, &[]));
        };
        let Some(path) = reset.path() else {
            return Err(self.http.unusable(what, "the reset action has no target"));
        };
        let allowed = match (&reset.allowed, reset.info()) {
            (Some(allowed), _) => Some(allowed.clone()),
            (None, Some(info)) => {
                let answer = self.get("reset types", &info)?;
                shapes::reset_types(&self.read::<Value>("reset types", &answer)?)
            }
            (None, None) => None,
        };
        let kind = match &allowed {
            None => wanted.first().copied(),
            Some(allowed) => wanted
                .iter()
                .copied()
                .find(|kind| allowed.iter().any(|one| one == kind)),
        };
        let Some(kind) = kind else {
            return Err(self.not_offered(what, &allowed.unwrap_or_default()));
        };
        let body = json!({"ResetType": kind});
        let answer = self.call(&Call {
            // To be switched on twice is harmless, to be reset twice is not.
            again: done.is_some(),
            ..Call::send(what, &Method::POST, &path, &body)
        })?;
        if answer.good() {
            return Ok(());
        }
        let arguable = matches!(answer.status, 400 | 409 | 412 | 422 | 500);
        if arguable
            && let Some(done) = done
            && self.system_at(found.path)?.system.power() == done
        {
            return Ok(());
        }
        Err(self.http.refused(what, &answer))
    }
}

impl Dialect for Redfish {
    fn firmware(&mut self) -> Option<Box<dyn Firmware + '_>> {
        Some(Box::new(firmware::Redfish(self)))
    }

    fn begin(&mut self) {
        self.http.begin(Duration::MAX);
    }

    fn power(&mut self) -> Result<PowerState, Error> {
        Ok(self.system()?.system.power())
    }

    fn on(&mut self) -> Result<(), Error> {
        self.act("power on", &["On", "ForceOn"], Some(PowerState::On))
    }

    fn off(&mut self, how: Off) -> Result<(), Error> {
        match how {
            Off::Soft => self.act("soft off", &["GracefulShutdown"], Some(PowerState::Off)),
            Off::Hard => self.act("power off", &["ForceOff"], Some(PowerState::Off)),
        }
    }

    fn reset(&mut self) -> Result<(), Error> {
        let what = "reset";
        if self.power()? == PowerState::Off {
            return Err(Error::Refused {
                bmc: self.http.target().host.clone(),
                what: what.to_string(),
                why: "it is off".to_string(),
            });
        }
        self.act(what, &["ForceRestart"], None)
    }

    fn boot_once(&mut self, device: BootDevice) -> Result<BootOverride, Error> {
        let what = "boot device";
        let (target, enabled) = match device {
            BootDevice::Network => ("Pxe", "Once"),
            BootDevice::Disk => ("Hdd", "Once"),
            BootDevice::None => ("None", "Disabled"),
        };
        let found = self.system()?;
        let allowed = found.system.boot().allowed.unwrap_or_default();
        if device != BootDevice::None
            && !allowed.is_empty()
            && !allowed.iter().any(|one| one == target)
        {
            return Err(self.not_offered(&format!("boot device {target}"), &allowed));
        }
        let body = json!({"Boot": {
            "BootSourceOverrideTarget": target,
            "BootSourceOverrideEnabled": enabled,
        }});
        let call = Call::send(what, &Method::PATCH, &found.path, &body);
        let mut answer = self.call(&call)?;
        // Some change nothing for who does not say which version he saw.
        if matches!(answer.status, 412 | 428) && found.tag.is_some() {
            let matching = found.tag.as_deref();
            answer = self.call(&Call { matching, ..call })?;
        }
        if !answer.good() {
            return Err(self.http.refused(what, &answer));
        }
        let mut looks = 0;
        loop {
            let boot = self.system_at(found.path.clone())?.system.boot();
            if let Some(lasting) = lasting(&boot, device, target) {
                return Ok(lasting);
            }
            looks += 1;
            if looks == LOOKS || self.http.left() < PAUSE {
                let found = crate::error::tidy(&format!(
                    "{} {}",
                    boot.target.as_deref().unwrap_or("nothing"),
                    boot.enabled.as_deref().unwrap_or("")
                ));
                return Err(Error::NotTaken {
                    bmc: self.http.target().host.clone(),
                    what: format!("{what} {target}"),
                    found,
                });
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn log_out(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        self.http.begin(GOODBYE);
        let _ = self.http.call(&Call {
            method: &Method::DELETE,
            again: false,
            ..Call::get("logout", &session)
        });
    }
}

/// How long an override holds, if it is the one that was asked for.
fn lasting(boot: &Boot, device: BootDevice, target: &str) -> Option<BootOverride> {
    let enabled = boot.enabled.as_deref();
    match device {
        BootDevice::None => {
            let gone = enabled == Some("Disabled")
                || matches!(boot.target.as_deref(), None | Some("None"));
            gone.then_some(BootOverride::Once)
        }
        _ if boot.target.as_deref() != Some(target) => None,
        _ => match enabled {
            Some("Once") => Some(BootOverride::Once),
            Some("Continuous") => Some(BootOverride::Lasting),
            _ => None,
        },
    }
}

/// Sends the login with each request from now on.
fn basic(http: &mut Http) -> Result<(), Error> {
    let target = http.target();
    let plain = format!("{}:{}", target.user, target.password.reveal());
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(plain)))
        .map_err(|why| http.unusable("login", why))?;
    http.log_in(vec![("authorization", value)]);
    Ok(())
}
