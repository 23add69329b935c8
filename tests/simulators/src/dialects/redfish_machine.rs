//! Redfish: the computer system and its manager.

use serde_json::{Value, json};

use super::{Call, link, redfish};
use crate::machine::Boot;
use crate::message::Answer;
use crate::{Fault, Order, Power};

/// Reset types that are offered.
const RESETS: &[&str] = &[
    "On",
    "ForceOff",
    "ForceOn",
    "ForceRestart",
    "GracefulRestart",
    "GracefulShutdown",
    "PowerCycle",
];

pub(super) fn system(call: &mut Call<'_>) -> Answer {
    let dialect = call.bmc.dialect;
    if call.names[0] != dialect.system {
        return redfish::missing(call.request);
    }
    let path = format!("/redfish/v1/Systems/{}", dialect.system);
    let power = match call.said_power() {
        Err(lie) => lie,
        Ok(Power::PoweringOn) if !dialect.powering => "On".to_string(),
        Ok(Power::PoweringOff) if !dialect.powering => "On".to_string(),
        Ok(power) => power.word().to_string(),
    };
    let state = if power == "Off" {
        "Disabled"
    } else {
        "Enabled"
    };
    let bios = call.state.updater.running("Host");
    Answer::json(
        200,
        &json!({
            "@odata.id": path,
            "@odata.type": "#ComputerSystem.v1_22_0.ComputerSystem",
            "BiosVersion": bios.map_or("", |image| image.version.as_str()),
            "Id": dialect.system,
            "Name": dialect.system,
            "Description": "Computer System",
            "SystemType": "Physical",
            "PowerState": power,
            "Status": {"Health": "OK", "HealthRollup": "OK", "State": state},
            "Boot": boot(&call.state.machine.boot, dialect.targets),
            "Actions": {"#ComputerSystem.Reset": action(call, &path)},
            "Links": {
                "Chassis": [link(format!("/redfish/v1/Chassis/{}", dialect.chassis))],
                "ManagedBy": [link(format!("/redfish/v1/Managers/{}", dialect.manager))],
            },
        }),
    )
    .with("ETag", format!("\"{:08x}\"", call.state.machine.boots))
}

pub(super) fn action_info(call: &mut Call<'_>) -> Answer {
    let dialect = call.bmc.dialect;
    if call.names[0] != dialect.system || !dialect.action_info {
        return redfish::missing(call.request);
    }
    Answer::json(
        200,
        &json!({
            "@odata.id": format!("/redfish/v1/Systems/{}/ResetActionInfo", dialect.system),
            "@odata.type": "#ActionInfo.v1_1_2.ActionInfo",
            "Id": "ResetActionInfo",
            "Name": "Reset Action Info",
            "Parameters": [{
                "Name": "ResetType", "Required": true, "DataType": "String",
                "AllowableValues": RESETS}],
        }),
    )
}

pub(super) fn reset(call: &mut Call<'_>) -> Answer {
    if call.names[0] != call.bmc.dialect.system {
        return redfish::missing(call.request);
    }
    let Some(kind) = call.body["ResetType"].as_str().map(String::from) else {
        return redfish::error(
            400,
            "ActionParameterMissing",
            &["ComputerSystem.Reset", "ResetType"],
        );
    };
    let order = serde_json::from_value::<Order>(json!(kind));
    let Ok(order) = order else {
        return redfish::error(400, "ActionParameterNotSupported", &[&kind, "ResetType"]);
    };
    call.order(order);
    Answer::empty(204)
}

pub(super) fn patch(call: &mut Call<'_>) -> Answer {
    let dialect = call.bmc.dialect;
    if call.names[0] != dialect.system {
        return redfish::missing(call.request);
    }
    let wanted = call.body["Boot"].clone();
    let Some(wanted) = wanted.as_object() else {
        return redfish::error(400, "PropertyUnknown", &["?"]);
    };
    let text = |name: &str| wanted.get(name).and_then(Value::as_str).map(String::from);
    let mut new = call.state.machine.boot.clone();
    let (mut enabled, mut target) = said(&new);
    if let Some(asked) = text("BootSourceOverrideTarget") {
        if !dialect.targets.contains(&asked.as_str()) {
            return not_in_list(&asked, "BootSourceOverrideTarget");
        }
        target = asked;
    }
    if let Some(asked) = text("BootSourceOverrideEnabled") {
        if !["Disabled", "Once", "Continuous"].contains(&asked.as_str()) {
            return not_in_list(&asked, "BootSourceOverrideEnabled");
        }
        enabled = asked;
    }
    if let Some(asked) = text("BootSourceOverrideMode") {
        if !["Legacy", "UEFI"].contains(&asked.as_str()) {
            return not_in_list(&asked, "BootSourceOverrideMode");
        }
        new.mode = asked;
    }
    (new.once, new.always) = match enabled.as_str() {
        "Once" if target != "None" => (Some(target), None),
        "Continuous" if target != "None" => (None, Some(target)),
        _ => (None, None),
    };
    if !call.forgets_boot() {
        call.state.machine.boot = new;
    }
    match dialect.patched {
        200 => Answer::json(
            200,
            &json!({"@Message.ExtendedInfo": [redfish::message("Success", &[])]}),
        ),
        status => Answer::empty(status),
    }
}

