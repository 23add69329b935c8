//! Which function answers which request.

use super::upload::Way;
use super::{
    Call, login, redfish, redfish_machine, redfish_session, redfish_task, redfish_update, rest,
    rest_software, rest_state,
};
use crate::dialect::{Dialect, Login};
use crate::message::{Answer, Request};

/// Answers a call.
pub(crate) type Handler = fn(&mut Call<'_>) -> Answer;

/// What is done with a request.
#[derive(Clone, Copy)]
pub(crate) enum Action {
    Call(Handler),
    /// Its body is an image.
    Upload(Way),
}

/// A route as found: what is done and what stood for its `*`s.
pub(crate) struct Found {
    pub(crate) action: Action,
    pub(crate) names: Vec<String>,
    /// Needs no login.
    pub(crate) open: bool,
}

/// Method, path (`*` is one name), function.
pub(super) type Route = (&'static str, &'static str, Handler);

/// What anybody may ask.
const OPEN_REDFISH: &[Route] = &[
    ("GET", "/redfish", redfish::versions),
    ("GET", "/redfish/v1", redfish::root),
    ("GET", "/redfish/v1/odata", redfish::odata),
];

const OPEN_REST: &[Route] = &[("POST", "/login", login::login)];

const REDFISH: &[Route] = &[
    (
        "GET",
        "/redfish/v1/SessionService",
        redfish_session::service,
    ),
    ("GET", "/redfish/v1/Systems", redfish::systems),
    ("GET", "/redfish/v1/Managers", redfish::managers),
    ("GET", "/redfish/v1/Chassis", redfish::chassis_all),
    ("GET", "/redfish/v1/Chassis/*", redfish::chassis),
    ("GET", "/redfish/v1/Systems/*", redfish_machine::system),
    ("PATCH", "/redfish/v1/Systems/*", redfish_machine::patch),
    (
        "GET",
        "/redfish/v1/Systems/*/ResetActionInfo",
        redfish_machine::action_info,
    ),
    (
        "POST",
        "/redfish/v1/Systems/*/Actions/ComputerSystem.Reset",
        redfish_machine::reset,
    ),
    ("GET", "/redfish/v1/Managers/*", redfish_machine::manager),
    ("PATCH", "/redfish/v1/Managers/*", redfish_update::choose),
    (
        "GET",
        "/redfish/v1/Managers/*/ManagerDiagnosticData",
        redfish_machine::diagnostics,
    ),
    ("GET", "/redfish/v1/UpdateService", redfish_update::service),
    ("PATCH", "/redfish/v1/UpdateService", redfish_update::patch),
    (
        "GET",
        "/redfish/v1/UpdateService/FirmwareInventory",
        redfish_update::inventory,
    ),
    (
        "GET",
        "/redfish/v1/UpdateService/FirmwareInventory/*",
        redfish_update::image,
    ),
    ("GET", "/redfish/v1/TaskService", redfish_task::service),
    ("GET", "/redfish/v1/TaskService/Tasks", redfish_task::list),
    ("GET", "/redfish/v1/TaskService/Tasks/*", redfish_task::show),
    (
        "POST",
        "/redfish/v1/Managers/*/Actions/Manager.Reset",
        redfish_machine::reset_manager,
    ),
];

const REST: &[Route] = &[
    ("POST", "/logout", login::logout),
    (
        "GET",
        "/xyz/openbmc_project/state/enumerate",
        rest_state::enumerate,
    ),
    ("GET", "/xyz/openbmc_project/state", rest_state::list),
    ("GET", "/xyz/openbmc_project/state/*", rest_state::object),
    (
        "GET",
        "/xyz/openbmc_project/state/*/attr/*",
        rest_state::attribute,
    ),
    (
        "PUT",
        "/xyz/openbmc_project/state/*/attr/*",
        rest_state::set,
    ),
    (
        "GET",
        "/xyz/openbmc_project/control/host0/enumerate",
        rest::boot_enumerate,
    ),
    (
        "GET",
        "/xyz/openbmc_project/control/host0/*",
        rest::boot_object,
    ),
    (
        "GET",
        "/xyz/openbmc_project/control/host0/*/*",
        rest::boot_object,
    ),
    (
        "GET",
        "/xyz/openbmc_project/control/host0/*/attr/*",
        rest::boot_attribute,
    ),
    (
        "PUT",
        "/xyz/openbmc_project/control/host0/*/attr/*",
        rest::boot_set,
    ),
    (
        "GET",
        "/xyz/openbmc_project/control/host0/*/*/attr/*",
        rest::boot_attribute,
    ),
    (
        "PUT",
        "/xyz/openbmc_project/control/host0/*/*/attr/*",
        rest::boot_set,
    ),
    (
        "POST",
        "/xyz/openbmc_project/dump/action/DeleteAll",
        rest::nothing,
    ),
    (
        "GET",
        "/xyz/openbmc_project/inventory/system/chassis/motherboard/cpu0",
        rest::cpu,
    ),
    (
        "GET",
        "/xyz/openbmc_project/inventory/system/chassis/motherboard/enumerate",
        rest::motherboard,
    ),
    (
        "GET",
        "/xyz/openbmc_project/software/enumerate",
        rest_software::enumerate,
    ),
    (
        "GET",
        "/xyz/openbmc_project/software/*",
        rest_software::show,
    ),
    (
        "GET",
        "/xyz/openbmc_project/software/*/attr/*",
        rest_software::attribute,
    ),
    (
        "PUT",
        "/xyz/openbmc_project/software/*/attr/*",
        rest_software::set,
    ),
    (
        "POST",
        "/xyz/openbmc_project/software/*/action/Delete",
        rest_software::delete,
    ),
    (
        "POST",
        "/xyz/openbmc_project/software/action/DeleteAll",
        rest_software::delete_all,
    ),
];

/// The route of a request, or the answer to one that has none.
pub(super) fn find(dialect: &'static Dialect, request: &Request) -> Result<Found, Answer> {
    if let Some(way) = upload(dialect, request) {
        return Ok(Found {
            action: Action::Upload(way),
            names: Vec::new(),
            open: false,
        });
    }
    let mut other_method = false;
    let mut look = |table: &[Route], open: bool| {
        for (method, pattern, handler) in table {
            let Some(names) = fits(pattern, &request.path) else {
                continue;
            };
            if *method == request.method {
                return Some(Found {
                    action: Action::Call(*handler),
                    names,
                    open,
                });
            }
            other_method = true;
        }
        None
    };
    let mut found = None;
    if dialect.redfish {
        found = look(OPEN_REDFISH, true).or_else(|| {
            let sessions = redfish_session::routes(dialect);
            look(&sessions.open, true).or_else(|| look(&sessions.closed, false))
        });
        found = found.or_else(|| look(REDFISH, false));
        let monitor: [Route; 1] = [("GET", dialect.monitor, redfish_task::monitor)];
        found = found.or_else(|| look(&monitor, false));
    }
    if found.is_none() && dialect.login != Login::None {
        found = look(OPEN_REST, true).or_else(|| look(&REST[..1], false));
    }
    if found.is_none() && dialect.rest {
        found = look(REST, false);
    }
    found.ok_or_else(|| {
        if request.path.starts_with("/redfish") && dialect.redfish {
            match other_method {
                true => redfish::error(405, "OperationNotAllowed", &[]),
                false => redfish::missing(request),
            }
        } else if dialect.rest {
            match other_method {
                true => rest::error(405, "Method Not Allowed"),
                false => rest::missing(&request.path),
            }
        } else {
            Answer::empty(404)
        }
    })
}

/// How a request sends an image, if it does.
fn upload(dialect: &Dialect, request: &Request) -> Option<Way> {
    let path = request.path.as_str();
    let kind = request.header("content-type").unwrap_or_default();
    let parts = kind.starts_with("multipart/");
    match request.method.as_str() {
        "POST"
            if dialect.redfish
                && dialect.multipart == Some(path)
                && (parts || path != dialect.push) =>
        {
            Some(Way::Multipart)
        }
        "POST" if dialect.redfish && path == dialect.push => Some(Way::Push),
        "POST" if dialect.redfish && path == redfish_update::SIMPLE_UPDATE => Some(Way::Pull),
        "POST" if dialect.rest && path == "/upload/image" => Some(Way::Rest),
        "PUT" if dialect.rest && fits("/upload/image/*", path).is_some() => Some(Way::Rest),
        _ => None,
    }
}

/// The names that stand for the pattern's `*`s.
fn fits(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut names = Vec::new();
    let mut parts = path.split('/');
    for wanted in pattern.split('/') {
        let part = parts.next()?;
        if wanted == "*" && !part.is_empty() {
            names.push(part.to_string());
        } else if wanted != part {
            return None;
        }
    }
    parts.next().is_none().then_some(names)
}
