//! Firmware updates, as curl does them.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use simulators::{Activation, Bmcs, Config, Fault, Flavour, Happened, digest};
use support::{Reply, curl, have, session};

const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
const OCTETS: &str = "Content-Type: application/octet-stream";

fn one(flavour: Flavour, last: u8) -> Bmcs {
    let mut config = Config::of(flavour, 1, Ipv4Addr::new(127, 9, 9, last));
    config.groups[0].port = 8443;
    config.scale = 100.0;
    Bmcs::start(config)
}

/// An image of some size; the file's path.
fn image(dir: &Path, version: &str, machine: &str) -> String {
    let manifest = format!(
        "purpose=xyz.openbmc_project.Software.Version.VersionPurpose.BMC\nversion={version}\nMachineName={machine}\n"
    );
    std::fs::write(dir.join("image-bmc"), vec![7; 300_001]).unwrap();
    std::fs::write(dir.join("MANIFEST"), manifest).unwrap();
    let path = dir.join(format!("{version}.tar"));
    let made = Command::new("tar")
        .args([
            "-C",
            &dir.display().to_string(),
            "-cf",
            &path.display().to_string(),
            "image-bmc",
            "MANIFEST",
        ])
        .status()
        .unwrap();
    assert!(made.success());
    path.display().to_string()
}

fn whole(path: &str) -> u64 {
    digest(&std::fs::read(path).unwrap())
}

fn push(at: SocketAddrV4, path: &str, token: &str, file: &str) -> Reply {
    curl(
        at,
        "POST",
        path,
        &[
            "-H",
            token,
            "-H",
            OCTETS,
            "--data-binary",
            &format!("@{file}"),
        ],
    )
}

