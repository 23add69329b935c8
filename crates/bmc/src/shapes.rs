//! What BMCs say, read from their bytes: the parsers of everything that a BMC sends.
//!
//! Pure functions. What a field is not asked for is not looked at; a field that is asked for and has
//! another type than it should is an error.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::PowerState;
use crate::error::tidy;

/// Most members of a collection that are looked at.
const MEMBERS: usize = 64;
/// Longest URI that is taken.
const URI: usize = 2048;
/// Longest state that is passed on, in characters.
const STATE: usize = 60;

/// A reference to another resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Link {
    #[serde(rename = "@odata.id")]
    id: Option<String>,
}

impl Link {
    /// Its path on the connection that it came over.
    pub fn path(&self) -> Option<String> {
        local_path(self.id.as_deref()?)
    }
}

/// Redfish's service root.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Root {
    /// The collection of computer systems.
    #[serde(rename = "Systems")]
    pub systems: Option<Link>,
    /// The update service.
    #[serde(rename = "UpdateService")]
    pub update_service: Option<Link>,
    /// The collection of managers.
    #[serde(rename = "Managers")]
    pub managers: Option<Link>,
    /// The session service.
    #[serde(rename = "SessionService")]
    pub session_service: Option<Link>,
    #[serde(rename = "Links")]
    links: Option<RootLinks>,
    #[serde(rename = "RedfishVersion")]
    version: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct RootLinks {
    #[serde(rename = "Sessions")]
    sessions: Option<Link>,
}

impl Root {
    /// True if this can be a service root at all, and not some other server's JSON.
    pub fn is_redfish(&self) -> bool {
        self.systems.is_some() || self.version.is_some()
    }

    /// Where sessions are made, if the root says it itself.
    pub fn sessions(&self) -> Option<String> {
        self.links.as_ref()?.sessions.as_ref()?.path()
    }
}

/// A session service.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SessionService {
    /// Where sessions are made.
    #[serde(rename = "Sessions")]
    pub sessions: Option<Link>,
}

/// A collection.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Collection {
    #[serde(rename = "Members", default)]
    members: Vec<Link>,
}

impl Collection {
    /// The paths of its members, as many as anybody has.
    pub fn paths(&self) -> Vec<String> {
        let members = self.members.iter().take(MEMBERS);
        members.filter_map(Link::path).collect()
    }
}

/// A computer system.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct System {
    #[serde(rename = "Id")]
    id: Option<String>,
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "HostName")]
    host_name: Option<String>,
    #[serde(rename = "PowerState")]
    power: Option<String>,
    #[serde(rename = "Boot")]
    boot: Option<Boot>,
    #[serde(rename = "Actions")]
    actions: Option<Actions>,
    /// Whatever it is: power does not depend on it.
    #[serde(rename = "BiosVersion", default)]
    bios: Value,
    #[serde(rename = "@odata.etag")]
    tag: Option<String>,
}

/// Its boot override.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Boot {
    /// `Pxe`, `Hdd`, `None`, ...
    #[serde(rename = "BootSourceOverrideTarget")]
    pub target: Option<String>,
    /// `Once`, `Continuous`, `Disabled`.
    #[serde(rename = "BootSourceOverrideEnabled")]
    pub enabled: Option<String>,
    /// The targets that it takes, where it says so.
    #[serde(rename = "BootSourceOverrideTarget@Redfish.AllowableValues")]
    pub allowed: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Actions {
    #[serde(rename = "#ComputerSystem.Reset")]
    reset: Option<Reset>,
}

/// The reset action.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Reset {
    target: Option<String>,
    /// The types that it takes, where it says so here.
    #[serde(rename = "ResetType@Redfish.AllowableValues")]
    pub allowed: Option<Vec<String>>,
    #[serde(rename = "@Redfish.ActionInfo")]
    info: Option<String>,
}

impl Reset {
    /// Where it is posted to.
    pub fn path(&self) -> Option<String> {
        local_path(self.target.as_deref()?)
    }

    /// Where the types are told, if not here.
    pub fn info(&self) -> Option<String> {
        local_path(self.info.as_deref()?)
    }
}

impl System {
    /// Its power. A system that says nothing of it is `Unknown`.
    pub fn power(&self) -> PowerState {
        match self.power.as_deref() {
            Some("On") => PowerState::On,
            Some("Off") => PowerState::Off,
            Some("PoweringOn") => PowerState::PoweringOn,
            Some("PoweringOff") => PowerState::PoweringOff,
            other => unknown(other),
        }
    }

    /// Its boot override.
    pub fn boot(&self) -> Boot {
        self.boot.clone().unwrap_or_default()
    }

    /// Its reset action. A system without one is not powered through this BMC (a hypervisor's or a
    /// board's own entry).
    pub fn reset(&self) -> Option<&Reset> {
        self.actions.as_ref()?.reset.as_ref()
    }

    /// The version of its own firmware.
    pub fn bios(&self) -> Option<&str> {
        self.bios.as_str()
    }

