//! The generations of BMC software, as a table.

use serde::{Deserialize, Serialize};

use crate::phase::{self, Course};

/// What a BMC speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flavour {
    /// phosphor-rest-server: OpenBMC REST only (OP910, OP920).
    PhosphorRest,
    /// bmcweb of 2019 (OP940): REST, login with a message, Redfish with the old URIs.
    #[serde(rename = "bmcweb-2019")]
    Bmcweb2019,
    /// bmcweb of late 2023: REST with token logins, Redfish with multipart push.
    #[serde(rename = "bmcweb-2023")]
    Bmcweb2023,
    /// bmcweb of 2026 as it is built by default: Redfish only.
    #[serde(rename = "bmcweb-2026")]
    Bmcweb2026,
    /// The same with its REST option: strict login, attributes cannot be written.
    #[serde(rename = "bmcweb-2026-rest")]
    Bmcweb2026Rest,
    /// Redfish of a vendor: other names, other session path, sessions only, absolute `Location`s.
    VendorRedfish,
}

/// What the generations differ in.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// OpenBMC REST is there.
    pub(crate) rest: bool,
    /// Redfish is there.
    pub(crate) redfish: bool,
    pub(crate) login: Login,
    /// Session cookie.
    pub(crate) cookie: &'static str,
    /// `X-XSRF-TOKEN` belongs to cookies.
    pub(crate) xsrf: bool,
    /// HTTP Basic is accepted.
    pub(crate) basic: bool,
    /// Errors of the server itself have the REST envelope; else an empty body.
    pub(crate) envelope: bool,
    /// `PUT .../attr/...` is broken (500).
    pub(crate) attr_put_broken: bool,
    /// How many sessions are kept.
    pub(crate) sessions: usize,
    /// Sessions outlive a reboot of the BMC.
    pub(crate) sessions_survive: bool,
    pub(crate) system: &'static str,
    pub(crate) manager: &'static str,
    pub(crate) chassis: &'static str,
    /// Where sessions are made.
    pub(crate) session_path: &'static str,
    /// Reset types are in a ResetActionInfo resource; else in the action.
    pub(crate) action_info: bool,
    /// PowerState also says PoweringOn and PoweringOff.
    pub(crate) powering: bool,
    /// Status of an accepted PATCH of the boot settings.
    pub(crate) patched: u16,
    /// Boot targets that are offered.
    pub(crate) targets: &'static [&'static str],
    /// Longest image.
    pub(crate) image_limit: Option<u64>,
    pub(crate) too_large: TooLarge,
    /// Today's updater: 202 at once, refusals in the task.
    pub(crate) dbus_updater: bool,
    /// Where an image is pushed.
    pub(crate) push: &'static str,
    pub(crate) multipart: Option<&'static str>,
    /// Where a task's monitor is; `*` is the number.
    pub(crate) monitor: &'static str,
    /// The apply time of a push can be set.
    pub(crate) apply_patch: bool,
    /// Image ids differ from BMC to BMC and from upload to upload.
    pub(crate) salted: bool,
    /// How it answers while it starts.
    pub(crate) course: Course,
}

/// What becomes of an image that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooLarge {
    /// The connection is reset.
    Closes,
    /// 413.
    Says,
}

/// What `/login` takes and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// Array; answers a message.
    Message,
    /// Array or names; a message for the array, a token for names.
    Both,
    /// Array or names; a token.
    Token,
    /// Names only; a token.
    Strict,
    /// There is none.
    None,
}

const OPENBMC: &[&str] = &["None", "Pxe", "Hdd", "Cd", "Diags", "BiosSetup", "Usb"];

static PHOSPHOR_REST: Dialect = Dialect {
    rest: true,
    redfish: false,
    login: Login::Message,
    cookie: "sid",
    xsrf: false,
    basic: false,
    envelope: true,
    attr_put_broken: false,
    sessions: 16,
    sessions_survive: false,
    system: "system",
    manager: "bmc",
    chassis: "chassis",
    session_path: "/redfish/v1/SessionService/Sessions",
    action_info: false,
    powering: false,
    patched: 204,
    targets: OPENBMC,
    image_limit: None,
    too_large: TooLarge::Closes,
    dbus_updater: false,
    push: "/redfish/v1/UpdateService",
    multipart: None,
    monitor: "/redfish/v1/TaskService/Tasks/*/Monitor",
    apply_patch: true,
    salted: false,
    course: phase::OLD,
};

static BMCWEB_2019: Dialect = Dialect {
    redfish: true,
    login: Login::Both,
    cookie: "SESSION",
    xsrf: true,
    basic: true,
    envelope: false,
    sessions: 64,
    patched: 200,
    image_limit: Some(31_457_280),
    ..PHOSPHOR_REST
};

static BMCWEB_2023: Dialect = Dialect {
    login: Login::Token,
    action_info: true,
    powering: true,
    patched: 204,
    push: "/redfish/v1/UpdateService/update",
    multipart: Some("/redfish/v1/UpdateService/update"),
    salted: true,
    ..BMCWEB_2019
};

static BMCWEB_2026: Dialect = Dialect {
    rest: false,
    login: Login::Strict,
    cookie: "BMCWEB-SESSION",
    sessions_survive: true,
    too_large: TooLarge::Says,
    dbus_updater: true,
    multipart: Some("/redfish/v1/UpdateService/update-multipart"),
    monitor: "/redfish/v1/TaskService/TaskMonitors/*",
    apply_patch: false,
    course: phase::NEW,
    ..BMCWEB_2023
};

static BMCWEB_2026_REST: Dialect = Dialect {
    rest: true,
    attr_put_broken: true,
    ..BMCWEB_2026
};

static VENDOR_REDFISH: Dialect = Dialect {
    rest: false,
    redfish: true,
    login: Login::None,
    cookie: "sessionKey",
    basic: false,
    sessions_survive: false,
    system: "437XR1138R2",
    manager: "BMC.1",
    chassis: "1U",
    session_path: "/redfish/v1/Sessions",
    action_info: false,
    powering: true,
    patched: 200,
    targets: &["None", "Pxe", "Hdd", "UefiTarget"],
    course: phase::OLD,
    ..BMCWEB_2023
};

impl Flavour {
    /// Every one.
    pub const ALL: [Flavour; 6] = [
        Flavour::PhosphorRest,
        Flavour::Bmcweb2019,
        Flavour::Bmcweb2023,
        Flavour::Bmcweb2026,
        Flavour::Bmcweb2026Rest,
        Flavour::VendorRedfish,
    ];

    pub(crate) fn dialect(self) -> &'static Dialect {
        match self {
            Flavour::PhosphorRest => &PHOSPHOR_REST,
            Flavour::Bmcweb2019 => &BMCWEB_2019,
            Flavour::Bmcweb2023 => &BMCWEB_2023,
            Flavour::Bmcweb2026 => &BMCWEB_2026,
            Flavour::Bmcweb2026Rest => &BMCWEB_2026_REST,
            Flavour::VendorRedfish => &VENDOR_REDFISH,
        }
    }
}
