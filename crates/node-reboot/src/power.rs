//! How nodes are powered here: by the site's own command, or by xCAT's.

use xcat_tables::Tables;

use crate::error::Error;
use crate::hook::Hook;
use crate::rpower::Rpower;

/// The site key whose command boots nodes in the place of xCAT's power commands.
pub(crate) const HOOK_KEY: &str = "bootcmd";

/// The way that this site powers nodes.
#[derive(Debug, Clone)]
pub enum Power {
    /// The command in the site key `bootcmd` boots nodes as a whole; they need no power entry.
    Hook(Hook),
    /// xCAT's `rpower`: off, wait, on.
    Rpower(Rpower),
}

impl Power {
    /// The site's hook if it has one, else xCAT's command.
    ///
    /// # Errors
    /// [`Error::NoPower`] names what to configure; [`Error::Hook`] says what is wrong with the hook: one
    /// that is set but cannot run is never passed over in silence.
    pub fn find(tables: &Tables) -> Result<Power, Error> {
        if let Some(value) = tables.site(HOOK_KEY)? {
            return Ok(Power::Hook(Hook::parse(&value)?));
        }
        match program::paths::xcat_command("rpower") {
            Some(rpower) => Ok(Power::Rpower(Rpower::new(rpower, tables))),
            None => Err(Error::NoPower {
                root: program::paths::xcat_root().display().to_string(),
            }),
        }
    }
}
