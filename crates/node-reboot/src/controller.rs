//! One step at one management controller.

use bmc::{BootOverride, Client, Error, Off, PowerState, Settings, Target};

use crate::request::BootDevice;
use crate::step::{BETWEEN, Said, Step};

/// Does it, in the child.
pub(crate) fn act(
    step: Step,
    boot: Option<BootDevice>,
    target: &Target,
    settings: &Settings,
) -> Result<Said, Error> {
    let mut client = Client::connect(target, settings)?;
    match step {
        Step::SetBoot => set_boot(&mut client, boot),
        Step::SoftOff => switch_off(&mut client, Off::Soft),
        Step::LookOff => look(&mut client, &PowerState::Off),
        Step::LookOn => look(&mut client, &PowerState::On),
        Step::On => {
            client.on()?;
            Ok(Said::Started)
        }
        _ => switch_off(&mut client, Off::Hard),
    }
}

fn set_boot(client: &mut Client, boot: Option<BootDevice>) -> Result<Said, Error> {
    let device = match boot {
        Some(BootDevice::Network | BootDevice::DirectNetwork) => bmc::BootDevice::Network,
        Some(BootDevice::Disk) => bmc::BootDevice::Disk,
        Some(BootDevice::None) | None => bmc::BootDevice::None,
    };
    Ok(match client.boot_once(device)? {
        BootOverride::Once => Said::Done,
        BootOverride::Lasting => {
            Said::DoneBut("its boot device lasts: its management controller knows no once".into())
        }
    })
}

/// What is off already only needs to be switched on.
fn switch_off(client: &mut Client, how: Off) -> Result<Said, Error> {
    if let Said::Done = look(client, &PowerState::Off)? {
        return Ok(Said::Done);
    }
    client.off(how)?;
    Ok(Said::Started)
}

/// Two equal readings, a moment apart.
fn look(client: &mut Client, wanted: &PowerState) -> Result<Said, Error> {
    let before = client.power()?;
    if before != *wanted {
        return Ok(Said::Reading(before.to_string()));
    }
    std::thread::sleep(BETWEEN);
    let now = client.power()?;
    Ok(match PowerState::settled(wanted, &before, &now) {
        true => Said::Done,
        false => Said::Reading(now.to_string()),
    })
}
