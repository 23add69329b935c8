//! A BMC's firmware: what it holds, what runs, uploads, activation, restarts.
//!
//! IDs of images are never computed. Whoever uploads remembers the list before and looks for what is
//! new in it; [`Running`] tells what came of it all.

mod redfish;
mod rest;
pub mod shapes;
mod upload;

use std::fs::File;
use std::io::Seek;

use serde::{Deserialize, Serialize};

use crate::{Client, Error, PowerState};
pub(crate) use redfish::{Fixed, Redfish};
pub(crate) use rest::Rest;
pub use upload::{Meanwhile, Patience};

/// One image that a BMC holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The BMC's name for it.
    pub id: String,
    /// `BMC`, `Host`, or another word.
    pub purpose: String,
    /// Its version.
    pub version: Option<String>,
    /// OpenBMC's word for its state; Redfish's are translated where they mean the same.
    pub activation: Option<String>,
    /// 0 boots next.
    pub priority: Option<u8>,
    /// It runs now; none if the BMC cannot tell.
    pub running: Option<bool>,
    /// More versions, separated by commas.
    pub extended: Option<String>,
    /// While it is activated, of a hundred.
    pub progress: Option<u8>,
}

/// What runs, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The BMC's version, if it knows.
    pub bmc: Option<String>,
    /// The host's.
    pub host: Option<String>,
    /// The BMC says that it has started.
    pub ready: bool,
    /// The host's power.
    pub power: PowerState,
}

/// What a BMC says of updates before there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offer {
    /// The largest archive that it takes, in bytes.
    pub limit: Option<u64>,
    /// Its free memory in bytes, if it says so: it has to hold a whole archive there.
    pub memory: Option<u64>,
    /// It restarts by itself once an archive is written.
    pub by_itself: bool,
    /// It takes no upload, but fetches an archive that it is told of: [`Client::pull`].
    pub pulls: bool,
    /// It speaks Redfish; else OpenBMC's REST.
    pub redfish: bool,
}

/// How a task goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// With its percentage.
    Running(Option<u8>),
    /// Written.
    Done,
    /// Failed or cancelled, in the BMC's words.
    Broken(String),
    /// There is no such task, or none that can be told from somebody else's.
    Vanished,
}

/// An archive to send.
#[derive(Debug)]
pub struct Archive<'a> {
    /// At its beginning.
    pub file: &'a mut File,
    /// Bytes.
    pub size: u64,
    /// A file name, for BMCs that want one.
    pub name: &'a str,
}

/// What came of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// The BMC has it.
    Accepted {
        /// Its name for the image, if it said so.
        id: Option<String>,
        /// Where it tells how it goes.
        task: Option<String>,
    },
    /// The BMC says that it has this version, or (old levels do not tell which) that it cannot be
    /// read.
    Exists,
}

/// Why an upload did not end well.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Before a byte was sent, or the answer's own words.
    #[error(transparent)]
    Bmc(#[from] Error),
    /// In the middle, or without an answer.
    #[error("{0}")]
    Broke(String),
    /// The caller, or the archive's own file, ended it.
    #[error("{0}")]
    Ended(String),
}

/// The firmware half of a dialect.
pub(crate) trait Firmware {
    fn offer(&mut self) -> Result<Offer, Error>;
    fn images(&mut self) -> Result<Vec<Image>, Error>;
    fn running(&mut self) -> Result<Running, Error>;
    fn task(&mut self, path: &str) -> Result<TaskState, Error>;
    fn upload(
        &mut self,
        archive: Archive<'_>,
        patience: Patience,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<Sent, UploadError>;
    fn pull(&mut self, url: &str) -> Result<Sent, Error>;
    fn activate(&mut self, id: &str) -> Result<(), Error>;
    fn make_first(&mut self, id: &str) -> Result<(), Error>;
    fn delete(&mut self, id: &str) -> Result<(), Error>;
    fn restart(&mut self) -> Result<(), Error>;
}

impl Client {
    /// What this BMC says of updates.
    ///
    /// # Errors
    /// [`Error`], as for all calls; [`Error::NotOffered`] over IPMI.
    pub fn update_offer(&mut self) -> Result<Offer, Error> {
        self.firmware("firmware")?.offer()
    }

    /// The images that it holds.
    ///
    /// # Errors
    /// [`Error`].
    pub fn images(&mut self) -> Result<Vec<Image>, Error> {
        self.firmware("firmware")?.images()
    }

    /// What runs now.
    ///
    /// # Errors
    /// [`Error`].
    pub fn running(&mut self) -> Result<Running, Error> {
        self.firmware("firmware")?.running()
    }

    /// How a task goes that an upload has named.
    ///
    /// # Errors
    /// [`Error`].
    pub fn task(&mut self, path: &str) -> Result<TaskState, Error> {
        self.firmware("task")?.task(path)
    }

    /// Sends an archive. A BMC of the Redfish kind activates it by itself, for the next reset where
    /// it can be told so.
    ///
    /// # Errors
    /// [`UploadError`].
    pub fn upload(
        &mut self,
        archive: Archive<'_>,
        patience: Patience,
        meanwhile: &mut dyn Meanwhile,
    ) -> Result<Sent, UploadError> {
        let mut firmware = self.firmware("upload")?;
        archive
            .file
            .rewind()
            .map_err(|error| UploadError::Ended(error.to_string()))?;
        firmware.upload(archive, patience, meanwhile)
    }

    /// Has the BMC fetch an archive from `url` (`http://` or `https://`), where that is its only way.
    ///
    /// # Errors
    /// [`Error::NotOffered`] where archives are pushed, or by another protocol.
    pub fn pull(&mut self, url: &str) -> Result<Sent, Error> {
        self.firmware("fetching an archive")?.pull(url)
    }

    /// Asks for the activation of an image that it holds.
    ///
    /// # Errors
    /// [`Error::NotOffered`] over Redfish, where an upload is activated by itself.
    pub fn activate(&mut self, id: &str) -> Result<(), Error> {
        self.firmware("activation")?.activate(id)
    }

    /// Makes an active image the first to boot.
    ///
    /// # Errors
    /// As [`Client::activate`].
    pub fn make_first(&mut self, id: &str) -> Result<(), Error> {
        self.firmware("priority")?.make_first(id)
    }

    /// Removes an image.
    ///
    /// # Errors
    /// As [`Client::activate`].
    pub fn delete_image(&mut self, id: &str) -> Result<(), Error> {
        self.firmware("removal")?.delete(id)
    }

    /// Restarts the BMC itself; the host runs on. Connection and session end with it.
    ///
    /// # Errors
    /// [`Error`]; a lost answer may well mean that it does restart.
    pub fn restart_bmc(&mut self) -> Result<(), Error> {
        self.firmware("restart")?.restart()
    }
}
