//! How nodes are powered here: by the site's own command, by xCAT's, or by their management controllers.

use boot_target::Target;
use xcat_tables::Tables;

use crate::controllers::Controllers;
use crate::error::Error;
use crate::hook::Hook;
use crate::rpower::{Failed, Rpower};

/// The site key whose command boots nodes in the place of xCAT's power commands.
pub(crate) const HOOK_KEY: &str = "bootcmd";

/// One question to each of many nodes.
const ASKING: std::time::Duration = std::time::Duration::from_secs(120);

/// The way that this site powers nodes.
#[derive(Debug, Clone)]
pub enum Power {
    /// The command in the site key `bootcmd` boots nodes as a whole; they need no power entry.
    Hook(Hook),
    /// xCAT's `rpower`: off, wait, on.
    Rpower(Rpower),
    /// Without xCAT: we speak with the management controllers ourselves. Off, wait, on.
    Controllers(Controllers),
}

impl Power {
    /// The site's hook if it has one, else xCAT's command, else the management controllers that the
    /// tables know.
    ///
    /// # Errors
    /// [`Error::NoPower`] names what to configure; [`Error::Hook`] says what is wrong with the hook: one
    /// that is set but cannot run is never passed over in silence.
    pub fn find(tables: &Tables) -> Result<Power, Error> {
        if let Some(value) = tables.site(HOOK_KEY)? {
            return Ok(Power::Hook(Hook::parse(&value)?));
        }
        if let Some(rpower) = program::paths::xcat_command("rpower") {
            return Ok(Power::Rpower(Rpower::new(rpower, tables)));
        }
        match Controllers::find(tables)? {
            Some(controllers) => Ok(Power::Controllers(controllers)),
            None => Err(Error::NoPower {
                root: program::paths::xcat_root().display().to_string(),
            }),
        }
    }

    /// True if a node's power is cut, it is told what to boot, and it is switched on, in three steps.
    /// A hook does all that by itself.
    pub fn has_steps(&self) -> bool {
        !matches!(self, Power::Hook(_))
    }

    /// Powers nodes off and waits until each is known to be off; returns those that are not. A hook is
    /// not asked.
    pub fn off_and_wait(&self, nodes: &[String]) -> Failed {
        match self {
            Power::Hook(_) => Failed::new(),
            Power::Rpower(rpower) => rpower.off_and_wait(nodes),
            Power::Controllers(controllers) => controllers.off_and_wait(nodes),
        }
    }

    /// The nodes whose power cannot be read, with the reason. A hook is not asked.
    pub fn unreadable(&self, nodes: &[String]) -> Failed {
        match self {
            Power::Hook(_) => Failed::new(),
            Power::Rpower(rpower) => rpower
                .states(nodes, ASKING)
                .into_iter()
                .filter_map(|(node, state)| Some((node, state.err()?)))
                .collect(),
            Power::Controllers(controllers) => controllers.unreadable(nodes),
        }
    }

    /// Powers nodes on, so that they boot what they are armed for; a hook is told what that is.
    /// Returns the nodes that were not started.
    pub fn start(&self, nodes: &[String], target: &Target) -> Failed {
        match self {
            Power::Hook(hook) => {
                hook.boot(&target.action, &target.report, nodes, &target.environment())
            }
            Power::Rpower(rpower) => rpower.on(nodes),
            Power::Controllers(controllers) => controllers.on(nodes),
        }
    }
}
