//! OpenBMC REST: software objects.

use serde_json::{Map, Value, json};

use super::{Call, rest};
use crate::message::Answer;
use crate::updater::{Activation, Image};

const ROOT: &str = "/xyz/openbmc_project/software";
const SOFTWARE: &str = "xyz.openbmc_project.Software";

pub(super) fn enumerate(call: &mut Call<'_>) -> Answer {
    let mut all = Map::new();
    all.insert(ROOT.to_string(), json!({"FieldModeEnabled": false}));
    let path = |image: &Image| format!("{ROOT}/{}", image.id);
    for image in call.state.updater.seen(call.now) {
        all.insert(path(image), object(image));
    }
    let active: Vec<String> = call
        .state
        .updater
        .seen(call.now)
        .filter(|image| image.activation == Activation::Active)
        .map(path)
        .collect();
    let functional: Vec<String> = call
        .state
        .updater
        .seen(call.now)
        .filter(|image| image.functional)
        .map(path)
        .collect();
    all.insert(format!("{ROOT}/active"), json!({"endpoints": active}));
    all.insert(
        format!("{ROOT}/functional"),
        json!({"endpoints": functional}),
    );
    rest::data(Value::Object(all))
}

pub(super) fn show(call: &mut Call<'_>) -> Answer {
    match find(call) {
        Some(image) => rest::data(object(&image)),
        None => rest::missing(&call.request.path),
    }
}

pub(super) fn attribute(call: &mut Call<'_>) -> Answer {
    let Some(image) = find(call) else {
        return rest::missing(&call.request.path);
    };
    match object(&image).get(&call.names[1]) {
        Some(value) => rest::data(value.clone()),
        None => rest::error(404, "The specified property cannot be found"),
    }
}

pub(super) fn set(call: &mut Call<'_>) -> Answer {
    if let Err(answer) = rest::written(call) {
        return answer;
    }
    let id = call.names[0].clone();
    if find(call).is_none() {
        return if call.bmc.dialect.envelope {
            rest::error(
                403,
                &format!(
                    "The specified resource cannot be created: {}",
                    call.request.path
                ),
            )
        } else {
            rest::error(404, "The specified property cannot be found")
        };
    }
    let value = call.body["data"].clone();
    match call.names[1].as_str() {
        "RequestedActivation" => {
            if value
                .as_str()
                .is_some_and(|asked| asked.ends_with(".Active"))
            {
                call.state
                    .updater
                    .activate(&id, call.now, call.world.config.timing.activate);
            }
        }
        "Priority" => {
            let number = match value {
                Value::Bool(value) => Some(u8::from(value)),
                _ => value.as_u64().and_then(|value| u8::try_from(value).ok()),
            };
            match number {
                Some(0) => call.state.updater.first(&id),
                Some(number) => {
                    if let Some(image) = call.state.updater.by_id(&id) {
                        image.priority = number;
                    }
                }
                None => return rest::error(403, "The specified property cannot be set"),
            }
        }
        _ => return rest::error(403, "The specified property cannot be created"),
    }
    rest::data(Value::Null)
}

pub(super) fn delete(call: &mut Call<'_>) -> Answer {
    match find(call) {
        None => rest::missing(&call.request.path),
        Some(image) if image.functional => rest::error(404, "The specified method cannot be found"),
        Some(image) => {
            call.state.updater.images.retain(|one| one.id != image.id);
            rest::data(Value::Null)
        }
    }
}

pub(super) fn delete_all(call: &mut Call<'_>) -> Answer {
    call.state.updater.images.retain(|image| image.functional);
    rest::data(Value::Null)
}

fn find(call: &Call<'_>) -> Option<Image> {
    call.state
        .updater
        .seen(call.now)
        .find(|image| image.id == call.names[0])
        .cloned()
}

fn object(image: &Image) -> Value {
    let requested = match image.activation {
        Activation::Activating => "Active",
        _ => "None",
    };
    let mut value = json!({
        "Activation": format!("{SOFTWARE}.Activation.Activations.{:?}", image.activation),
        "ExtendedVersion": "",
        "Path": "",
        "Purpose": format!("{SOFTWARE}.Version.VersionPurpose.{}", image.purpose),
        "RequestedActivation": format!("{SOFTWARE}.Activation.RequestedActivations.{requested}"),
        "Version": image.version,
    });
    // These exist only then.
    if image.activation == Activation::Active {
        value["Priority"] = json!(image.priority);
    }
    if image.activation == Activation::Activating {
        value["Progress"] = json!(image.progress);
    }
    value
}
