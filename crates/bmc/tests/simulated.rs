//! Every generation of BMC software that the simulator knows, in order and out of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bmc::{BootDevice, BootOverride, Client, Error, Kind, Limits, Off, PowerState, Secret, Target};
use simulators::{Bmcs, Config, Fault, Flavour, Happened, Power, Rule};
use support::{PASSWORD, insecure, settles};

/// BMCs of one flavour at addresses that no other test has; a second there is 20 here.
fn start(flavour: Flavour, count: usize) -> Bmcs {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let net = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut config = Config::of(flavour, count, Ipv4Addr::new(127, 41, net, 1));
    config.groups[0].port = 8443;
    config.password = PASSWORD.to_string();
    config.scale = 20.0;
    Bmcs::start(config)
}

fn target(bmcs: &Bmcs, i: usize) -> Target {
    support::target(bmcs.address(i).into(), Kind::OpenBmc)
}

fn connect(bmcs: &Bmcs) -> Result<Client, Error> {
    Client::connect(&target(bmcs, 0), &insecure())
}

/// Waits until the host has booted from this; some levels say that it is on a little earlier.
#[track_caller]
fn boots(bmcs: &Bmcs, wanted: &str) {
    bmcs.wait(|event| matches!(&event.what, Happened::Boot { from } if from == wanted));
}

#[test]
fn power_and_boot_device_in_every_flavour() {
    for flavour in Flavour::ALL {
        let bmcs = start(flavour, 1);
        let mut client = connect(&bmcs).unwrap();
        assert_eq!(client.power().unwrap(), PowerState::On, "{flavour:?}");
        client.off(Off::Soft).unwrap();
        settles(&mut client, &PowerState::Off);
        assert_eq!(
            client.boot_once(BootDevice::Network).unwrap(),
            BootOverride::Once,
            "{flavour:?}"
        );
        client.on().unwrap();
        settles(&mut client, &PowerState::On);
        boots(&bmcs, "Pxe");
        client.off(Off::Hard).unwrap();
        settles(&mut client, &PowerState::Off);
        for device in [BootDevice::Disk, BootDevice::None] {
            client.boot_once(device).unwrap();
        }
        client.on().unwrap();
        settles(&mut client, &PowerState::On);
        boots(&bmcs, "None");
        client.reset().unwrap();
        drop(client);
        let redfish = flavour != Flavour::PhosphorRest;
        let asked = bmcs.requests(0);
        assert_eq!(
            asked.iter().any(|one| one == "POST /login"),
            !redfish,
            "{flavour:?}"
        );
        assert!(asked.last().unwrap().starts_with(match redfish {
            true => "DELETE /redfish/",
            false => "POST /logout",
        }));
    }
}

#[test]
fn old_rest_with_its_redfish_hidden() {
    // The REST half of levels that speak both, and their ways to log in.
    for flavour in [Flavour::Bmcweb2019, Flavour::Bmcweb2023] {
        let bmcs = start(flavour, 1);
        bmcs.fault(0, Rule::from(Fault::Status { code: 404 }).on("/redfish/v1"));
        let mut client = connect(&bmcs).unwrap();
        assert_eq!(client.power().unwrap(), PowerState::On, "{flavour:?}");
        client.off(Off::Hard).unwrap();
        settles(&mut client, &PowerState::Off);
        client.boot_once(BootDevice::Network).unwrap();
    }
    // Attributes cannot be written there: said, not hidden.
    let bmcs = start(Flavour::Bmcweb2026Rest, 1);
    bmcs.fault(0, Rule::from(Fault::Status { code: 404 }).on("/redfish/v1"));
    let mut client = connect(&bmcs).unwrap();
    assert_eq!(client.power().unwrap(), PowerState::On);
    let error = client.off(Off::Hard).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
}

/// What a BMC with this fault answers to a question for its power.
#[track_caller]
fn power_with(flavour: Flavour, rule: impl Into<Rule>) -> Result<PowerState, Error> {
    let bmcs = start(flavour, 1);
    bmcs.fault(0, rule);
    let start = Instant::now();
    let answer = connect(&bmcs).and_then(|mut client| client.power());
    assert!(start.elapsed() < Duration::from_secs(25));
    if let Err(error) = &answer {
        assert!(!format!("{error} {error:?}").contains(PASSWORD));
    }
    answer
}

#[test]
fn faults_that_pass() {
    for flavour in [Flavour::PhosphorRest, Flavour::Bmcweb2023] {
        for fault in [
            Fault::Unavailable {
                retry_after: Some("1".to_string()),
            },
            Fault::Unavailable {
                retry_after: Some("/redfish/v1".to_string()),
            },
            Fault::Unavailable { retry_after: None },
            Fault::CloseAfterRequest,
            Fault::DropMidAnswer { bytes: 60 },
        ] {
            let rule = Rule::from(fault).times(1);
            assert_eq!(
                power_with(flavour, rule.clone()).unwrap(),
                PowerState::On,
                "{rule:?}"
            );
        }
        for fault in [
            Fault::Chunked,
            Fault::Slow { seconds: 2.0 },
            Fault::AbsoluteUris {
                to: "https://192.0.2.1".to_string(),
            },
        ] {
            assert_eq!(
                power_with(flavour, fault.clone()).unwrap(),
                PowerState::On,
                "{fault:?}"
            );
        }
    }
}

