//! Guests of libvirt: power by `virsh` on their host.

use std::path::PathBuf;
use std::time::Duration;

use fork_worker::command::{self, Spec};

/// A guest and where it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guest {
    virsh: PathBuf,
    host: String,
    domain: String,
}

impl Guest {
    /// The guest `domain` (a node's name) of `host`.
    ///
    /// # Errors
    /// If the name cannot be part of a URI, or virsh is not installed.
    pub(crate) fn new(host: &str, domain: &str) -> Result<Guest, String> {
        if !boot_target::is_plain(host) {
            return Err(format!("vm.host: {host}: is no host's name"));
        }
        let virsh = crate::tools::find("virsh").ok_or("virsh is not installed")?;
        Ok(Guest {
            virsh,
            host: host.into(),
            domain: domain.into(),
        })
    }

    /// True if it is off.
    pub(crate) fn is_off(&self, limit: Duration) -> Result<bool, String> {
        Ok(self.call("domstate", limit)?.trim() == "shut off")
    }

    /// Asks it to shut down.
    pub(crate) fn shut_down(&self, limit: Duration) -> Result<(), String> {
        self.call("shutdown", limit).map(drop)
    }

    /// Takes its power.
    pub(crate) fn cut(&self, limit: Duration) -> Result<(), String> {
        self.call("destroy", limit).map(drop)
    }

    /// Starts it.
    pub(crate) fn start(&self, limit: Duration) -> Result<(), String> {
        self.call("start", limit).map(drop)
    }

    fn call(&self, verb: &str, limit: Duration) -> Result<String, String> {
        let uri = format!("qemu+ssh://root@{}/system?no_tty=1", self.host);
        let spec = Spec::new(&self.virsh)
            .args(["-q", "-c", &uri, "--", verb, &self.domain])
            .env("LC_ALL", "C")
            .deadline(limit);
        let finished = command::run(&spec).map_err(|error| error.to_string())?;
        if finished.timed_out {
            return Err(format!(
                "virsh {verb}: did not end within {} s",
                limit.as_secs()
            ));
        }
        if !finished.status.success() {
            let said = String::from_utf8_lossy(&finished.stderr);
            let last = said.trim().lines().last().unwrap_or("said nothing");
            let last: String = last.chars().take(200).collect();
            return Err(format!("virsh {verb}: {last}"));
        }
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
    }
}
