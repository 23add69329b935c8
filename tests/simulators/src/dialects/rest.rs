//! OpenBMC REST: the envelope, boot settings, odds and ends.

use serde_json::{Value, json};

use super::Call;
use crate::message::{Answer, reason};

/// 200 with a value.
pub(super) fn data(value: Value) -> Answer {
    Answer::json(
        200,
        &json!({"data": value, "message": "200 OK", "status": "ok"}),
    )
}

/// An error with its description.
pub(super) fn error(status: u16, description: &str) -> Answer {
    Answer::json(
        status,
        &json!({
            "data": {"description": description},
            "message": format!("{status} {}", reason(status)),
            "status": "error",
        }),
    )
}

pub(super) fn missing(path: &str) -> Answer {
    error(
        404,
        &format!("org.freedesktop.DBus.Error.FileNotFound: path or object not found: {path}"),
    )
}

/// A value was written; some generations cannot.
pub(super) fn written(call: &Call<'_>) -> Result<(), Answer> {
    if call.bmc.dialect.attr_put_broken {
        return Err(error(500, "Invalid arg type"));
    }
    Ok(())
}

pub(super) fn nothing(_: &mut Call<'_>) -> Answer {
    data(Value::Null)
}

pub(super) fn cpu(_: &mut Call<'_>) -> Answer {
    data(json!({"Present": true, "Functional": true, "PrettyName": "", "Version": "22"}))
}

pub(super) fn motherboard(_: &mut Call<'_>) -> Answer {
    data(json!({
        "/xyz/openbmc_project/inventory/system/chassis/motherboard/cpu0":
            {"Present": true, "Functional": true, "Version": "22"}}))
}

const SOURCES: &str = "xyz.openbmc_project.Control.Boot.Source.Sources.";
const ROOT: &str = "/xyz/openbmc_project/control/host0";

/// REST's words for Redfish's boot targets.
const WORDS: &[(&str, &str)] = &[
    ("Default", "None"),
    ("Network", "Pxe"),
    ("Disk", "Hdd"),
    ("ExternalMedia", "Cd"),
    ("RemovableMedia", "Usb"),
];

pub(super) fn boot_enumerate(call: &mut Call<'_>) -> Answer {
    let mut all = serde_json::Map::new();
    for name in ["boot", "boot/one_time"] {
        all.insert(
            format!("{ROOT}/{name}"),
            settings(call, name == "boot/one_time"),
        );
    }
    data(Value::Object(all))
}

pub(super) fn boot_object(call: &mut Call<'_>) -> Answer {
    match place(call) {
        Some((once, _)) => data(settings(call, once)),
        None => missing(&call.request.path),
    }
}

pub(super) fn boot_attribute(call: &mut Call<'_>) -> Answer {
    let Some((once, Some(name))) = place(call) else {
        return missing(&call.request.path);
    };
    match settings(call, once).get(&name) {
        Some(value) => data(value.clone()),
        None => error(404, "The specified property cannot be found"),
    }
}

pub(super) fn boot_set(call: &mut Call<'_>) -> Answer {
    let Some((once, Some(name))) = place(call) else {
        return missing(&call.request.path);
    };
    if let Err(answer) = written(call) {
        return answer;
    }
    let value = call.body["data"].clone();
    match name.as_str() {
        "BootSource" => {
            let asked = value.as_str().unwrap_or_default();
            let word = asked.strip_prefix(SOURCES).unwrap_or_default();
            let Some((_, target)) = WORDS.iter().find(|(one, _)| *one == word) else {
                return error(403, &format!("Invalid value: {asked}"));
            };
            let target = (*target != "None").then(|| (*target).to_string());
            if !call.forgets_boot() {
                let boot = &mut call.state.machine.boot;
                let slot = if once {
                    &mut boot.once
                } else {
                    &mut boot.always
                };
                *slot = target;
            }
        }
        // A one-time setting is one that is enabled; disabling drops it.
        "Enabled" if once => {
            if matches!(value, Value::Bool(false)) || value == json!(0) || value == json!("0") {
                call.state.machine.boot.once = None;
            }
        }
        "BootMode" => {}
        _ => return error(403, "The specified property cannot be created"),
    }
    data(Value::Null)
}

fn settings(call: &Call<'_>, once: bool) -> Value {
    let boot = &call.state.machine.boot;
    let target = if once { &boot.once } else { &boot.always };
    let target = target.as_deref().unwrap_or("None");
    let word = WORDS.iter().find(|(_, one)| *one == target);
    let mut settings = json!({
        "BootMode": "xyz.openbmc_project.Control.Boot.Mode.Modes.Regular",
        "BootSource": format!("{SOURCES}{}", word.map_or("Default", |(word, _)| word)),
    });
    if once {
        settings["Enabled"] = json!(boot.once.is_some());
    }
    settings
}

/// One-time or not, and the attribute if one is named.
fn place(call: &Call<'_>) -> Option<(bool, Option<String>)> {
    let rest = call.request.path.strip_prefix(ROOT)?;
    let (object, attribute) = match rest.split_once("/attr/") {
        Some((object, attribute)) => (object, Some(attribute.to_string())),
        None => (rest, None),
    };
    match object {
        "/boot" => Some((false, attribute)),
        "/boot/one_time" => Some((true, attribute)),
        _ => None,
    }
}
