//! Firmware over Redfish.

use serde_json::{Value, json};
use ureq::http::Method;

use super::shapes::{Diagnostics, Inventory, Manager, Task, UpdateService, word};
use super::upload::{self, Failed};
use super::{
    Archive, Firmware, Image, Meanwhile, Offer, Patience, Running, Sent, TaskState, UploadError,
};
use crate::Error;
use crate::http::Call;
use crate::redfish::Redfish as Power;
use crate::shapes::{Collection, Link, local_path};

/// Parts of a multipart body; no archive holds this line, for it is checked.
const BOUNDARY: &str = "xcat-nodetools-5c1f2b7e9a4d4c6f8e03";
/// Most entries of an inventory that are asked for, one by one.
const ENTRIES: usize = 32;

/// What stays as it is while a session lasts, so it is asked for once: BMCs are slow.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    service: Option<(String, UpdateService)>,
    manager: Option<String>,
}

/// The firmware half of a Redfish BMC.
pub(crate) struct Redfish<'a>(pub(crate) &'a mut Power);

impl Redfish<'_> {
    fn get<T: serde::de::DeserializeOwned>(&mut self, what: &str, path: &str) -> Result<T, Error> {
        let answer = self.0.get(what, path)?;
        self.0.read(what, &answer)
    }

    fn service(&mut self) -> Result<(String, UpdateService), Error> {
        if let Some(known) = &self.0.fixed.service {
            return Ok(known.clone());
        }
        let what = "update service";
        let link = self.0.root.update_service.as_ref().and_then(Link::path);
        let path = link.ok_or_else(|| self.not_offered(what))?;
        let service: UpdateService = self.get(what, &path)?;
        let service = self.0.fixed.service.insert((path, service));
        Ok(service.clone())
    }

    /// The manager: the one that the system names, else the first of all.
    fn manager(&mut self) -> Result<(String, Manager), Error> {
        let what = "manager";
        if let Some(path) = self.0.fixed.manager.clone() {
            let manager = self.get(what, &path)?;
            return Ok((path, manager));
        }
        let link = self.0.root.managers.as_ref().and_then(Link::path);
        let collection = link.ok_or_else(|| self.not_offered(what))?;
        let all: Collection = self.get("managers", &collection)?;
        for path in all.paths() {
            let manager: Manager = self.get(what, &path)?;
            // Enclosures and switches list managers that cannot be reset.
            if manager.reset().is_some() || manager.version().is_some() {
                self.0.fixed.manager = Some(path.clone());
                return Ok((path, manager));
            }
        }
        Err(self.not_offered(what))
    }

    fn not_offered(&self, what: &str) -> Error {
        Error::NotOffered {
            bmc: self.0.http.target().host.clone(),
            what: what.to_string(),
            why: "it says nothing of it".to_string(),
        }
    }

    fn push(
        &mut self,
        archive: Archive<'_>,
        patience: Patience,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<upload::Answer, UploadError> {
        let (service_path, service) = self.service()?;
        if let Some(path) = service.multipart() {
            let manager = match &self.0.fixed.manager {
                Some(path) => path.clone(),
                None => self.manager()?.0,
            };
            let parameters =
                json!({"Targets": [manager], "@Redfish.OperationApplyTime": "OnReset"});
            let name: String = archive
                .name
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
                .collect();
            let before = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"UpdateParameters\"\r\nContent-Type: application/json\r\n\r\n{parameters}\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"UpdateFile\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            );
            let after = format!("\r\n--{BOUNDARY}--\r\n");
            let request = upload::Request {
                method: "POST",
                path: &path,
                content_type: &format!("multipart/form-data; boundary={BOUNDARY}"),
                before: before.as_bytes(),
                after: after.as_bytes(),
                archive: archive.file,
                size: archive.size,
            };
            return sent(upload::send(&self.0.http, request, patience, meanwhile));
        }
        let path = service
            .push()
            .ok_or_else(|| self.not_offered("push of an archive"))?;
        if service.apply_time().is_some_and(|time| time != "OnReset") {
            // Global on the BMC, and stays: but without it the BMC restarts at a time of its own.
            let body =
                json!({"HttpPushUriOptions": {"HttpPushUriApplyTime": {"ApplyTime": "OnReset"}}});
            let what = "apply time";
            let answer = self
                .0
                .call(&Call::send(what, &Method::PATCH, &service_path, &body))?;
            if !answer.good() {
                return Err(self.0.http.refused(what, &answer).into());
            }
        }
        let request = upload::Request {
            method: "POST",
            path: &path,
            content_type: "application/octet-stream",
            before: &[],
            after: &[],
            archive: archive.file,
            size: archive.size,
        };
        sent(upload::send(&self.0.http, request, patience, meanwhile))
    }
}