#[test]
fn faults_that_stay_have_names() {
    type Is = fn(&Error) -> bool;
    let cases: [(Fault, Is); 16] = [
        (Fault::Dead, |e| matches!(e, Error::Unreachable { .. })),
        (Fault::CloseAtOnce, |e| {
            matches!(e, Error::Dropped { .. } | Error::Unreachable { .. })
        }),
        (Fault::HangBeforeTls, |e| {
            matches!(e, Error::TimedOut { .. })
        }),
        (Fault::NotTls, |e| matches!(e, Error::Dropped { .. })),
        (Fault::Hang, |e| matches!(e, Error::TimedOut { .. })),
        (Fault::CloseAfterRequest, |e| {
            matches!(e, Error::Dropped { .. })
        }),
        (Fault::DropMidAnswer { bytes: 40 }, |e| {
            matches!(e, Error::Dropped { .. })
        }),
        (Fault::Unauthorized, |e| matches!(e, Error::Login { .. })),
        (Fault::Unavailable { retry_after: None }, |e| {
            matches!(e, Error::Busy { .. })
        }),
        (Fault::Status { code: 500 }, |e| {
            matches!(e, Error::Refused { .. })
        }),
        (Fault::Html, |e| matches!(e, Error::NoDialect { .. })),
        (Fault::EmptyBody, |e| matches!(e, Error::NoDialect { .. })),
        (Fault::HugeJson { bytes: 4 << 20 }, |e| {
            matches!(e, Error::Answer { .. })
        }),
        (Fault::EndlessHeaders, |e| matches!(e, Error::Answer { .. })),
        (Fault::Trickle { rate: 2.0 }, |e| {
            matches!(e, Error::TimedOut { .. })
        }),
        (Fault::LoginRefused, |e| matches!(e, Error::Login { .. })),
    ];
    for flavour in [Flavour::PhosphorRest, Flavour::VendorRedfish] {
        for (fault, is) in &cases {
            let error = power_with(flavour, fault.clone()).unwrap_err();
            assert!(is(&error), "{flavour:?} {fault:?}: {error:?}");
        }
    }
}

#[test]
fn a_wrong_password_and_a_lost_session() {
    for flavour in Flavour::ALL {
        let bmcs = start(flavour, 1);
        let wrong = Target {
            password: Secret::new("wrong"),
            ..target(&bmcs, 0)
        };
        let error = Client::connect(&wrong, &insecure()).unwrap_err();
        assert!(matches!(error, Error::Login { .. }), "{flavour:?}: {error}");

        let mut client = connect(&bmcs).unwrap();
        bmcs.fault(0, Fault::SessionLost);
        assert_eq!(client.power().unwrap(), PowerState::On, "{flavour:?}");
        client.off(Off::Hard).unwrap();
    }
}

#[test]
fn states_that_nobody_knows_and_orders_that_nobody_carries_out() {
    let lie = Fault::LiesAboutPower {
        says: "Sideways".to_string(),
    };
    for flavour in [Flavour::PhosphorRest, Flavour::Bmcweb2026] {
        let state = power_with(flavour, lie.clone()).unwrap();
        assert_eq!(state, PowerState::Unknown("Sideways".to_string()));
        let bmcs = start(flavour, 1);
        bmcs.fault(0, Fault::BootIgnored);
        let error = connect(&bmcs)
            .unwrap()
            .boot_once(BootDevice::Network)
            .unwrap_err();
        assert!(
            matches!(error, Error::NotTaken { .. }),
            "{flavour:?}: {error}"
        );
    }
    // A reset by REST is off, wait, on; an off that never comes ends it.
    let bmcs = start(Flavour::PhosphorRest, 1);
    bmcs.fault(0, Fault::OffIgnored);
    let short = Limits {
        total: Duration::from_secs(4),
        ..support::limits()
    };
    let short = bmc::Settings::new(bmc::Certificates::Insecure, Default::default(), short).unwrap();
    let mut client = Client::connect(&target(&bmcs, 0), &short).unwrap();
    let error = client.reset().unwrap_err();
    assert!(error.to_string().contains("did not go off"), "{error}");
    assert_eq!(bmcs.state(0).power, Power::On);
}

#[test]
fn a_changed_key_is_refused_before_the_login() {
    let dir = tempfile::tempdir().unwrap();
    let bmcs = start(Flavour::Bmcweb2026, 1);
    let target = target(&bmcs, 0);
    let settings = support::pinning(dir.path(), false);
    drop(Client::connect(&target, &settings).unwrap());
    drop(Client::connect(&target, &settings).unwrap());
    bmcs.fault(0, Fault::CertificateChange);
    let before = bmcs.requests(0).len();
    let error = Client::connect(&target, &settings).unwrap_err();
    assert!(matches!(error, Error::PinChanged { .. }), "{error}");
    assert_eq!(bmcs.requests(0).len(), before, "nothing was sent");
    drop(Client::connect(&target, &support::pinning(dir.path(), true)).unwrap());
    drop(Client::connect(&target, &settings).unwrap());
}
