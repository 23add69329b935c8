//! Shapes of answers, as curl gets them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::net::Ipv4Addr;

use serde_json::json;
use simulators::{Bmcs, Config, Flavour, Happened, Power};
use support::{curl, have, session};

const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

fn one(flavour: Flavour, last: u8) -> Bmcs {
    let mut config = Config::of(flavour, 1, Ipv4Addr::new(127, 9, 1, last));
    config.groups[0].port = 8443;
    config.scale = 10.0;
    Bmcs::start(config)
}

#[test]
fn redfish_power() {
    if !have("curl") {
        return;
    }
    let bmcs = one(Flavour::Bmcweb2026, 1);
    let at = bmcs.address(0);
    let root = curl(at, "GET", "/redfish/v1", &[]);
    assert_eq!(
        (root.status, root.json()["Systems"].clone()),
        (200, json!({"@odata.id": "/redfish/v1/Systems"}))
    );
    let stranger = curl(at, "GET", "/redfish/v1/Systems", &[]);
    assert_eq!((stranger.status, stranger.body.as_str()), (401, ""));
    let wrong = curl(
        at,
        "POST",
        SESSIONS,
        &["-d", r#"{"UserName": "root", "Password": "no"}"#],
    );
    assert_eq!(wrong.status, 401);
    assert_eq!(
        wrong.json()["error"]["code"],
        "Base.1.19.ResourceAtUriUnauthorized"
    );

    let token = session(at, SESSIONS);
    let get = |path: &str| curl(at, "GET", path, &["-H", &token]).json();
    let system = get("/redfish/v1/Systems/system");
    assert_eq!(system["PowerState"], "On");
    let target = system["Actions"]["#ComputerSystem.Reset"]["target"]
        .as_str()
        .unwrap()
        .to_string();
    let info = system["Actions"]["#ComputerSystem.Reset"]["@Redfish.ActionInfo"]
        .as_str()
        .unwrap();
    assert!(
        get(info)["Parameters"][0]["AllowableValues"]
            .as_array()
            .unwrap()
            .contains(&json!("ForceOff"))
    );

    let boot =
        r#"{"Boot": {"BootSourceOverrideTarget": "Pxe", "BootSourceOverrideEnabled": "Once"}}"#;
    assert_eq!(
        curl(
            at,
            "PATCH",
            "/redfish/v1/Systems/system",
            &["-H", &token, "-d", boot]
        )
        .status,
        204
    );
    assert_eq!(
        get("/redfish/v1/Systems/system")["Boot"]["BootSourceOverrideTarget"],
        "Pxe"
    );
    let reset = |kind: &str| {
        let body = json!({"ResetType": kind}).to_string();
        curl(at, "POST", &target, &["-H", &token, "-d", &body]).status
    };
    assert_eq!(reset("Explode"), 400);
    assert_eq!(reset("ForceOff"), 204);
    bmcs.wait(|event| event.what == Happened::Power { power: Power::Off });
    assert_eq!(get("/redfish/v1/Systems/system")["PowerState"], "Off");
    assert_eq!(reset("On"), 204);
    bmcs.wait(|event| event.what == Happened::Boot { from: "Pxe".into() });
    let state = bmcs.state(0);
    assert_eq!((state.power, state.boot_once), (Power::On, None));
    assert_eq!(
        curl(at, "GET", "/redfish/v1/Systems/other", &["-H", &token]).status,
        404
    );
    assert_eq!(
        curl(at, "DELETE", "/redfish/v1/Systems", &["-H", &token]).status,
        405
    );
    assert_eq!(
        curl(at, "POST", "/xyz/openbmc_project/state", &["-H", &token]).status,
        404
    );
}

#[test]
fn phosphor_rest_power() {
    if !have("curl") {
        return;
    }
    let bmcs = one(Flavour::PhosphorRest, 2);
    let at = bmcs.address(0);
    let early = curl(at, "GET", "/xyz/openbmc_project/state/enumerate", &[]);
    assert_eq!(
        (early.status, early.json()["data"]["description"].clone()),
        (401, json!("Login required"))
    );
    let login = curl(
        at,
        "POST",
        "/login",
        &["-d", r#"{"data": ["root", "0penBmc"]}"#],
    );
    assert_eq!(
        login.json(),
        json!({"data": "User 'root' logged in", "message": "200 OK", "status": "ok"})
    );
    let cookie = login
        .header("Set-Cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_string();
    assert!(cookie.starts_with("sid=\"!"), "{cookie}");
    let cookie = format!("Cookie: {cookie}");
    let all = curl(
        at,
        "GET",
        "/xyz/openbmc_project/state/enumerate",
        &["-H", &cookie],
    )
    .json();
    assert_eq!(
        all["data"]["/xyz/openbmc_project/state/chassis0"]["CurrentPowerState"],
        "xyz.openbmc_project.State.Chassis.PowerState.On"
    );
    let put = |path: &str, value: &str| {
        let body = json!({"data": value}).to_string();
        curl(at, "PUT", path, &["-H", &cookie, "-d", &body]).status
    };
    assert_eq!(
        put(
            "/xyz/openbmc_project/control/host0/boot/one_time/attr/BootSource",
            "xyz.openbmc_project.Control.Boot.Source.Sources.Network"
        ),
        200
    );
    assert_eq!(bmcs.state(0).boot_once.as_deref(), Some("Pxe"));
    assert_eq!(
        put(
            "/xyz/openbmc_project/state/chassis0/attr/RequestedPowerTransition",
            "xyz.openbmc_project.State.Chassis.Transition.Off"
        ),
        200
    );
    bmcs.wait(|event| event.what == Happened::Power { power: Power::Off });
    let off = curl(
        at,
        "GET",
        "/xyz/openbmc_project/state/chassis0/attr/CurrentPowerState",
        &["-H", &cookie],
    );
    assert_eq!(
        off.json()["data"],
        "xyz.openbmc_project.State.Chassis.PowerState.Off"
    );
    assert_eq!(
        put(
            "/xyz/openbmc_project/state/host0/attr/RequestedHostTransition",
            "xyz.openbmc_project.State.Host.Transition.On"
        ),
        200
    );
    bmcs.wait(|event| event.what == Happened::Boot { from: "Pxe".into() });
    assert_eq!(curl(at, "GET", "/redfish/v1", &[]).status, 404);
}

#[test]
fn logins_of_all_generations() {
    if !have("curl") {
        return;
    }
    let array = r#"{"data": ["root", "0penBmc"]}"#;
    let names = r#"{"username": "root", "password": "0penBmc"}"#;
    let wanted = [
        (Flavour::PhosphorRest, 200, 400),
        (Flavour::Bmcweb2019, 200, 200),
        (Flavour::Bmcweb2023, 200, 200),
        (Flavour::Bmcweb2026, 400, 200),
        (Flavour::Bmcweb2026Rest, 400, 200),
        (Flavour::VendorRedfish, 404, 404),
    ];
    for (last, (flavour, by_array, by_names)) in (10..).zip(wanted) {
        let bmcs = one(flavour, last);
        let at = bmcs.address(0);
        assert_eq!(
            curl(at, "POST", "/login", &["-d", array]).status,
            by_array,
            "{flavour:?}"
        );
        let reply = curl(at, "POST", "/login", &["-d", names]);
        assert_eq!(reply.status, by_names, "{flavour:?}");
        if by_names == 200 {
            let header = format!("X-Auth-Token: {}", reply.json()["token"].as_str().unwrap());
            assert_eq!(
                curl(at, "GET", "/redfish/v1/Systems", &["-H", &header]).status,
                200
            );
            // A cookie alone reads, but does not write.
            let cookie = format!(
                "Cookie: {}={}",
                if flavour == Flavour::Bmcweb2019 || flavour == Flavour::Bmcweb2023 {
                    "SESSION"
                } else {
                    "BMCWEB-SESSION"
                },
                reply.json()["token"].as_str().unwrap()
            );
            assert_eq!(
                curl(at, "GET", "/redfish/v1/Systems", &["-H", &cookie]).status,
                200
            );
            assert_eq!(
                curl(
                    at,
                    "PATCH",
                    "/redfish/v1/Systems/system",
                    &["-H", &cookie, "-d", "{}"]
                )
                .status,
                401
            );
        }
    }
}

#[test]
fn a_vendor_has_other_names() {
    if !have("curl") {
        return;
    }
    let bmcs = one(Flavour::VendorRedfish, 3);
    let at = bmcs.address(0);
    let root = curl(at, "GET", "/redfish/v1/", &[]).json();
    let sessions = root["Links"]["Sessions"]["@odata.id"].as_str().unwrap();
    assert_eq!(sessions, "/redfish/v1/Sessions");
    let token = session(at, sessions);
    let systems = curl(at, "GET", "/redfish/v1/Systems", &["-H", &token]).json();
    let path = systems["Members"][0]["@odata.id"].as_str().unwrap();
    let system = curl(at, "GET", path, &["-H", &token]).json();
    let reset = &system["Actions"]["#ComputerSystem.Reset"];
    assert!(reset["ResetType@Redfish.AllowableValues"].is_array());
    // Basic is no way in here.
    assert_eq!(curl(at, "GET", path, &["-u", "root:0penBmc"]).status, 401);
}
