//! OpenBMC REST: state objects and their transitions.

use serde_json::{Map, Value, json};

use super::{Call, rest};
use crate::message::Answer;
use crate::{Order, Power};

const ROOT: &str = "/xyz/openbmc_project/state";
const STATE: &str = "xyz.openbmc_project.State";

pub(super) fn enumerate(call: &mut Call<'_>) -> Answer {
    let mut all = Map::new();
    for name in ["bmc0", "chassis0", "host0"] {
        if let Some(value) = properties(call, name) {
            all.insert(format!("{ROOT}/{name}"), value);
        }
    }
    rest::data(Value::Object(all))
}

pub(super) fn list(_: &mut Call<'_>) -> Answer {
    let names = ["bmc0", "chassis0", "host0"].map(|name| format!("{ROOT}/{name}"));
    rest::data(json!(names))
}

pub(super) fn object(call: &mut Call<'_>) -> Answer {
    match properties(call, &call.names[0]) {
        Some(value) => rest::data(value),
        None => rest::missing(&call.request.path),
    }
}

pub(super) fn attribute(call: &mut Call<'_>) -> Answer {
    let Some(object) = properties(call, &call.names[0]) else {
        return rest::missing(&call.request.path);
    };
    match object.get(&call.names[1]) {
        Some(value) => rest::data(value.clone()),
        None => rest::error(404, "The specified property cannot be found"),
    }
}

pub(super) fn set(call: &mut Call<'_>) -> Answer {
    if let Err(answer) = rest::written(call) {
        return answer;
    }
    let asked = call.body["data"].as_str().unwrap_or_default().to_string();
    let word = asked.rsplit('.').next().unwrap_or_default().to_string();
    let order = match (
        call.names[0].as_str(),
        call.names[1].as_str(),
        word.as_str(),
    ) {
        ("bmc0", "RequestedBMCTransition", "Reboot") => {
            call.reboot();
            return rest::data(Value::Null);
        }
        ("chassis0", "RequestedPowerTransition", "Off") => Order::ForceOff,
        ("chassis0", "RequestedPowerTransition", "On") => Order::On,
        ("host0", "RequestedHostTransition", "On") => Order::On,
        ("host0", "RequestedHostTransition", "Off") => Order::GracefulShutdown,
        ("host0", "RequestedHostTransition", "Reboot" | "GracefulWarmReboot") => {
            Order::GracefulRestart
        }
        ("host0", "RequestedHostTransition", "ForceWarmReboot") => Order::ForceRestart,
        ("bmc0" | "chassis0" | "host0", _, _) => {
            return rest::error(
                403,
                &format!("The specified property cannot be set: {asked}"),
            );
        }
        _ => return rest::missing(&call.request.path),
    };
    call.order(order);
    rest::data(Value::Null)
}

fn properties(call: &Call<'_>, name: &str) -> Option<Value> {
    let power = call.said_power();
    let value = match name {
        "bmc0" => {
            let state = if call.ready() { "Ready" } else { "NotReady" };
            json!({
                "CurrentBMCState": format!("{STATE}.BMC.BMCState.{state}"),
                "RequestedBMCTransition": format!("{STATE}.BMC.Transition.None"),
            })
        }
        "chassis0" => {
            let word = match &power {
                Ok(Power::Off | Power::PoweringOn) => "Off",
                Ok(Power::On | Power::PoweringOff) => "On",
                Err(lie) => lie,
            };
            json!({
                "CurrentPowerState": format!("{STATE}.Chassis.PowerState.{word}"),
                "RequestedPowerTransition": format!("{STATE}.Chassis.Transition.{}", asked(&power)),
            })
        }
        "host0" => {
            let word = match &power {
                Ok(Power::Off | Power::PoweringOn) => "Off",
                Ok(Power::On | Power::PoweringOff) => "Running",
                Err(lie) => lie,
            };
            json!({
                "CurrentHostState": format!("{STATE}.Host.HostState.{word}"),
                "RequestedHostTransition": format!("{STATE}.Host.Transition.{}", asked(&power)),
            })
        }
        _ => return None,
    };
    Some(value)
}

/// Where the host is meant to go.
fn asked(power: &Result<Power, String>) -> &'static str {
    match power {
        Ok(Power::Off | Power::PoweringOff) => "Off",
        _ => "On",
    }
}