    /// Its version tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// True if one of its names is `node`, or begins with `node` and a dot.
    pub fn is_called(&self, node: &str) -> bool {
        [&self.id, &self.name, &self.host_name]
            .into_iter()
            .flatten()
            .any(|name| {
                let short = name.split('.').next().unwrap_or(name);
                name.eq_ignore_ascii_case(node) || short.eq_ignore_ascii_case(node)
            })
    }
}

/// The values of `ResetType` in an ActionInfo.
pub fn reset_types(info: &Value) -> Option<Vec<String>> {
    let parameters = info.get("Parameters")?.as_array()?;
    let of_reset = parameters
        .iter()
        .find(|one| one.get("Name").and_then(Value::as_str) == Some("ResetType"))?;
    let values = of_reset.get("AllowableValues")?.as_array()?;
    let values = values.iter().take(MEMBERS).filter_map(Value::as_str);
    Some(values.map(String::from).collect())
}

/// Bytes into a shape.
///
/// # Errors
/// What is wrong, as text to be shown; a page of HTML is called that.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    // An array would fill a struct's fields in their order.
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err("it is empty".to_string()),
        Some(b'{') => serde_json::from_slice(body).map_err(|why| why.to_string()),
        Some(b'<') => Err("it is HTML or XML, not JSON".to_string()),
        Some(_) => Err("it is no JSON object".to_string()),
    }
}

/// The text of a refusal, in any of the forms that BMCs have for it; empty if there is none.
pub fn refusal(body: &[u8]) -> String {
    let Ok(value) = read::<Value>(body) else {
        return String::new();
    };
    let texts = [
        "/error/@Message.ExtendedInfo/0/Message",
        "/error/message",
        "/data/description",
        "/message",
    ];
    let found = texts
        .iter()
        .find_map(|at| value.pointer(at)?.as_str().filter(|text| !text.is_empty()));
    found.map(tidy).unwrap_or_default()
}

/// True if a login was taken, but only to change the password.
pub fn wants_new_password(body: &[u8]) -> bool {
    let value: Value = read(body).unwrap_or_default();
    let messages = value.get("@Message.ExtendedInfo").and_then(Value::as_array);
    messages.into_iter().flatten().any(|one| {
        let id = one.get("MessageId").and_then(Value::as_str);
        id.is_some_and(|id| id.rsplit('.').next() == Some("PasswordChangeRequired"))
    })
}

/// `data` of OpenBMC's REST envelope.
///
/// # Errors
/// As [`read`]; an envelope without `data`, or one that says `error`.
pub fn rest_data(body: &[u8]) -> Result<Value, String> {
    let mut envelope: Value = read(body)?;
    if envelope.get("status").and_then(Value::as_str) == Some("error") {
        return Err(format!("it says error: {}", refusal(body)));
    }
    envelope
        .get_mut("data")
        .map(Value::take)
        .ok_or_else(|| "it has no data".to_string())
}

/// The chassis' power in OpenBMC's REST, from the object's `CurrentPowerState`.
///
/// # Errors
/// Why it says nothing of it.
pub fn rest_power(body: &[u8]) -> Result<PowerState, String> {
    let data = rest_data(body)?;
    let Some(state) = data.as_str() else {
        return Err("the power state is no text".to_string());
    };
    Ok(match state.rsplit('.').next() {
        Some("On") => PowerState::On,
        Some("Off") => PowerState::Off,
        Some("TransitioningToOn") => PowerState::PoweringOn,
        Some("TransitioningToOff") => PowerState::PoweringOff,
        other => unknown(other),
    })
}

/// What `ipmitool chassis power status` printed.
///
/// # Errors
/// If it is not that.
pub fn ipmi_power(output: &[u8]) -> Result<PowerState, String> {
    let text = String::from_utf8_lossy(output);
    let said = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Chassis Power is "));
    match said.map(str::trim) {
        Some("on") => Ok(PowerState::On),
        Some("off") => Ok(PowerState::Off),
        Some(other) => Ok(unknown(Some(other))),
        None => Err("no power state in what ipmitool printed".to_string()),
    }
}

/// A URI from outside as a path on the connection that it came over: scheme and host are dropped,
/// whatever they say. None if it is none, or could break out of a request line.
pub fn local_path(uri: &str) -> Option<String> {
    let after_host = |rest: &str| Some(rest.get(rest.find('/')?..)?.to_string());
    let path = if let Some((scheme, rest)) = uri.split_once("://")
        && !scheme.contains('/')
    {
        after_host(rest)?
    } else if let Some(rest) = uri.strip_prefix("//") {
        after_host(rest)?
    } else {
        uri.to_string()
    };
    let path = path.split('#').next().unwrap_or_default();
    let is_plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'<' | b'>' | b'\\' | b'`');
    let fits = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= URI
        && path.bytes().all(is_plain);
    fits.then(|| path.to_string())
}

fn unknown(state: Option<&str>) -> PowerState {
    let word: String = state.unwrap_or("not told").chars().take(STATE).collect();
    PowerState::Unknown(tidy(&word))
}

#[cfg(test)]
mod tests;
