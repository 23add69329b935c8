//! What BMCs say of their firmware, read from their bytes. Pure; every text is cut and escaped where
//! it goes on, every count is bounded.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Image, TaskState};
use crate::error::tidy;
use crate::shapes::{Link, local_path};

/// Longest version, ID or state that is taken, in bytes; what is longer is no such thing.
const WORD: usize = 256;
/// Most images of one BMC.
const IMAGES: usize = 256;

/// The links of a Redfish service root that firmware needs.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Root {
    /// The update service.
    #[serde(rename = "UpdateService")]
    pub update_service: Option<Link>,
    /// The collection of managers.
    #[serde(rename = "Managers")]
    pub managers: Option<Link>,
}

/// Redfish's update service.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct UpdateService {
    /// The largest archive that it takes, in bytes.
    #[serde(rename = "MaxImageSizeBytes")]
    pub limit: Option<u64>,
    #[serde(rename = "HttpPushUri")]
    push: Option<String>,
    #[serde(rename = "MultipartHttpPushUri")]
    multipart: Option<String>,
    #[serde(rename = "HttpPushUriOptions")]
    options: Option<PushOptions>,
    #[serde(rename = "Actions")]
    actions: Option<UpdateActions>,
    /// The images.
    #[serde(rename = "FirmwareInventory")]
    pub inventory: Option<Link>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct UpdateActions {
    #[serde(rename = "#UpdateService.SimpleUpdate")]
    simple: Option<SimpleUpdate>,
}

/// The action by which a BMC fetches an archive.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SimpleUpdate {
    target: Option<String>,
    #[serde(rename = "TransferProtocol@Redfish.AllowableValues")]
    protocols: Option<Vec<String>>,
    #[serde(rename = "@Redfish.OperationApplyTimeSupport")]
    apply: Option<Value>,
}

impl SimpleUpdate {
    /// Where it is asked for.
    pub fn path(&self) -> Option<String> {
        local_path(self.target.as_deref()?)
    }

    /// It fetches by this protocol (`HTTP`), or does not say by which.
    pub fn fetches_by(&self, protocol: &str) -> bool {
        let protocols = self.protocols.as_ref();
        protocols.is_none_or(|all| all.iter().any(|one| one == protocol))
    }