#[test]
fn redfish_multipart() {
    if !have("curl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = image(dir.path(), "2.15.0", "witherspoon");
    let bmcs = one(Flavour::Bmcweb2026, 1);
    let at = bmcs.address(0);
    let token = session(at, SESSIONS);
    let get = |path: &str| curl(at, "GET", path, &["-H", &token]);
    let service = get("/redfish/v1/UpdateService").json();
    let uri = service["MultipartHttpPushUri"]
        .as_str()
        .unwrap()
        .to_string();
    assert_eq!(
        (uri.as_str(), &service["MaxImageSizeBytes"]),
        (
            "/redfish/v1/UpdateService/update-multipart",
            &json!(31_457_280)
        )
    );
    let before =
        get("/redfish/v1/UpdateService/FirmwareInventory").json()["Members@odata.count"].clone();
    assert_eq!(before, 2);

    let update = |parameters: &str| {
        let parameters = format!("UpdateParameters={parameters};type=application/json");
        let file = format!("UpdateFile=@{file};type=application/octet-stream");
        curl(
            at,
            "POST",
            &uri,
            &["-H", &token, "-F", &parameters, "-F", &file],
        )
    };
    assert_eq!(
        update(r#"{"@Redfish.OperationApplyTime":"OnReset"}"#).status,
        500
    );
    let sent = update(
        r#"{"Targets":["/redfish/v1/Managers/bmc"],"@Redfish.OperationApplyTime":"OnReset"}"#,
    );
    assert_eq!(sent.status, 202, "{sent:?}");
    assert_eq!(bmcs.state(0).uploads.last().unwrap().digest, whole(&file));
    let monitor = sent.header("Location").unwrap().to_string();
    assert_eq!(monitor, "/redfish/v1/TaskService/TaskMonitors/0");
    let task = loop {
        let task = get("/redfish/v1/TaskService/Tasks/0").json();
        if task["TaskState"] != "Running" {
            break task;
        }
    };
    assert_eq!(
        (&task["TaskState"], &task["PercentComplete"]),
        (&json!("Completed"), &json!(100))
    );
    assert_eq!(get(&monitor).status, 204);
    assert_eq!(get(&monitor).status, 404);
    let manager = || get("/redfish/v1/Managers/bmc").json();
    assert_eq!(manager()["FirmwareVersion"], "2.14.0");
    let reset = r#"{"ResetType": "GracefulRestart"}"#;
    curl(
        at,
        "POST",
        "/redfish/v1/Managers/bmc/Actions/Manager.Reset",
        &["-H", &token, "-d", reset],
    );
    bmcs.wait(|event| event.what == Happened::BmcUp);
    // The session has outlived it.
    assert_eq!(manager()["FirmwareVersion"], "2.15.0");
    assert_eq!(get("/redfish/v1/TaskService/Tasks/0").status, 404);
    assert_eq!(
        get("/redfish/v1/UpdateService/FirmwareInventory/00000000").status,
        400
    );
}

#[test]
fn redfish_push_reboots_by_itself() {
    if !have("curl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = image(dir.path(), "2.16.0", "witherspoon");
    let bmcs = one(Flavour::Bmcweb2019, 2);
    let at = bmcs.address(0);
    let token = session(at, SESSIONS);
    let path = "/redfish/v1/UpdateService";
    let sent = push(at, path, &token, &file);
    assert_eq!(sent.status, 202, "{sent:?}");
    // One at a time.
    let busy = push(at, path, &token, &file);
    assert_eq!((busy.status, busy.header("Retry-After")), (503, Some("30")));
    bmcs.wait(|event| event.what == Happened::BmcUp);
    let token = session(at, SESSIONS);
    let manager = curl(at, "GET", "/redfish/v1/Managers/bmc", &["-H", &token]).json();
    assert_eq!(manager["FirmwareVersion"], "2.16.0");
    // Unsalted ids: the same version is refused, another machine's too.
    assert_eq!(push(at, path, &token, &file).status, 409);
    let other = image(dir.path(), "2.17.0", "palmetto");
    assert_eq!(push(at, path, &token, &other).status, 500);
    assert_eq!(push(at, path, &token, "/etc/passwd").status, 400);
    assert_eq!(
        curl(
            at,
            "POST",
            path,
            &[
                "-H",
                &token,
                "-H",
                "Content-Type: application/octet-stream; q=1",
                "-d",
                "x"
            ]
        )
        .status,
        400
    );
    // Too large, or a stranger with much to say: this generation just closes.
    bmcs.fault(0, Fault::TooLarge);
    assert_ne!(push(at, path, &token, &file).code, 0);
}

#[test]
fn openbmc_rest() {
    if !have("curl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = image(dir.path(), "ibm-v2.1", "witherspoon");
    let bmcs = one(Flavour::PhosphorRest, 3);
    let at = bmcs.address(0);
    let root = "/xyz/openbmc_project/software";
    let login = || {
        let reply = curl(
            at,
            "POST",
            "/login",
            &["-d", r#"{"data": ["root", "0penBmc"]}"#],
        );
        format!(
            "Cookie: {}",
            reply
                .header("Set-Cookie")
                .unwrap()
                .split(';')
                .next()
                .unwrap()
        )
    };
    let cookie = login();
    let sent = curl(
        at,
        "PUT",
        "/upload/image/",
        &["-H", &cookie, "-H", OCTETS, "-T", &file],
    );
    assert_eq!(sent.status, 200, "{sent:?}");
    let id = sent.json()["data"].as_str().unwrap().to_string();
    let all = |cookie: &str| {
        curl(at, "GET", &format!("{root}/enumerate"), &["-H", cookie]).json()["data"].clone()
    };
    let own = format!("{root}/{id}");
    let activation = |all: &Value| {
        all[&own]["Activation"]
            .as_str()
            .unwrap_or_default()
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_string()
    };
    assert_eq!(activation(&all(&cookie)), "Ready");
    let active =
        r#"{"data": "xyz.openbmc_project.Software.Activation.RequestedActivations.Active"}"#;
    assert_eq!(
        curl(
            at,
            "PUT",
            &format!("{own}/attr/RequestedActivation"),
            &["-H", &cookie, "-d", active]
        )
        .status,
        200
    );
    let mut seen = 0;
    let done = loop {
        let now = all(&cookie);
        if activation(&now) == "Active" {
            break now;
        }
        let progress = now[&own]["Progress"].as_u64().unwrap();
        assert!(progress >= seen);
        seen = progress;
    };
    assert_eq!(
        (&done[&own]["Priority"], done[&own].get("Progress")),
        (&json!(0), None)
    );
    assert_eq!(
        curl(at, "GET", &format!("{own}/attr/Progress"), &["-H", &cookie]).status,
        404
    );
    let reboot = r#"{"data": "xyz.openbmc_project.State.BMC.Transition.Reboot"}"#;
    let path = "/xyz/openbmc_project/state/bmc0/attr/RequestedBMCTransition";
    curl(at, "PUT", path, &["-H", &cookie, "-d", reboot]);
    bmcs.wait(|event| event.what == Happened::BmcUp);
    assert_eq!(curl(at, "GET", &own, &["-H", &cookie]).status, 401);
    let cookie = login();
    let functional = all(&cookie)[format!("{root}/functional")]["endpoints"].clone();
    assert!(functional.as_array().unwrap().contains(&json!(own)));
    // The running one stays, and the same version is refused, late.
    assert_eq!(
        curl(
            at,
            "POST",
            &format!("{own}/action/Delete"),
            &["-H", &cookie, "-d", r#"{"data": []}"#]
        )
        .status,
        404
    );
    let again = curl(
        at,
        "PUT",
        "/upload/image/x",
        &["-H", &cookie, "-H", OCTETS, "-T", &file],
    );
    assert_eq!(again.status, 400);
    assert_eq!(
        again.json()["data"]["description"],
        "Version already exists or failed to be extracted"
    );
}

#[test]
fn faults_of_updates() {
    if !have("curl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = image(dir.path(), "2.18.0", "witherspoon");
    let uri = "/redfish/v1/UpdateService/update";
    let bmcs = one(Flavour::Bmcweb2026, 4);
    let at = bmcs.address(0);
    let token = session(at, SESSIONS);
    let task = |n: usize| {
        curl(
            at,
            "GET",
            &format!("/redfish/v1/TaskService/Tasks/{n}"),
            &["-H", &token],
        )
    };

    bmcs.fault(0, Fault::TooLarge);
    assert_eq!(push(at, uri, &token, &file).status, 413);
    bmcs.clear(0);
    // A stranger is refused before the body.
    assert_eq!(push(at, uri, "X-Auth-Token: no", &file).status, 401);
    bmcs.fault(0, Fault::UploadCloses { bytes: 50_000 });
    assert_ne!(push(at, uri, &token, &file).code, 0);
    bmcs.clear(0);
    bmcs.fault(0, Fault::UploadStalls { bytes: 50_000 });
    let stalled = curl(
        at,
        "POST",
        uri,
        &[
            "-H",
            &token,
            "-H",
            OCTETS,
            "--data-binary",
            &format!("@{file}"),
            "--max-time",
            "1",
        ],
    );
    assert_eq!(stalled.code, 28);
    bmcs.clear(0);
    // This generation takes anything and says so in the task; until the stalled one has ended it is
    // busy.
    let taken = loop {
        let reply = push(at, uri, &token, "/etc/passwd");
        if reply.status != 500 {
            break reply;
        }
    };
    assert_eq!(taken.status, 202);
    assert_eq!(task(0).json()["TaskState"], "Exception");
    bmcs.fault(0, Fault::TaskVanishes);
    assert_eq!(task(0).status, 404);
    bmcs.clear(0);

    bmcs.fault(0, Fault::ProgressStuck { at: 90 });
    assert_eq!(push(at, uri, &token, &file).status, 202);
    while bmcs.state(0).images.last().unwrap().progress < 90 {}
    assert_eq!(push(at, uri, &token, &file).status, 500);
    // What hangs is given up after five minutes.
    while task(1).json()["TaskState"] == "Running" {}
    assert_eq!(task(1).json()["TaskState"], "Cancelled");
    bmcs.clear(0);
    bmcs.wait(|event| event.what == Happened::BmcUp);

    bmcs.fault(0, Fault::ActivationFails { at: 50 });
    assert_eq!(push(at, uri, &token, &file).status, 202);
    while bmcs.state(0).images.last().unwrap().activation != Activation::Failed {}
    assert_eq!(task(0).json()["TaskState"], "Exception");
    bmcs.clear(0);
    bmcs.fault(0, Fault::OldVersionReturns);
    let before = bmcs
        .state(0)
        .images
        .iter()
        .find(|image| image.functional && image.purpose == "BMC")
        .unwrap()
        .version
        .clone();
    let reboots = bmcs.state(0).bmc_reboots;
    assert_eq!(push(at, uri, &token, &file).status, 202);
    while bmcs.state(0).bmc_reboots == reboots || bmcs.state(0).away {}
    let after = bmcs
        .state(0)
        .images
        .iter()
        .find(|image| image.functional && image.purpose == "BMC")
        .unwrap()
        .version
        .clone();
    assert_eq!(before, after);
    bmcs.fault(
        0,
        Fault::ForeignImage {
            version: "2.18.0".into(),
            purpose: "BMC".into(),
        },
    );
    assert!(
        bmcs.state(0)
            .images
            .iter()
            .filter(|image| image.version == "2.18.0")
            .count()
            >= 2
    );
}
