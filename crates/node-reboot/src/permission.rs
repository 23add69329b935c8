//! May the caller reboot these nodes? The first step of every start; a front cannot pass it by.

use xcat_tables::Tables;

use crate::request::Caller;

/// Nothing is done for any node.
#[derive(Debug, thiserror::Error)]
#[error("not permitted: {0}")]
pub struct Denied(pub String);

/// Passes if `caller` may reboot each of `nodes`; one that it may not refuses the whole request.
pub fn check(_tables: &Tables, caller: &Caller, _nodes: &[String]) -> Result<(), Denied> {
    if caller.effective == 0 && matches!(caller.behind, None | Some(0)) {
        return Ok(());
    }
    Err(Denied("only root may reboot nodes".into()))
}
