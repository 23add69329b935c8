//! The parameters of a resource, as the manager passes them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use single_server::LockAt;

use super::{Refusal, code};
use crate::args::{Engine, Kind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Model {
    /// Every instance stands by; the promoted one runs the server.
    Promotable,
    /// Started is running.
    Single,
}

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) kind: Kind,
    pub(super) lock: LockAt,
    pub(super) model: Model,
    /// The server's program and arguments.
    pub(super) server: Vec<String>,
    pub(super) address: Option<String>,
    pub(super) check: Option<String>,
    pub(super) promote_timeout: Duration,
    /// The action's own time, a little shortened.
    pub(super) timeout: Duration,
    /// How deep a monitor looks.
    pub(super) level: u32,
    /// The manager runs this as a resource, and keeps scores.
    pub(super) scored: bool,
}

impl Settings {
    /// Reads and checks them against each other, not against this host.
    pub(super) fn read() -> Result<Settings, Refusal> {
        let wrong = |name: &str, why: &str| Refusal(code::NOT_CONFIGURED, format!("{name}: {why}"));
        let name = parameter("kind").ok_or_else(|| wrong("kind", "is required"))?;
        single_server::Kind::new(Path::new(""), &name)
            .map_err(|e| wrong("kind", &e.to_string()))?;
        let engine = match parameter("engine").as_deref() {
            None | Some("flock") => Engine::Flock,
            Some("pg") => Engine::Pg,
            Some(_) => return Err(wrong("engine", "is neither flock nor pg")),
        };
        let lockdir = parameter("lockdir").map(PathBuf::from);
        if lockdir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
            return Err(wrong("lockdir", "is no absolute path"));
        }
        let kind = Kind {
            name,
            lockdir: lockdir.filter(|_| engine == Engine::Flock),
            engine,
        };
        let server = parameter("server").ok_or_else(|| wrong("server", "is required"))?;
        if !server.starts_with('/') {
            return Err(wrong("server", "is no absolute path"));
        }
        let args = parameter("args").unwrap_or_default();
        let arguments = args.split_whitespace().map(String::from);
        let model = match parameter("model").as_deref() {
            None | Some("promotable") => Model::Promotable,
            Some("single") => Model::Single,
            Some(_) => return Err(wrong("model", "is neither promotable nor single")),
        };
        let patience = parameter("promote_timeout").unwrap_or_else(|| "20".into());
        let patience = patience.trim_end_matches('s').parse();
        let patience = patience.map_err(|_| wrong("promote_timeout", "is no number of seconds"))?;
        let lock = kind.lock();
        Ok(Settings {
            lock: lock.map_err(|error| Refusal(code::ARGS, format!("{error:#}")))?,
            kind,
            model,
            server: [server].into_iter().chain(arguments).collect(),
            address: parameter("address"),
            check: parameter("check"),
            promote_timeout: Duration::from_secs(patience),
            timeout: timeout(),
            level: number("OCF_CHECK_LEVEL").unwrap_or(0),
            scored: std::env::var_os("OCF_RESKEY_CRM_meta_timeout").is_some(),
        })
    }

    /// With `here`: whether this host can do it.
    pub(super) fn validate(&self, here: bool) -> Result<(), Refusal> {
        if !here {
            return Ok(());
        }
        let program = self.server.first().map(String::as_str).unwrap_or_default();
        let executable = std::fs::metadata(program)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
        if !executable {
            let why = format!("{program}: is not installed");
            return Err(Refusal(code::NOT_INSTALLED, why));
        }
        let engine = self.lock.engine(&self.kind.name);
        let seen = engine.and_then(|mut engine| engine.look());
        seen.map(drop).map_err(|error| refusal(&error))
    }
}

/// A library's error as a manager understands it.
pub(super) fn refusal(error: &single_server::Error) -> Refusal {
    use single_server::Error;
    let denied = match error {
        Error::Io { source, .. } => source.kind() == std::io::ErrorKind::PermissionDenied,
        Error::Directory(_) => true,
        _ => false,
    };
    let code = match (denied, error) {
        (true, _) => code::PERMISSION,
        (_, Error::NoLock(_) | Error::NotOurs(_) | Error::NoKind(_) | Error::Io { .. }) => {
            code::ARGS
        }
        _ => code::GENERIC,
    };
    Refusal(code, error.to_string())
}

/// An empty one is none.
fn parameter(name: &str) -> Option<String> {
    let value = std::env::var(format!("OCF_RESKEY_{name}")).ok()?;
    (!value.is_empty()).then_some(value)
}

fn number<N: std::str::FromStr>(name: &str) -> Option<N> {
    std::env::var(name).ok()?.parse().ok()
}

/// What the manager allows, in milliseconds there, less what it takes to answer.
fn timeout() -> Duration {
    let whole = number("OCF_RESKEY_CRM_meta_timeout").unwrap_or(20_000);
    Duration::from_millis(whole)
        .saturating_sub(Duration::from_secs(2))
        .max(Duration::from_secs(1))
}
