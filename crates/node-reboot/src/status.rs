//! Which nodes run an operating system that somebody may need.

use std::collections::BTreeMap;

use xcat_tables::Tables;

use crate::error::Error;

/// The values of `nodelist.status` that mean so (xCAT::GlobalDef has them all): the system is up, or
/// its post-scripts run, or an installer writes the disk right now. Not among them: a node on its way
/// up (`booting`, `netbooting`: one that hangs there needs the reboot), genesis (`configuring`,
/// `standingby`, `shell`, `discovering`), and `installed`, after which it reboots anyway.
pub const RUNNING: [&str; 7] = [
    "alive",
    "booted",
    "postbooting",
    "installing",
    "syncing",
    "synced",
    "out-of-sync",
];

/// The nodes whose status is one of [`RUNNING`], with that status. A node without a status is not
/// among them: where `site.nodestatus` is off, only its ssh port tells (see [`crate::answers_ssh`]).
///
/// # Errors
/// [`Error::Tables`] if `nodelist` cannot be read.
pub fn running(tables: &Tables, nodes: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut states = tables.attribute("nodelist", "status", nodes)?;
    states.retain(|_, status| is_running(status));
    Ok(states)
}

fn is_running(status: &str) -> bool {
    let status = status.trim();
    RUNNING
        .iter()
        .any(|state| status.eq_ignore_ascii_case(state))
}

#[cfg(test)]
mod tests {
    use super::is_running;

    #[test]
    fn systems_in_use_are_known_from_others() {
        for status in ["booted", "alive", "installing", " Booted "] {
            assert!(is_running(status), "{status}");
        }
        for status in [
            "",
            "powering-off",
            "netbooting",
            "standingby",
            "shell",
            "failed",
            "bootedx",
        ] {
            assert!(!is_running(status), "{status}");
        }
    }
}
