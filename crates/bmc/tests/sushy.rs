//! sushy-tools' Redfish server, which is not ours: its power changes later than it says, it has no
//! sessions, and it keeps every boot device for good.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use bmc::{BootDevice, BootOverride, Client, Error, Kind, Off, PowerState, Secret, Target};
use simulators::real::Sushy;
use support::{PASSWORD, insecure, settles};

fn start() -> Option<(Sushy, Target)> {
    let sushy = Sushy::start(PASSWORD)?;
    let target = support::target(sushy.address, Kind::Redfish);
    Some((sushy, target))
}

#[test]
fn power_and_boot_device() {
    let Some((_sushy, target)) = start() else {
        return;
    };
    let mut client = Client::connect(&target, &insecure()).unwrap();
    assert_eq!(client.power().unwrap(), PowerState::Off);
    assert!(
        client
            .reset()
            .unwrap_err()
            .to_string()
            .contains("it is off")
    );
    client.on().unwrap();
    settles(&mut client, &PowerState::On);
    client.reset().unwrap();
    for (device, word) in [(BootDevice::Network, "Pxe"), (BootDevice::Disk, "Hdd")] {
        assert_eq!(
            client.boot_once(device).unwrap(),
            BootOverride::Lasting,
            "{word}"
        );
    }
    client.off(Off::Soft).unwrap();
    settles(&mut client, &PowerState::Off);
    client.on().unwrap();
    settles(&mut client, &PowerState::On);
    client.off(Off::Hard).unwrap();
    settles(&mut client, &PowerState::Off);
}

#[test]
fn a_wrong_password() {
    let Some((_sushy, target)) = start() else {
        return;
    };
    let wrong = Target {
        password: Secret::new("not it"),
        ..target
    };
    let error = Client::connect(&wrong, &insecure())
        .unwrap()
        .power()
        .unwrap_err();
    assert!(matches!(error, Error::Login { .. }), "{error}");
}
