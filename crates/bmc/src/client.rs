//! One BMC, as its callers use it.

use crate::dialect::{self, Dialect};
use crate::firmware::Firmware;
use crate::{BootDevice, BootOverride, Error, Off, PowerState, Settings, Target};

/// A connection to one BMC; it blocks, and belongs into a child. Dropped, it ends its session.
///
/// Each call ends within [`Limits::total`](crate::Limits), whatever the BMC does. That a command was
/// taken does not mean that it was carried out: [`Client::power`] tells, some time later.
#[derive(Debug)]
pub struct Client {
    dialect: Box<dyn Dialect>,
}

impl Client {
    /// Finds out what the BMC speaks and logs in. For IPMI nothing is sent yet: there each command is a
    /// session of its own.
    ///
    /// # Errors
    /// Any but those of the tables; a changed key is refused before the login.
    pub fn connect(target: &Target, settings: &Settings) -> Result<Client, Error> {
        let dialect = dialect::log_in(target, settings)?;
        Ok(Client { dialect })
    }

    /// The node's power, as the BMC has it now.
    ///
    /// # Errors
    /// [`Error`], as for all calls.
    pub fn power(&mut self) -> Result<PowerState, Error> {
        self.dialect.begin();
        self.dialect.power()
    }

    /// Switches the node on. A node that is on stays as it is.
    ///
    /// # Errors
    /// [`Error`].
    pub fn on(&mut self) -> Result<(), Error> {
        self.dialect.begin();
        self.dialect.on()
    }

    /// Switches the node off. A node that is off stays as it is.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotOffered`] where this BMC has no such way.
    pub fn off(&mut self, how: Off) -> Result<(), Error> {
        self.dialect.begin();
        self.dialect.off(how)
    }

    /// Resets a running node, hard. One that is off is an error: BMCs do nothing then.
    ///
    /// # Errors
    /// [`Error`].
    pub fn reset(&mut self) -> Result<(), Error> {
        self.dialect.begin();
        self.dialect.reset()
    }

    /// Sets what the node boots the next time, and says whether that holds for one boot only. For
    /// IPMI what the BMC says cannot be relied on: `Once` is what was asked for.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotTaken`] if it reads back something else.
    pub fn boot_once(&mut self, device: BootDevice) -> Result<BootOverride, Error> {
        self.dialect.begin();
        self.dialect.boot_once(device)
    }

    /// Begins an operation of the firmware half.
    pub(crate) fn firmware(&mut self, what: &str) -> Result<Box<dyn Firmware + '_>, Error> {
        self.dialect.begin();
        self.dialect.firmware().ok_or_else(|| Error::NotOffered {
            bmc: "over IPMI".to_string(),
            what: what.to_string(),
            why: "there is no such command".to_string(),
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.dialect.log_out();
    }
}
