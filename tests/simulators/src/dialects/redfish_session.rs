//! Redfish sessions.

use serde_json::json;

use super::routes::Route;
use super::{Call, access, redfish};
use crate::Fault;
use crate::dialect::Dialect;
use crate::message::Answer;

/// Routes that depend on where a dialect keeps its sessions.
pub(super) struct Routes {
    pub(super) open: [Route; 1],
    pub(super) closed: [Route; 3],
}

const OPENBMC: &str = "/redfish/v1/SessionService/Sessions";

pub(super) fn routes(dialect: &Dialect) -> Routes {
    let (all, one) = if dialect.session_path == OPENBMC {
        (OPENBMC, "/redfish/v1/SessionService/Sessions/*")
    } else {
        ("/redfish/v1/Sessions", "/redfish/v1/Sessions/*")
    };
    Routes {
        open: [("POST", all, create)],
        closed: [
            ("GET", all, list),
            ("GET", one, show),
            ("DELETE", one, delete),
        ],
    }
}

pub(super) fn service(call: &mut Call<'_>) -> Answer {
    Answer::json(
        200,
        &json!({
            "@odata.id": "/redfish/v1/SessionService",
            "@odata.type": "#SessionService.v1_0_2.SessionService",
            "Id": "SessionService",
            "Name": "Session Service",
            "ServiceEnabled": true,
            "SessionTimeout": 1800,
            "Sessions": super::link(call.bmc.dialect.session_path),
        }),
    )
}

fn create(call: &mut Call<'_>) -> Answer {
    let path = call.bmc.dialect.session_path;
    let user = call.body["UserName"].as_str().map(String::from);
    let password = call.body["Password"].as_str().map(String::from);
    let (Some(user), Some(password)) = (user, password) else {
        return redfish::error(400, "PropertyMissing", &["UserName"]);
    };
    if call.state.rules.has(&Fault::LoginRefused) || !access::known(call.world, &user, &password) {
        return redfish::error(
            401,
            "ResourceAtUriUnauthorized",
            &[path, "Invalid username or password"],
        );
    }
    let session = call
        .state
        .sessions
        .open(call.bmc.number, call.bmc.dialect.sessions);
    let mut body = resource(path, &session.id, &user);
    if call.state.rules.has(&Fault::PasswordChangeRequired) {
        body["@Message.ExtendedInfo"] = json!([redfish::message(
            "PasswordChangeRequired",
            &["/redfish/v1/AccountService/Accounts/root"]
        )]);
    }
    let host = call.request.header("host").unwrap_or_default();
    // DSP0266 lets a service send an absolute Location; ours of a vendor does.
    let origin = match call.bmc.flavour {
        crate::Flavour::VendorRedfish => format!("https://{host}"),
        _ => String::new(),
    };
    Answer::json(201, &body)
        .with("X-Auth-Token", session.token)
        .with("Location", format!("{origin}{path}/{}", session.id))
}

fn list(call: &mut Call<'_>) -> Answer {
    let path = call.bmc.dialect.session_path;
    let members: Vec<String> = call
        .state
        .sessions
        .ids()
        .map(|id| format!("{path}/{id}"))
        .collect();
    redfish::collection(path, "Session", "Session Collection", &members)
}

fn show(call: &mut Call<'_>) -> Answer {
    if call.state.sessions.by_id(&call.names[0]).is_none() {
        return redfish::missing(call.request);
    }
    Answer::json(
        200,
        &resource(
            call.bmc.dialect.session_path,
            &call.names[0],
            &call.world.config.user,
        ),
    )
}

fn delete(call: &mut Call<'_>) -> Answer {
    if call.state.sessions.by_id(&call.names[0]).is_none() {
        return redfish::missing(call.request);
    }
    call.state.sessions.close(&call.names[0]);
    let success = json!({"@Message.ExtendedInfo": [redfish::message("Success", &[])]});
    Answer::json(200, &success)
}

fn resource(path: &str, id: &str, user: &str) -> serde_json::Value {
    json!({
        "@odata.id": format!("{path}/{id}"),
        "@odata.type": "#Session.v1_7_0.Session",
        "Id": id,
        "Name": "User Session",
        "Description": "Manager User Session",
        "UserName": user,
        "Roles": ["Administrator"],
        "ClientOriginIPAddress": "127.0.0.1",
    })
}
