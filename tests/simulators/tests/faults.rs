//! Faults on demand, as curl sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::net::Ipv4Addr;
use std::process::Command;

use serde_json::json;
use simulators::{Bmcs, Certificates, Config, Fault, Flavour, Happened, Nodes, Power, Rule};
use support::{curl, have, session};

const ROOT: &str = "/redfish/v1";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
const SYSTEM: &str = "/redfish/v1/Systems/system";

fn some(count: usize, third: u8, scale: f64) -> Bmcs {
    let mut config = Config::of(Flavour::Bmcweb2023, count, Ipv4Addr::new(127, 9, third, 1));
    config.groups[0].port = 8443;
    config.groups[0].certificates = Certificates::Each;
    config.scale = scale;
    Bmcs::start(config)
}

#[test]
fn of_requests() {
    if !have("curl") {
        return;
    }
    let bmcs = some(1, 2, 100.0);
    let at = bmcs.address(0);
    let under = |fault: Fault| {
        bmcs.fault(0, Rule::from(fault).on("GET /redfish/v1").times(1));
        let reply = curl(at, "GET", ROOT, &["--max-time", "2"]);
        // It was for once.
        assert_eq!(curl(at, "GET", ROOT, &[]).status, 200);
        reply
    };
    let unauthorized = under(Fault::Unauthorized);
    assert_eq!((unauthorized.status, unauthorized.body.as_str()), (401, ""));
    let busy = under(Fault::Unavailable {
        retry_after: Some("7".into()),
    });
    assert_eq!((busy.status, busy.header("Retry-After")), (503, Some("7")));
    assert_eq!(under(Fault::Hang).code, 28);
    assert_eq!(under(Fault::CloseAfterRequest).code, 56);
    assert_eq!(under(Fault::DropMidAnswer { bytes: 200 }).code, 56);
    assert_eq!(under(Fault::EmptyBody).body, "");
    assert!(under(Fault::Html).body.starts_with("<!DOCTYPE"));
    assert!(serde_json::from_str::<serde_json::Value>(&under(Fault::NotJson).body).is_err());
    assert_eq!(
        under(Fault::HugeJson { bytes: 3_000_000 }).body.len(),
        3_000_000
    );
    assert_eq!(under(Fault::DeepJson { depth: 1000 }).body.len(), 2000);
    let away = under(Fault::Redirect {
        to: "https://192.0.2.1/".into(),
    });
    assert_eq!(
        (away.status, away.header("Location")),
        (302, Some("https://192.0.2.1/"))
    );
    let absolute = under(Fault::AbsoluteUris {
        to: "https://192.0.2.1".into(),
    })
    .json();
    assert_eq!(
        absolute["Systems"],
        json!({"@odata.id": "https://192.0.2.1/redfish/v1/Systems"})
    );
    assert_eq!(under(Fault::Chunked).json()["Id"], "RootService");
    assert_eq!(
        under(Fault::Trickle { rate: 100.0 }).json()["Id"],
        "RootService"
    );
    assert_ne!(under(Fault::EndlessHeaders).code, 0);
}

