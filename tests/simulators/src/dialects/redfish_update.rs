//! Redfish: the update service and the firmware inventory.

use serde_json::json;

use super::{Call, link, redfish};
use crate::Fault;
use crate::message::Answer;
use crate::updater::Activation;

/// Where a BMC that fetches images by itself is told of them.
pub(super) const SIMPLE_UPDATE: &str =
    "/redfish/v1/UpdateService/Actions/UpdateService.SimpleUpdate";
const INVENTORY: &str = "/redfish/v1/UpdateService/FirmwareInventory";

pub(super) fn service(call: &mut Call<'_>) -> Answer {
    let dialect = call.bmc.dialect;
    let mut value = json!({
        "@odata.id": "/redfish/v1/UpdateService",
        "@odata.type": "#UpdateService.v1_11_1.UpdateService",
        "Id": "UpdateService",
        "Name": "Update Service",
        "Description": "Service for Software Update",
        "ServiceEnabled": true,
        "HttpPushUri": dialect.push,
        "FirmwareInventory": link(INVENTORY),
    });
    if let Some(limit) = call.bmc.limit {
        value["MaxImageSizeBytes"] = json!(limit);
    }
    if let Some(path) = dialect.multipart {
        value["MultipartHttpPushUri"] = json!(path);
    }
    let apply = if dialect.apply_patch {
        call.state.updater.apply_time.as_str()
    } else {
        "Immediate"
    };
    if call.state.rules.has(&Fault::PullsOnly) {
        value["Actions"] = json!({"#UpdateService.SimpleUpdate": {
            "target": SIMPLE_UPDATE,
            "TransferProtocol@Redfish.AllowableValues": ["HTTP"],
            "@Redfish.OperationApplyTimeSupport": {"SupportedValues": ["Immediate", "OnReset"]}}});
        for name in ["HttpPushUri", "MultipartHttpPushUri"] {
            value[name] = json!(null);
        }
        return Answer::json(200, &value);
    }
    value["HttpPushUriOptions"] = json!({"HttpPushUriApplyTime": {"ApplyTime": apply}});
    Answer::json(200, &value)
}

pub(super) fn patch(call: &mut Call<'_>) -> Answer {
    if !call.bmc.dialect.apply_patch {
        return redfish::error(405, "OperationNotAllowed", &[]);
    }
    let asked = &call.body["HttpPushUriOptions"]["HttpPushUriApplyTime"]["ApplyTime"];
    match asked.as_str() {
        Some(time @ ("Immediate" | "OnReset")) => {
            call.state.updater.apply_time = time.to_string();
            Answer::empty(204)
        }
        other => redfish::error(
            400,
            "PropertyValueNotInList",
            &[other.unwrap_or_default(), "ApplyTime"],
        ),
    }
}

pub(super) fn inventory(call: &mut Call<'_>) -> Answer {
    let members: Vec<String> = call
        .state
        .updater
        .seen(call.now)
        .map(|image| format!("{INVENTORY}/{}", image.id))
        .collect();
    redfish::collection(
        INVENTORY,
        "SoftwareInventory",
        "Software Inventory Collection",
        &members,
    )
}

pub(super) fn image(call: &mut Call<'_>) -> Answer {
    let dialect = call.bmc.dialect;
    let mut seen = call.state.updater.seen(call.now);
    let Some(image) = seen.find(|image| image.id == call.names[0]) else {
        // Today's bmcweb says 400 here.
        return if dialect.dbus_updater {
            redfish::error(400, "ResourceMissingAtURI", &[&call.request.path])
        } else {
            redfish::missing(call.request)
        };
    };
    let state = match image.activation {
        Activation::Active => "Enabled",
        Activation::Activating => "Updating",
        _ => "Disabled",
    };
    let related = if image.purpose == "BMC" {
        format!("/redfish/v1/Managers/{}", dialect.manager)
    } else {
        format!("/redfish/v1/Systems/{}/Bios", dialect.system)
    };
    let word = if dialect.apply_patch {
        "update"
    } else {
        "image"
    };
    Answer::json(
        200,
        &json!({
            "@odata.id": format!("{INVENTORY}/{}", image.id),
            "@odata.type": "#SoftwareInventory.v1_1_0.SoftwareInventory",
            "Id": image.id,
            "Name": "Software Inventory",
            "Description": format!("{} {word}", image.purpose),
            "Version": image.version,
            "Updateable": true,
            "RelatedItem": [link(related)],
            "RelatedItem@odata.count": 1,
            "Status": {"Health": "OK", "HealthRollup": "OK", "State": state},
        }),
    )
}

/// `PATCH Managers/bmc`: another image is to run, and the BMC reboots for it.
pub(super) fn choose(call: &mut Call<'_>) -> Answer {
    if call.names[0] != call.bmc.dialect.manager {
        return redfish::missing(call.request);
    }
    let asked = call.body["Links"]["ActiveSoftwareImage"]["@odata.id"]
        .as_str()
        .unwrap_or_default();
    let id = asked.rsplit('/').next().unwrap_or_default().to_string();
    let written = call
        .state
        .updater
        .by_id(&id)
        .is_some_and(|image| image.activation == Activation::Active);
    if !written {
        return redfish::error(400, "PropertyValueNotInList", &[&id, "@odata.id"]);
    }
    call.state.updater.first(&id);
    call.reboot();
    Answer::json(
        200,
        &json!({"@Message.ExtendedInfo": [redfish::message("Success", &[])]}),
    )
}