/// An answer, or why there is none, as errors of an upload.
pub(super) fn sent(answer: Result<upload::Answer, Failed>) -> Result<upload::Answer, UploadError> {
    answer.map_err(|failed| match failed {
        Failed::Bmc(error) => UploadError::Bmc(error),
        Failed::Broke(why) => UploadError::Broke(why),
        Failed::Ended(why) => UploadError::Ended(why),
    })
}

/// What an accepted archive's answer says of its task.
fn accepted(body: &[u8], location: Option<&str>) -> Sent {
    let task = crate::shapes::read::<Task>(body).ok();
    let own = task.and_then(|task| task.path());
    Sent::Accepted {
        id: None,
        task: own.or_else(|| location.and_then(local_path)),
    }
}

impl Firmware for Redfish<'_> {
    fn offer(&mut self) -> Result<Offer, Error> {
        let (_, service) = self.service()?;
        let pulls = service.pull().is_some();
        if service.multipart().is_none() && service.push().is_none() && !pulls {
            return Err(self.not_offered("push of an archive"));
        }
        Ok(Offer {
            limit: service.limit,
            memory: self.memory()?,
            by_itself: service.by_itself(),
            pulls,
            redfish: true,
        })
    }

    fn images(&mut self) -> Result<Vec<Image>, Error> {
        let (_, service) = self.service()?;
        let what = "firmware inventory";
        let link = service.inventory.as_ref().and_then(Link::path);
        let path = link.ok_or_else(|| self.not_offered(what))?;
        let all: Collection = self.get(what, &path)?;
        let (_, manager) = self.manager()?;
        let (active, version) = (manager.active(), manager.version());
        let host = self.bios()?;
        let mut images = Vec::new();
        for path in all.paths().into_iter().take(ENTRIES) {
            let answer = self.0.call(&Call::get(what, &path))?;
            // IDs come and go while the BMC works: what is gone by now is not held.
            if matches!(answer.status, 400 | 404) {
                continue;
            }
            if !answer.good() {
                return Err(self.0.http.refused(what, &answer));
            }
            let entry: Inventory = self.0.read(what, &answer)?;
            let Some(mut image) = entry.image() else {
                continue;
            };
            image.running = match (image.purpose.as_str(), &active) {
                ("BMC", Some(active)) => Some(*active == path),
                ("BMC", None) => version
                    .as_ref()
                    .map(|version| image.version.as_ref() == Some(version)),
                ("Host", _) => host
                    .as_ref()
                    .map(|host| image.version.as_ref() == Some(host)),
                _ => None,
            };
            images.push(image);
        }
        Ok(images)
    }

    fn running(&mut self) -> Result<Running, Error> {
        let (_, manager) = self.manager()?;
        let system = self.0.system()?.system;
        Ok(Running {
            bmc: manager.version(),
            host: word(system.bios()),
            ready: manager.ready(),
            power: system.power(),
        })
    }

    fn task(&mut self, path: &str) -> Result<TaskState, Error> {
        let what = "task";
        let path = local_path(path).ok_or_else(|| self.not_offered(what))?;
        let answer = self.0.call(&Call::get(what, &path))?;
        match answer.status {
            // A monitor's 204 says the same of success and failure; the inventory knows.
            204 | 400 | 404 | 410 => Ok(TaskState::Vanished),
            200..=299 => {
                let task: Task = self.0.read(what, &answer)?;
                Ok(task.judge())
            }
            _ => Err(self.0.http.refused(what, &answer)),
        }
    }

    fn upload(
        &mut self,
        archive: Archive<'_>,
        patience: Patience,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<Sent, UploadError> {
        let answer = self.push(archive, patience, meanwhile)?;
        let said = crate::shapes::refusal(&answer.body);
        match answer.status {
            200..=299 => Ok(accepted(&answer.body, answer.location.as_deref())),
            409 => Ok(Sent::Exists),
            status => Err(self
                .0
                .http
                .upload_refused(status, answer.early, &said)
                .into()),
        }
    }

    fn pull(&mut self, url: &str) -> Result<Sent, Error> {
        let what = "fetching an archive";
        let (_, service) = self.service()?;
        let pull = service.pull().ok_or_else(|| self.not_offered(what))?;
        let path = pull.path().ok_or_else(|| self.not_offered(what))?;
        let protocol = match url.starts_with("https:") {
            true => "HTTPS",
            false => "HTTP",
        };
        if !pull.fetches_by(protocol) {
            return Err(self.not_offered(&format!("{what} by {protocol}")));
        }
        let mut body = json!({"ImageURI": url, "TransferProtocol": protocol});
        if pull.waits() {
            body["@Redfish.OperationApplyTime"] = json!("OnReset");
        }
        let call = Call {
            again: false,
            ..Call::send(what, &Method::POST, &path, &body)
        };
        let answer = self.0.call(&call)?;
        match answer.status {
            200..=299 => Ok(accepted(&answer.body, answer.header("location"))),
            409 => Ok(Sent::Exists),
            _ => Err(self.0.http.refused(what, &answer)),
        }
    }

    fn activate(&mut self, _: &str) -> Result<(), Error> {
        Err(self.not_offered("activation without an upload"))
    }

    fn make_first(&mut self, _: &str) -> Result<(), Error> {
        Err(self.not_offered("priority of an image"))
    }

    fn delete(&mut self, _: &str) -> Result<(), Error> {
        Err(self.not_offered("removal of an image"))
    }

    fn restart(&mut self) -> Result<(), Error> {
        let what = "restart of the BMC";
        let (_, manager) = self.manager()?;
        let reset = manager.reset().ok_or_else(|| self.not_offered(what))?;
        let path = reset.path().ok_or_else(|| self.not_offered(what))?;
        let mut kind = "GracefulRestart";
        let allowed = match (&reset.allowed, reset.info()) {
            (Some(allowed), _) => Some(allowed.clone()),
            (None, Some(info)) => {
                crate::shapes::reset_types(&self.get::<Value>("reset types", &info)?)
            }
            (None, None) => None,
        };
        let offers = |kind: &str| {
            allowed
                .as_ref()
                .is_none_or(|allowed| allowed.iter().any(|one| one == kind))
        };
        if !offers(kind) && offers("ForceRestart") {
            kind = "ForceRestart";
        }
        let body = json!({"ResetType": kind});
        let call = Call {
            again: false,
            ..Call::send(what, &Method::POST, &path, &body)
        };
        let answer = self.0.call(&call)?;
        match answer.good() {
            true => Ok(()),
            false => Err(self.0.http.refused(what, &answer)),
        }
    }
}

impl Redfish<'_> {
    /// The BMC's free memory. What it does not tell speaks against nothing.
    fn memory(&mut self) -> Result<Option<u64>, Error> {
        let (_, manager) = self.manager()?;
        let Some(path) = manager.diagnostics() else {
            return Ok(None);
        };
        let what = "diagnostic data";
        let answer = self.0.call(&Call::get(what, &path))?;
        Ok(match answer.good() {
            true => self.0.read::<Diagnostics>(what, &answer)?.memory(),
            false => None,
        })
    }

    /// The version of the host's firmware; a system without one has none.
    fn bios(&mut self) -> Result<Option<String>, Error> {
        match self.0.system() {
            Ok(found) => Ok(word(found.system.bios())),
            // Nothing is said of the host by a BMC that manages none.
            Err(Error::System { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }
}
