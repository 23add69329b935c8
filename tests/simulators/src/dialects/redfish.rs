//! Redfish: the root, the collections, errors.

use serde_json::{Value, json};

use super::{Call, link};
use crate::message::{Answer, Request};

pub(super) fn versions(_: &mut Call<'_>) -> Answer {
    Answer::json(200, &json!({"v1": "/redfish/v1/"}))
}

pub(super) fn odata(_: &mut Call<'_>) -> Answer {
    Answer::json(
        200,
        &json!({"@odata.context": "/redfish/v1/$metadata", "value": [
            {"kind": "Singleton", "name": "$metadata", "url": "/redfish/v1/$metadata"}]}),
    )
}

pub(super) fn root(call: &mut Call<'_>) -> Answer {
    let dialect = call.bmc.dialect;
    Answer::json(
        200,
        &json!({
            "@odata.id": "/redfish/v1",
            "@odata.type": "#ServiceRoot.v1_15_0.ServiceRoot",
            "Id": "RootService",
            "Name": "Root Service",
            "RedfishVersion": "1.17.0",
            "UUID": format!("00000000-0000-4000-8000-{:012x}", call.bmc.number),
            "Chassis": link("/redfish/v1/Chassis"),
            "Managers": link("/redfish/v1/Managers"),
            "SessionService": link("/redfish/v1/SessionService"),
            "Systems": link("/redfish/v1/Systems"),
            "Tasks": link("/redfish/v1/TaskService"),
            "UpdateService": link("/redfish/v1/UpdateService"),
            "Links": {"Sessions": link(dialect.session_path)},
        }),
    )
}

pub(super) fn systems(call: &mut Call<'_>) -> Answer {
    let path = "/redfish/v1/Systems";
    let members = [format!("{path}/{}", call.bmc.dialect.system)];
    collection(
        path,
        "ComputerSystem",
        "Computer System Collection",
        &members,
    )
}

pub(super) fn managers(call: &mut Call<'_>) -> Answer {
    let path = "/redfish/v1/Managers";
    let members = [format!("{path}/{}", call.bmc.dialect.manager)];
    collection(path, "Manager", "Manager Collection", &members)
}

pub(super) fn chassis_all(call: &mut Call<'_>) -> Answer {
    let path = "/redfish/v1/Chassis";
    let members = [format!("{path}/{}", call.bmc.dialect.chassis)];
    collection(path, "Chassis", "Chassis Collection", &members)
}

pub(super) fn chassis(call: &mut Call<'_>) -> Answer {
    let dialect = call.bmc.dialect;
    if call.names[0] != dialect.chassis {
        return missing(call.request);
    }
    let power = call
        .said_power()
        .map_or_else(|lie| lie, |power| power.word().to_string());
    Answer::json(
        200,
        &json!({
            "@odata.id": format!("/redfish/v1/Chassis/{}", dialect.chassis),
            "@odata.type": "#Chassis.v1_22_0.Chassis",
            "Id": dialect.chassis,
            "Name": dialect.chassis,
            "ChassisType": "RackMount",
            "PowerState": power,
            "Status": {"Health": "OK", "State": "Enabled"},
            "Links": {
                "ComputerSystems": [link(format!("/redfish/v1/Systems/{}", dialect.system))],
                "ManagedBy": [link(format!("/redfish/v1/Managers/{}", dialect.manager))],
            },
        }),
    )
}

/// A collection of links.
pub(super) fn collection(path: &str, kind: &str, name: &str, members: &[String]) -> Answer {
    let links: Vec<Value> = members.iter().map(link).collect();
    Answer::json(
        200,
        &json!({
            "@odata.id": path,
            "@odata.type": format!("#{kind}Collection.{kind}Collection"),
            "Name": name,
            "Members@odata.count": links.len(),
            "Members": links,
        }),
    )
}

/// An error of Redfish's Base registry.
pub(super) fn error(status: u16, id: &str, arguments: &[&str]) -> Answer {
    let text = words(id, arguments);
    Answer::json(
        status,
        &json!({"error": {
            "code": format!("Base.1.19.{id}"),
            "message": text,
            "@Message.ExtendedInfo": [message(id, arguments)],
        }}),
    )
}

/// One message.
pub(super) fn message(id: &str, arguments: &[&str]) -> Value {
    let severity = if id == "Success" { "OK" } else { "Critical" };
    json!({
        "@odata.type": "#Message.v1_1_1.Message",
        "MessageId": format!("Base.1.19.{id}"),
        "Message": words(id, arguments),
        "MessageArgs": arguments,
        "MessageSeverity": severity,
        "Resolution": "None.",
    })
}

pub(super) fn missing(request: &Request) -> Answer {
    let name = request.path.rsplit('/').next().unwrap_or_default();
    error(404, "ResourceNotFound", &["Resource", name])
}

fn words(id: &str, arguments: &[&str]) -> String {
    let first = arguments.first().copied().unwrap_or_default();
    let second = arguments.get(1).copied().unwrap_or_default();
    match id {
        "Success" => "The request completed successfully.".to_string(),
        "ServiceTemporarilyUnavailable" => {
            format!("The service is temporarily unavailable.  Retry in {first} seconds.")
        }
        "ResourceNotFound" => {
            format!("The requested resource of type {first} named '{second}' was not found.")
        }
        "ResourceAtUriUnauthorized" => {
            format!(
                "While accessing the resource at '{first}', the service received an authorization error '{second}'."
            )
        }
        "ActionParameterNotSupported" => {
            format!(
                "The parameter {first} for the action {second} is not supported on the target resource."
            )
        }
        "ActionParameterMissing" => {
            format!(
                "The action {first} requires the parameter {second} to be present in the request body."
            )
        }
        "PropertyValueNotInList" => {
            format!(
                "The value '{first}' for the property {second} is not in the list of acceptable values."
            )
        }
        _ => format!("{id} {}", arguments.join(" "))
            .trim_end()
            .to_string(),
    }
}