#[test]
fn of_connections() {
    if !have("curl") || !have("openssl") {
        return;
    }
    let bmcs = some(2, 3, 100.0);
    let at = bmcs.address(0);
    let code = |fault: Fault| {
        bmcs.fault(0, fault);
        let reply = curl(at, "GET", ROOT, &["--max-time", "2"]);
        bmcs.clear(0);
        reply.code
    };
    assert_eq!(code(Fault::Dead), 7);
    // The reset may come before curl has seen that it is connected.
    assert!(matches!(code(Fault::CloseAtOnce), 7 | 35));
    assert_eq!(code(Fault::HangBeforeTls), 28);
    assert_eq!(code(Fault::NotTls), 35);
    assert_eq!(code(Fault::Chunked), 0);

    bmcs.fault(0, Fault::SharedAddress { with: 1 });
    let uuids: Vec<String> = (0..2)
        .map(|_| {
            curl(at, "GET", ROOT, &[]).json()["UUID"]
                .as_str()
                .unwrap()
                .to_string()
        })
        .collect();
    assert_ne!(uuids[0], uuids[1]);
    bmcs.clear(0);

    let shown = || {
        let output = Command::new("sh")
            .args(["-c", "openssl s_client -connect \"$0\" </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256"])
            .arg(at.to_string())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let before = shown();
    assert!(before.contains("ingerprint"), "{before}");
    assert_eq!(before, shown());
    bmcs.fault(0, Fault::CertificateChange);
    assert_ne!(before, shown());
}

#[test]
fn of_power() {
    if !have("curl") {
        return;
    }
    let bmcs = some(1, 4, 100.0);
    let at = bmcs.address(0);
    let token = session(at, SESSIONS);
    let said = || curl(at, "GET", SYSTEM, &["-H", &token]).json()["PowerState"].clone();
    let order = |kind: &str| {
        let body = json!({"ResetType": kind}).to_string();
        let path = format!("{SYSTEM}/Actions/ComputerSystem.Reset");
        assert_eq!(
            curl(at, "POST", &path, &["-H", &token, "-d", &body]).status,
            204
        );
    };
    bmcs.fault(0, Fault::LiesAboutPower { says: "Off".into() });
    assert_eq!(said(), "Off");
    assert_eq!(bmcs.state(0).power, Power::On);
    bmcs.clear(0);
    bmcs.fault(0, Fault::SoftOffIgnored);
    order("GracefulShutdown");
    order("ForceOff");
    bmcs.wait(|event| event.what == Happened::Power { power: Power::Off });
    bmcs.fault(0, Fault::OnIgnored);
    order("On");
    assert_eq!(
        bmcs.events()
            .iter()
            .filter(|event| matches!(event.what, Happened::Boot { .. }))
            .count(),
        0
    );
    bmcs.clear(0);
    order("On");
    bmcs.wait(|event| matches!(event.what, Happened::Boot { .. }));
    bmcs.fault(0, Fault::SessionLost);
    assert_eq!(curl(at, "GET", SYSTEM, &["-H", &token]).status, 401);
}

#[test]
fn a_bmc_that_reboots_comes_back_in_steps() {
    if !have("curl") {
        return;
    }
    let bmcs = some(1, 5, 20.0);
    let at = bmcs.address(0);
    let token = session(at, SESSIONS);
    let path = "/redfish/v1/Managers/bmc/Actions/Manager.Reset";
    let reset = curl(
        at,
        "POST",
        path,
        &["-H", &token, "-d", r#"{"ResetType": "GracefulRestart"}"#],
    );
    assert_eq!(reset.status, 200);
    let mut seen = Vec::new();
    // 180 simulated seconds are nine real ones.
    while !bmcs
        .events()
        .iter()
        .any(|event| event.what == Happened::BmcUp)
    {
        let reply = curl(at, "GET", "/redfish/v1/Managers/bmc", &["-H", &token]);
        let what = if reply.code == 0 {
            i32::from(reply.status)
        } else {
            -reply.code
        };
        if seen.last() != Some(&what) {
            seen.push(what);
        }
    }
    assert_eq!(seen, [-7, 503, 404, 401]);
    let token = session(at, SESSIONS);
    let manager = curl(at, "GET", "/redfish/v1/Managers/bmc", &["-H", &token]).json();
    assert_eq!(manager["Status"]["State"], "Enabled");
    assert_eq!(bmcs.state(0).power, Power::On);
}

#[test]
fn nodes_follow_their_bmcs() {
    let mut config = Config::of(Flavour::Bmcweb2026, 2, Ipv4Addr::new(127, 9, 6, 1));
    config.groups[0].port = 8443;
    config.scale = 100.0;
    config.nodes = Some(Nodes {
        first: Ipv4Addr::new(127, 9, 7, 1),
        port: 2222,
        ..Nodes::default()
    });
    let bmcs = Bmcs::start(config);
    let node = bmcs.state(0).node.unwrap();
    let open = || std::net::TcpStream::connect(node.address).is_ok();
    assert!(open());
    bmcs.order(0, simulators::Order::ForceOff);
    bmcs.wait(|event| event.what == Happened::NodeDown);
    assert!(!open());
    bmcs.order(0, simulators::Order::On);
    let up = bmcs.wait(|event| matches!(event.what, Happened::NodeUp { .. }));
    assert!(open());
    assert_ne!(
        up.what,
        Happened::NodeUp {
            boot_id: node.boot_id
        }
    );
    // It reboots by itself, and keeps its boot id by a fault.
    let before = bmcs.state(0).node.unwrap().boot_id;
    bmcs.fault(0, Fault::NodeSameBootId);
    bmcs.node_reboot(0);
    bmcs.wait(|event| event.number > up.number && matches!(event.what, Happened::NodeUp { .. }));
    assert_eq!(bmcs.state(0).node.unwrap().boot_id, before);
    bmcs.fault(0, Fault::NodeNeverUp);
    bmcs.node_reboot(0);
    let down = bmcs.wait(|event| event.number > up.number + 2 && event.what == Happened::NodeDown);
    assert!(down.at > up.at);
    assert_eq!(bmcs.state(1).boots, 0);
}
