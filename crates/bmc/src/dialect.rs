//! What every dialect can do, and how the right one is found.

use std::fmt::Debug;

use crate::firmware::Firmware;
use crate::http::Http;
use crate::ipmi::Ipmi;
use crate::openbmc::OpenBmc;
use crate::redfish::Redfish;
use crate::{BootDevice, BootOverride, Error, Kind, Off, PowerState, Settings, Target};

/// One BMC, logged in to.
pub(crate) trait Dialect: Debug {
    /// A new operation begins: it has the total limit for itself.
    fn begin(&mut self);
    fn power(&mut self) -> Result<PowerState, Error>;
    fn on(&mut self) -> Result<(), Error>;
    fn off(&mut self, how: Off) -> Result<(), Error>;
    fn reset(&mut self) -> Result<(), Error>;
    fn boot_once(&mut self, device: BootDevice) -> Result<BootOverride, Error>;
    /// Its firmware half; none where there is no such thing.
    fn firmware(&mut self) -> Option<Box<dyn Firmware + '_>> {
        None
    }
    /// Ends the session, if there is one. It may fail: nothing depends on it but the BMC's few slots.
    fn log_out(&mut self);
}

/// Finds out what the BMC speaks, and logs in. Redfish needs no login to be recognised, and every BMC
/// that has both has it in better order, so it is asked for first.
pub(crate) fn log_in(target: &Target, settings: &Settings) -> Result<Box<dyn Dialect>, Error> {
    if target.kind == Kind::Ipmi {
        return Ok(Box::new(Ipmi::new(target, settings)?));
    }
    let mut http = Http::new(target, settings);
    match Redfish::root(&mut http)? {
        Ok(root) => Ok(Box::new(Redfish::log_in(http, root)?)),
        Err(no_redfish) => Ok(Box::new(OpenBmc::log_in(http, &no_redfish)?)),
    }
}
