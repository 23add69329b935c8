//! sushy-tools' Redfish server, which is not ours: its power changes later than it says, it has no
//! sessions, and it keeps every boot device for good.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use bmc::{BootDevice, BootOverride, Client, Error, Kind, Off, PowerState, Secret, Target};
use support::{PASSWORD, Running, insecure, settles, within};

struct Sushy {
    _running: Running,
    _dir: tempfile::TempDir,
    target: Target,
}

fn start() -> Option<Sushy> {
    let bin = support::python();
    let emulator = bin.join("sushy-emulator");
    if !support::have(emulator.to_str().unwrap()) {
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let identity = tls::identity(at, "sushy").unwrap();
    let hashed = Command::new(bin.join("python"))
        .args(["-c", "import bcrypt, sys; print(bcrypt.hashpw(sys.argv[1].encode(), bcrypt.gensalt(4)).decode())"])
        .arg(PASSWORD)
        .output()
        .unwrap();
    let hashed = String::from_utf8(hashed.stdout).unwrap();
    std::fs::write(at.join("auth"), format!("root:{hashed}")).unwrap();
    let port = support::free_port(false);
    let file = identity.certificate.display();
    let config = format!(
        "SUSHY_EMULATOR_LISTEN_IP = '127.0.0.1'\nSUSHY_EMULATOR_LISTEN_PORT = {port}\n\
         SUSHY_EMULATOR_SSL_CERT = '{file}'\nSUSHY_EMULATOR_SSL_KEY = '{file}'\n\
         SUSHY_EMULATOR_AUTH_FILE = '{0}/auth'\nSUSHY_EMULATOR_STATE_DIR = '{0}'\n",
        at.display()
    );
    std::fs::write(at.join("config"), config).unwrap();
    let running = Command::new(emulator)
        .arg("--config")
        .arg(at.join("config"))
        .arg("--fake")
        .current_dir(at)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let running = Running(running);
    let address = ([127, 0, 0, 1], port).into();
    within(Duration::from_secs(30), || TcpStream::connect(address).ok());
    Some(Sushy {
        _running: running,
        _dir: dir,
        target: support::target(address, Kind::Redfish),
    })
}

#[test]
fn power_and_boot_device() {
    let Some(sushy) = start() else { return };
    let mut client = Client::connect(&sushy.target, &insecure()).unwrap();
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
    let Some(sushy) = start() else { return };
    let wrong = Target {
        password: Secret::new("not it"),
        ..sushy.target
    };
    let error = Client::connect(&wrong, &insecure())
        .unwrap()
        .power()
        .unwrap_err();
    assert!(matches!(error, Error::Login { .. }), "{error}");
}