    /// It can be told to wait for the next reset.
    pub fn waits(&self) -> bool {
        self.apply.is_some()
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
struct PushOptions {
    #[serde(rename = "HttpPushUriApplyTime")]
    apply: Option<ApplyTime>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ApplyTime {
    #[serde(rename = "ApplyTime")]
    time: Option<String>,
}

impl UpdateService {
    /// Where archives are pushed in parts, with parameters.
    pub fn multipart(&self) -> Option<String> {
        local_path(self.multipart.as_deref()?)
    }

    /// Where archives are pushed as they are.
    pub fn push(&self) -> Option<String> {
        local_path(self.push.as_deref()?)
    }

    /// How archives are fetched, where none can be pushed.
    pub fn pull(&self) -> Option<&SimpleUpdate> {
        let none = self.multipart().is_none() && self.push().is_none();
        let simple = self.actions.as_ref()?.simple.as_ref()?;
        (none && simple.path().is_some()).then_some(simple)
    }

    /// When a plain push takes effect, where that is told: then it can be changed, too.
    pub fn apply_time(&self) -> Option<&str> {
        self.options.as_ref()?.apply.as_ref()?.time.as_deref()
    }

    /// The BMC restarts by itself once an archive is written: it knows no multipart push, and no
    /// apply time that could be changed.
    pub fn by_itself(&self) -> bool {
        if let Some(pull) = self.pull() {
            return !pull.waits();
        }
        self.multipart().is_none() && self.apply_time().is_none()
    }
}

/// A Redfish manager: the BMC itself.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Manager {
    #[serde(rename = "FirmwareVersion")]
    version: Option<String>,
    #[serde(rename = "Status")]
    status: Option<Status>,
    #[serde(rename = "Links")]
    links: Option<ManagerLinks>,
    #[serde(rename = "Actions")]
    actions: Option<ManagerActions>,
    #[serde(rename = "ManagerDiagnosticData")]
    diagnostics: Option<Link>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Status {
    #[serde(rename = "State")]
    state: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ManagerLinks {
    #[serde(rename = "ActiveSoftwareImage")]
    active: Option<Link>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ManagerActions {
    #[serde(rename = "#Manager.Reset")]
    reset: Option<crate::shapes::Reset>,
}

impl Manager {
    /// The version that runs.
    pub fn version(&self) -> Option<String> {
        word(self.version.as_deref())
    }

    /// It has started, or does not say otherwise.
    pub fn ready(&self) -> bool {
        let state = self
            .status
            .as_ref()
            .and_then(|status| status.state.as_deref());
        matches!(state, None | Some("Enabled"))
    }

    /// The image that runs.
    pub fn active(&self) -> Option<String> {
        self.links.as_ref()?.active.as_ref()?.path()
    }

    /// Where it tells how it is itself.
    pub fn diagnostics(&self) -> Option<String> {
        self.diagnostics.as_ref()?.path()
    }

    /// Its reset action.
    pub fn reset(&self) -> Option<&crate::shapes::Reset> {
        self.actions.as_ref()?.reset.as_ref()
    }
}

/// What a manager says of its own state.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Diagnostics {
    #[serde(rename = "MemoryStatistics")]
    memory: Option<Value>,
}

impl Diagnostics {
    /// Bytes of memory that it has to spare. Levels that have not measured yet say 0 or null.
    pub fn memory(&self) -> Option<u64> {
        let available = self.memory.as_ref()?.get("AvailableBytes")?;
        available.as_u64().filter(|bytes| *bytes > 0)
    }
}

/// One entry of the firmware inventory.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Inventory {
    #[serde(rename = "Id")]
    id: Option<String>,
    #[serde(rename = "Version")]
    version: Option<String>,
    #[serde(rename = "Description")]
    description: Option<String>,
    #[serde(rename = "Status")]
    status: Option<Status>,
    #[serde(rename = "RelatedItem", default)]
    related: Vec<Link>,
}

impl Inventory {
    /// The image that it describes. None without an ID that could be asked for again.
    pub fn image(&self) -> Option<Image> {
        let id = word(self.id.as_deref()).filter(|id| is_id(id))?;
        let state = self
            .status
            .as_ref()
            .and_then(|status| word(status.state.as_deref()));
        Some(Image {
            purpose: self.purpose(&id),
            version: word(self.version.as_deref()),
            activation: state.map(|state| match state.as_str() {
                "Enabled" => "Active".to_string(),
                "Updating" => "Activating".to_string(),
                "StandbySpare" => "Staged".to_string(),
                _ => state,
            }),
            id,
            ..Image::default()
        })
    }

    /// `BMC`, `Host`, or the ID of something else.
    fn purpose(&self, id: &str) -> String {
        let description = self.description.as_deref().unwrap_or_default();
        let related: Vec<String> = self.related.iter().filter_map(Link::path).collect();
        let about = |part: &str| related.iter().any(|path| path.contains(part));
        if description.starts_with("BMC ") || (about("/Managers/") && !about("/Systems/")) {
            "BMC".to_string()
        } else if description.starts_with("Host ") || about("/Systems/") {
            "Host".to_string()
        } else {
            id.to_string()
        }
    }
}

/// A Redfish task.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Task {
    #[serde(rename = "@odata.id")]
    own: Option<String>,
    #[serde(rename = "TaskState")]
    state: Option<String>,
    #[serde(rename = "TaskStatus")]
    status: Option<String>,
    #[serde(rename = "PercentComplete")]
    percent: Option<u64>,
    #[serde(rename = "Messages", default)]
    messages: Vec<Value>,
}

impl Task {
    /// Its own path, if this is a task at all.
    pub fn path(&self) -> Option<String> {
        self.state.as_ref()?;
        local_path(self.own.as_deref()?)
    }

    /// How it is.
    pub fn judge(&self) -> TaskState {
        let state = self.state.as_deref().unwrap_or("no state");
        let good = matches!(self.status.as_deref(), None | Some("OK"));
        match state {
            // Stopping: written, and waits for the reset.
            "Completed" | "Stopping" if good => TaskState::Done,
            "Completed" | "Stopping" | "Exception" | "Killed" | "Cancelled" | "Cancelling"
            | "Interrupted" => TaskState::Broken(self.words(state)),
            _ => TaskState::Running(
                self.percent
                    .and_then(|percent| u8::try_from(percent.min(100)).ok()),
            ),
        }
    }

    fn words(&self, state: &str) -> String {
        let last = self
            .messages
            .iter()
            .rev()
            .take(8)
            .find_map(|message| message.get("Message")?.as_str());
        match last {
            Some(text) => format!("task {}: {}", tidy(state), tidy(text)),
            None => format!("task {}", tidy(state)),
        }
    }
}

/// The images in OpenBMC REST's `software/enumerate`, by their last path part.
///
/// # Errors
/// Why it is no such list.
pub fn rest_images(data: &Value) -> Result<Vec<Image>, String> {
    let objects = data.as_object().ok_or("the software list is no object")?;
    let functional = endpoints(objects, "/functional");
    let mut images = Vec::new();
    for (path, object) in objects.iter().take(IMAGES * 4) {
        let (Some(id), Some(object)) = (path.rsplit('/').next(), object.as_object()) else {
            continue;
        };
        let text = |key: &str| word(object.get(key).and_then(Value::as_str));
        let last = |key: &str| text(key).and_then(|name| name.rsplit('.').next().map(String::from));
        let small = |key: &str| {
            object
                .get(key)
                .and_then(Value::as_u64)
                .and_then(|value| u8::try_from(value).ok())
        };
        if !is_id(id) || text("Version").is_none() || images.len() >= IMAGES {
            continue;
        }
        images.push(Image {
            id: id.to_string(),
            purpose: last("Purpose").unwrap_or_default(),
            version: text("Version"),
            activation: last("Activation"),
            priority: small("Priority"),
            running: functional.as_ref().map(|paths| paths.contains(path)),
            extended: text("ExtendedVersion"),
            progress: small("Progress"),
        });
    }
    Ok(images)
}

/// Whether the BMC is ready, in OpenBMC REST's `state/enumerate`; the host's power is asked elsewhere.
///
/// # Errors
/// Why it is no such list.
pub fn rest_ready(data: &Value) -> Result<bool, String> {
    let objects = data.as_object().ok_or("the state list is no object")?;
    let bmc = objects.iter().find(|(path, _)| path.ends_with("/bmc0"));
    let state = bmc.and_then(|(_, object)| object.get("CurrentBMCState")?.as_str());
    Ok(state.is_some_and(|state| state.ends_with(".Ready")))
}

/// An ID that may stand in a path.
pub fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !id.is_empty() && id.len() <= 128 && !id.starts_with('.') && id.bytes().all(plain)
}

fn endpoints(objects: &Map<String, Value>, end: &str) -> Option<Vec<String>> {
    let (_, found) = objects.iter().find(|(path, _)| path.ends_with(end))?;
    let list = found.get("endpoints")?.as_array()?;
    let paths = list.iter().take(IMAGES).filter_map(Value::as_str);
    Some(paths.map(String::from).collect())
}

/// A text that is not too long to be what it should be.
pub(super) fn word(text: Option<&str>) -> Option<String> {
    let text = text?;
    (!text.is_empty() && text.len() <= WORD && !text.chars().any(char::is_control))
        .then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::shapes::read;

    #[test]
    fn a_witherspoons_list() {
        let data = json!({
            "/xyz/openbmc_project/software": {"FieldModeEnabled": false},
            "/xyz/openbmc_project/software/46e65782": {
                "Activation": "xyz.openbmc_project.Software.Activation.Activations.Active", "ExtendedVersion": "",
                "Priority": 0, "Purpose": "xyz.openbmc_project.Software.Version.VersionPurpose.BMC", "Version": "ibm-v2"},
            "/xyz/openbmc_project/software/d8368f51": {
                "Activation": "xyz.openbmc_project.Software.Activation.Activations.Activating", "Progress": 30,
                "Purpose": "xyz.openbmc_project.Software.Version.VersionPurpose.Host", "Version": "IBM-1"},
            "/xyz/openbmc_project/software/functional": {"endpoints": ["/xyz/openbmc_project/software/46e65782"]}
        });
        let images = rest_images(&data).unwrap();
        assert_eq!(images.len(), 2);
        assert_eq!(
            (
                images[0].purpose.as_str(),
                images[0].running,
                images[0].priority
            ),
            ("BMC", Some(true), Some(0))
        );
        assert_eq!(
            (images[1].activation.as_deref(), images[1].progress),
            (Some("Activating"), Some(30))
        );
    }

    #[test]
    fn tasks_are_good_only_when_everything_says_so() {
        let judge = |value: Value| serde_json::from_value::<Task>(value).unwrap().judge();
        assert_eq!(
            judge(json!({"TaskState": "Completed", "TaskStatus": "OK"})),
            TaskState::Done
        );
        assert!(matches!(
            judge(json!({"TaskState": "Completed", "TaskStatus": "Critical"})),
            TaskState::Broken(_)
        ));
        assert!(matches!(
            judge(json!({"TaskState": "Exception", "TaskStatus": "Warning"})),
            TaskState::Broken(_)
        ));
        assert_eq!(
            judge(json!({"TaskState": "Running", "PercentComplete": 90})),
            TaskState::Running(Some(90))
        );
        assert_eq!(judge(json!({})), TaskState::Running(None));
    }

    #[test]
    fn free_memory_is_what_is_measured() {
        let memory = |value: Value| {
            serde_json::from_value::<Diagnostics>(value)
                .unwrap()
                .memory()
        };
        let said = |value: Value| memory(json!({"MemoryStatistics": {"AvailableBytes": value}}));
        assert_eq!(said(json!(300_000_000)), Some(300_000_000));
        for nothing in [json!(0), json!(null), json!(-1), json!("many")] {
            assert_eq!(said(nothing), None);
        }
        assert_eq!(memory(json!({"MemoryStatistics": []})), None);
        assert_eq!(memory(json!({})), None);
    }

    #[test]
    fn inventories_of_several_levels() {
        let image = |value: Value| serde_json::from_value::<Inventory>(value).unwrap().image();
        let old = image(json!({"Id": "1a", "Description": "Host update", "Version": "v", "Status": {"State": "Updating"}})).unwrap();
        assert_eq!(
            (old.purpose.as_str(), old.activation.as_deref()),
            ("Host", Some("Activating"))
        );
        let other = image(json!({"Id": "bmc_x", "Version": "v", "RelatedItem": [{"@odata.id": "/redfish/v1/Managers/bmc"}]})).unwrap();
        assert_eq!(other.purpose, "BMC");
        assert_eq!(image(json!({"Id": "../../etc"})), None);
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(text in "\\PC{0,200}") {
            let body = format!("{{\"Version\": {}}}", json!(text));
            if let Ok(service) = read::<UpdateService>(body.as_bytes()) {
                prop_assert!(service.by_itself());
            }
            let data = json!({ &text: {"Version": &text, "Purpose": &text}, "/functional": {"endpoints": [&text]} });
            for image in rest_images(&data).unwrap() {
                prop_assert!(is_id(&image.id));
            }
        }
    }
}