pub(super) fn manager(call: &mut Call<'_>) -> Answer {
    let dialect = call.bmc.dialect;
    if call.names[0] != dialect.manager {
        return redfish::missing(call.request);
    }
    let path = format!("/redfish/v1/Managers/{}", dialect.manager);
    let state = if call.ready() { "Enabled" } else { "Starting" };
    let inventory = "/redfish/v1/UpdateService/FirmwareInventory";
    let runs = call.state.updater.running("BMC");
    let image = runs.map(|image| link(format!("{inventory}/{}", image.id)));
    let diagnostics = dialect
        .action_info
        .then(|| link(format!("{path}/ManagerDiagnosticData")));
    Answer::json(
        200,
        &json!({
            "@odata.id": path,
            "ManagerDiagnosticData": diagnostics,
            "@odata.type": "#Manager.v1_14_0.Manager",
            "FirmwareVersion": runs.map_or("", |image| image.version.as_str()),
            "Id": dialect.manager,
            "Name": "OpenBmc Manager",
            "Description": "Baseboard Management Controller",
            "ManagerType": "BMC",
            "PowerState": "On",
            "Status": {"Health": "OK", "HealthRollup": "OK", "State": state},
            "Actions": {"#Manager.Reset": {
                "target": format!("{path}/Actions/Manager.Reset"),
                "ResetType@Redfish.AllowableValues": ["GracefulRestart", "ForceRestart"]}},
            "Links": {
                "ActiveSoftwareImage": image,
                "ManagerForServers": [link(format!("/redfish/v1/Systems/{}", dialect.system))],
                "ManagerForChassis": [link(format!("/redfish/v1/Chassis/{}", dialect.chassis))],
            },
        }),
    )
}

pub(super) fn diagnostics(call: &mut Call<'_>) -> Answer {
    if call.names[0] != call.bmc.dialect.manager || !call.bmc.dialect.action_info {
        return redfish::missing(call.request);
    }
    let little = call.state.rules.standing(|fault| match fault {
        Fault::LittleMemory { bytes } => Some(*bytes),
        _ => None,
    });
    Answer::json(
        200,
        &json!({
            "@odata.id": call.request.path,
            "@odata.type": "#ManagerDiagnosticData.v1_2_0.ManagerDiagnosticData",
            "Id": "ManagerDiagnosticData",
            "Name": "Manager Diagnostic Data",
            "FreeStorageSpaceKiB": 16_384,
            "MemoryStatistics": {"AvailableBytes": little.unwrap_or(300 << 20), "TotalBytes": 512 << 20},
            "ServiceRootUptimeSeconds": 3600,
        }),
    )
}

pub(super) fn reset_manager(call: &mut Call<'_>) -> Answer {
    if call.names[0] != call.bmc.dialect.manager {
        return redfish::missing(call.request);
    }
    match call.body["ResetType"].as_str() {
        Some("GracefulRestart" | "ForceRestart") => {
            call.reboot();
            Answer::json(
                200,
                &json!({"@Message.ExtendedInfo": [redfish::message("Success", &[])]}),
            )
        }
        other => redfish::error(
            400,
            "ActionParameterNotSupported",
            &[other.unwrap_or_default(), "ResetType"],
        ),
    }
}

fn action(call: &Call<'_>, path: &str) -> Value {
    let target = format!("{path}/Actions/ComputerSystem.Reset");
    if call.bmc.dialect.action_info {
        json!({"target": target, "@Redfish.ActionInfo": format!("{path}/ResetActionInfo")})
    } else {
        json!({"target": target, "ResetType@Redfish.AllowableValues": RESETS})
    }
}

/// Enabled and target, in Redfish's words.
fn said(boot: &Boot) -> (String, String) {
    let (enabled, target) = match (&boot.once, &boot.always) {
        (Some(target), _) => ("Once", target.as_str()),
        (None, Some(target)) => ("Continuous", target.as_str()),
        (None, None) => ("Disabled", "None"),
    };
    (enabled.to_string(), target.to_string())
}

fn boot(boot: &Boot, targets: &[&str]) -> Value {
    let (enabled, target) = said(boot);
    json!({
        "BootSourceOverrideEnabled": enabled,
        "BootSourceOverrideMode": boot.mode,
        "BootSourceOverrideMode@Redfish.AllowableValues": ["Legacy", "UEFI"],
        "BootSourceOverrideTarget": target,
        "BootSourceOverrideTarget@Redfish.AllowableValues": targets,
    })
}

fn not_in_list(value: &str, property: &str) -> Answer {
    redfish::error(400, "PropertyValueNotInList", &[value, property])
}
