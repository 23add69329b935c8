//! What both dialects say of power, faults included.

use super::Call;
use crate::phase::Phase;
use crate::{Fault, Order, Power};

impl Call<'_> {
    /// What is said of the power: true, or a lie.
    pub(super) fn said_power(&self) -> Result<Power, String> {
        let lie = self.state.rules.standing(|fault| match fault {
            Fault::LiesAboutPower { says } => Some(says.clone()),
            _ => None,
        });
        match lie.as_deref() {
            None => Ok(self.state.machine.power),
            Some("On") => Ok(Power::On),
            Some("Off") => Ok(Power::Off),
            Some(other) => Err(other.to_string()),
        }
    }

    /// Passes an order on to the host.
    pub(super) fn order(&mut self, order: Order) {
        self.state.order(order, self.now, &self.world.config.timing);
    }

    /// The BMC reboots after this answer.
    pub(super) fn reboot(&mut self) {
        let seconds = self.world.config.timing.bmc_reboot;
        self.state.reboot(self.bmc.dialect, self.now, seconds);
    }

    /// The BMC itself has come up.
    pub(super) fn ready(&self) -> bool {
        self.state.phase(self.bmc.dialect, self.now) == Phase::Up
    }

    /// Boot settings are taken and forgotten.
    pub(super) fn forgets_boot(&self) -> bool {
        self.state.rules.has(&Fault::BootIgnored)
    }
}
