//! No password in any argument or environment: seen by strace, over all processes that come of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bmc::{BootDevice, Certificates, Client, Kind, Limits, Off, Secret, Settings, Target};
use simulators::parts::have;
use simulators::real::IpmiSim;
use support::{PASSWORD, Server, good};

/// Plays the part that is watched. Its passwords come by a file, as they would by the tables.
fn watched(dir: &Path) {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    let targets: [Target; 2] = ["ipmi", "redfish"].map(|kind| {
        let text = read(kind);
        let (address, password) = text.split_once(' ').unwrap();
        let mut target = support::target(
            address.parse().unwrap(),
            if kind == "ipmi" {
                Kind::Ipmi
            } else {
                Kind::Redfish
            },
        );
        target.password = Secret::new(password);
        target
    });
    // Under strace all is slow.
    let limits = Limits {
        request: Duration::from_secs(60),
        total: Duration::from_secs(120),
        ..support::limits()
    };
    let settings = Settings::new(Certificates::Insecure, BTreeSet::new(), limits).unwrap();
    for target in targets {
        let mut client = Client::connect(&target, &settings).unwrap();
        client.boot_once(BootDevice::Network).unwrap();
        client.on().unwrap();
        client.off(Off::Hard).unwrap();
        client.power().unwrap();
    }
}

#[test]
fn passwords_stay_out_of_arguments_environments_and_files() {
    if let Some(dir) = std::env::var_os("WATCHED_DIR") {
        return watched(Path::new(&dir));
    }
    if !have("strace") {
        return;
    }
    let Some(sim) = IpmiSim::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), good);
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("ipmi"), format!("{} {}", sim.address, IpmiSim::PASSWORD)).unwrap();
    std::fs::write(at("redfish"), format!("{} {PASSWORD}", server.address)).unwrap();
    let test = "passwords_stay_out_of_arguments_environments_and_files";
    let status = Command::new("strace")
        .args([
            "-f",
            "-v",
            "-s",
            "100000",
            "-e",
            "trace=execve,write,openat",
            "-o",
        ])
        .arg(at("trace"))
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env("WATCHED_DIR", dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    let trace = std::fs::read_to_string(at("trace")).unwrap();
    // strace quotes as C does.
    let forms = |password: &str| password.replace('\\', "\\\\").replace('"', "\\\"");
    let secrets = [forms(IpmiSim::PASSWORD), forms(PASSWORD)];
    let calls = |name: &str| -> Vec<&str> {
        let call = format!("{name}(");
        trace.lines().filter(|line| line.contains(&call)).collect()
    };
    let started = calls("execve");
    // Five commands, one of which takes two.
    let ipmitools = started.iter().filter(|line| line.contains("lanplus"));
    assert_eq!(ipmitools.count(), 5, "{started:#?}");
    for line in started {
        for secret in &secrets {
            assert!(!line.contains(secret), "{line}");
        }
    }
    // It was really sent, and only down ipmitool's pipes: neither a file nor a terminal got it.
    let written = calls("write");
    let told: Vec<&&str> = written
        .iter()
        .filter(|line| line.contains(&secrets[0]))
        .collect();
    assert_eq!(told.len(), 5, "{told:#?}");
    assert!(!written.iter().any(|line| line.contains(&secrets[1])));
    for line in told {
        let fd = line
            .split("write(")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        assert!(fd.parse::<u32>().unwrap() > 2, "{line}");
    }
}
