//! Firmware over OpenBMC's old REST.

use serde_json::{Value, json};
use ureq::http::Method;

use super::shapes::{is_id, rest_images, rest_ready};
use super::upload;
use super::{
    Archive, Firmware, Image, Meanwhile, Offer, Patience, Running, Sent, TaskState, UploadError,
};
use crate::dialect::Dialect;
use crate::http::Call;
use crate::openbmc::OpenBmc;
use crate::{Error, shapes};

const SOFTWARE: &str = "/xyz/openbmc_project/software";
const STATE: &str = "/xyz/openbmc_project/state";

/// The firmware half of a BMC that speaks REST.
pub(crate) struct Rest<'a>(pub(crate) &'a mut OpenBmc);

impl Rest<'_> {
    fn data(&mut self, what: &str, path: &str) -> Result<Value, Error> {
        let answer = self.0.get(what, path)?;
        shapes::rest_data(&answer.body).map_err(|why| self.0.http.unusable(what, why))
    }

    fn set(&mut self, what: &str, id: &str, attribute: &str, value: Value) -> Result<(), Error> {
        self.known(what, id)?;
        self.0
            .set(what, &format!("{SOFTWARE}/{id}/attr/{attribute}"), &value)
    }

    fn known(&self, what: &str, id: &str) -> Result<(), Error> {
        match is_id(id) {
            true => Ok(()),
            false => Err(self.0.refused(what, "not an ID")),
        }
    }
}

impl Firmware for Rest<'_> {
    fn offer(&mut self) -> Result<Offer, Error> {
        Ok(Offer {
            limit: None,
            memory: None,
            by_itself: false,
            pulls: false,
            redfish: false,
        })
    }

    fn images(&mut self) -> Result<Vec<Image>, Error> {
        let what = "software list";
        let data = self.data(what, &format!("{SOFTWARE}/enumerate"))?;
        rest_images(&data).map_err(|why| self.0.http.unusable(what, why))
    }

    fn running(&mut self) -> Result<Running, Error> {
        let what = "state";
        let data = self.data(what, &format!("{STATE}/enumerate"))?;
        let ready = rest_ready(&data).map_err(|why| self.0.http.unusable(what, why))?;
        let power = self.0.power()?;
        let images = self.images()?;
        // Very old levels cannot tell what runs; the one that boots next is no answer to that.
        let version = |purpose: &str| {
            let mut of = images.iter().filter(|image| image.purpose == purpose);
            let found = of.find(|image| image.running == Some(true));
            found.and_then(|image| image.version.clone())
        };
        Ok(Running {
            bmc: version("BMC"),
            host: version("Host"),
            ready,
            power,
        })
    }

    fn task(&mut self, _: &str) -> Result<TaskState, Error> {
        Ok(TaskState::Vanished)
    }

    fn upload(
        &mut self,
        archive: Archive<'_>,
        patience: Patience,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<Sent, UploadError> {
        let name: String = archive
            .name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
            .collect();
        let path = format!(
            "/upload/image/{}",
            if name.is_empty() { "image.tar" } else { &name }
        );
        let request = upload::Request {
            method: "PUT",
            path: &path,
            content_type: "application/octet-stream",
            before: &[],
            after: &[],
            archive: archive.file,
            size: archive.size,
        };
        let answer =
            super::redfish::sent(upload::send(&self.0.http, request, patience, meanwhile))?;
        let said = shapes::refusal(&answer.body);
        match answer.status {
            200..=299 => {
                let data = shapes::rest_data(&answer.body);
                let data = data.map_err(|why| self.0.http.unusable("upload", why))?;
                // Oldest levels answer before they know.
                let id = data.as_str().filter(|id| is_id(id)).map(String::from);
                Ok(Sent::Accepted { id, task: None })
            }
            // "Version already exists or failed to be extracted": the list tells which.
            400 if said.contains("already exists") => Ok(Sent::Exists),
            409 => Ok(Sent::Exists),
            status => Err(self
                .0
                .http
                .upload_refused(status, answer.early, &said)
                .into()),
        }
    }

    fn pull(&mut self, _: &str) -> Result<Sent, Error> {
        Err(Error::NotOffered {
            bmc: self.0.http.target().host.clone(),
            what: "fetching an archive".to_string(),
            why: "archives are sent to it".to_string(),
        })
    }

    fn activate(&mut self, id: &str) -> Result<(), Error> {
        let value = "xyz.openbmc_project.Software.Activation.RequestedActivations.Active";
        self.set("activation", id, "RequestedActivation", json!(value))
    }

    fn make_first(&mut self, id: &str) -> Result<(), Error> {
        self.set("priority", id, "Priority", json!(0))
    }

    fn delete(&mut self, id: &str) -> Result<(), Error> {
        let what = "removal";
        self.known(what, id)?;
        let body = json!({"data": []});
        let path = format!("{SOFTWARE}/{id}/action/Delete");
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

    fn restart(&mut self) -> Result<(), Error> {
        let what = "restart of the BMC";
        let path = format!("{STATE}/bmc0/attr/RequestedBMCTransition");
        let body = json!({"data": "xyz.openbmc_project.State.BMC.Transition.Reboot"});
        let call = Call {
            again: false,
            ..Call::send(what, &Method::PUT, &path, &body)
        };
        let answer = self.0.call(&call)?;
        // 504: it was on its way down already.
        match answer.good() || answer.status == 504 {
            true => Ok(()),
            false => Err(self.0.http.refused(what, &answer)),
        }
    }
}
