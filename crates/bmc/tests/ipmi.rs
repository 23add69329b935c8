//! The real ipmitool against a real IPMI server.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use bmc::{BootDevice, BootOverride, Client, Error, Kind, Limits, Off, PowerState, Secret, Target};
use simulators::real::{IpmiSim, free_port};
use support::{insecure, ipmi, settles};

/// ipmitool itself needs seconds to give up.
fn settings() -> bmc::Settings {
    let limits = Limits {
        request: Duration::from_secs(20),
        ..support::limits()
    };
    bmc::Settings::new(bmc::Certificates::Insecure, Default::default(), limits).unwrap()
}

#[test]
fn power_and_boot_device() {
    let Some(sim) = IpmiSim::start() else { return };
    let mut client = Client::connect(&ipmi(&sim), &settings()).unwrap();
    assert_eq!(client.power().unwrap(), PowerState::Off);
    let error = client.reset().unwrap_err();
    assert!(error.to_string().contains("it is off"), "{error}");
    assert_eq!(
        client.boot_once(BootDevice::Network).unwrap(),
        BootOverride::Once
    );
    client.on().unwrap();
    settles(&mut client, &PowerState::On);
    client.off(Off::Soft).unwrap();
    client.reset().unwrap();
    client.off(Off::Hard).unwrap();
    settles(&mut client, &PowerState::Off);
    client.boot_once(BootDevice::Disk).unwrap();
    client.boot_once(BootDevice::None).unwrap();
    assert_eq!(
        sim.told(),
        [
            "set boot pxe",
            "set power 1",
            "set shutdown 1",
            "set reset 1",
            "set power 0",
            // Its word for the disk, and for nothing in particular.
            "set boot default",
            "set boot none"
        ]
    );
}

#[test]
fn a_wrong_password_and_silence() {
    let Some(sim) = IpmiSim::start() else { return };
    let wrong = Target {
        password: Secret::new("not it"),
        ..ipmi(&sim)
    };
    let error = Client::connect(&wrong, &settings())
        .unwrap()
        .power()
        .unwrap_err();
    assert!(
        matches!(error, Error::Login { .. } | Error::Unreachable { .. }),
        "{error}"
    );
    assert!(!error.to_string().contains("not it"), "{error}");

    let port = free_port(true);
    let nobody = Target {
        address: ([127, 0, 0, 1], port).into(),
        ..ipmi(&sim)
    };
    let start = Instant::now();
    // The shorter limit ends ipmitool.
    let error = Client::connect(&nobody, &insecure())
        .unwrap()
        .power()
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(6));
}

#[test]
fn what_ipmi_cannot_carry_is_said_before_anything_is_run() {
    let to = support::target(([127, 0, 0, 1], 9).into(), Kind::Ipmi);
    for (user, password, part) in [
        ("root", "123456789012345678901", "20 bytes"),
        ("12345678901234567", "x", "16 bytes"),
        ("root", "", "no empty password"),
        ("root", "a\tb", "control character"),
    ] {
        let target = Target {
            user: user.to_string(),
            password: Secret::new(password),
            ..to.clone()
        };
        let error = Client::connect(&target, &insecure()).unwrap_err();
        assert!(matches!(error, Error::Credentials { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
        assert!(password.len() < 2 || !error.to_string().contains(password));
    }
}
