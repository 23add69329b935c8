//! Images loaded onto the disks of nodes: the work of osload.
//!
//! [`start`] loads a set of nodes and returns a [`Handle`]; [`wait`] gives each node's status. Any number
//! of handles at once, beside those of node-reboot. Inside, one child keeps every node's state: claim,
//! order, image servers, then each node off, armed and on, its agent's set-up and verdict, its boot target
//! to its disk, its reboot.

mod console;
mod disks;
mod error;
mod limits;
mod node;
mod order;
mod plan;
pub mod privileged;
mod request;
mod run;
pub mod serve;
mod words;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use xcat_tables::Tables;

pub use disk_image::order::{DiskChoice, Zero};
pub use error::Refused;
pub use node_reboot::{Caller, Handle, Heard, MaxFail, NodeResult, Results, Status, wait};
pub use plan::Plan;
pub use request::{Choice, FANOUT, Options, Request, SET_UP, STALL, WAIT};
pub use words::words;

/// What the work has, after TERM, to leave boot targets behind that do no harm.
const GRACE: Duration = Duration::from_secs(120);

/// Starts loading a set of nodes and returns at once. The permission is looked at first, then everything
/// that can be known to fail before a node is touched. Without root's rights the privileged entry does it.
///
/// # Errors
/// [`Refused`]: nothing was tried for any node. What concerns one node is that node's result.
pub fn start(tables: &Tables, request: &Request) -> Result<Handle, Refused> {
    if request.caller.effective != 0 {
        // The caller has said how many it means.
        let all = node_reboot::privileged::Reading {
            most: Some(usize::MAX),
            strict: false,
        };
        return privileged::start(request, all);
    }
    carry_out(Plan::read(tables, request)?)
}

/// As [`start`], for a plan that the caller has seen.
///
/// # Errors
/// [`Refused`] if no child can be made.
pub fn carry_out(plan: Plan) -> Result<Handle, Refused> {
    let mut nodes: BTreeSet<String> = plan.begun().iter().cloned().collect();
    nodes.extend(plan.settled().iter().map(|result| result.node.clone()));
    Ok(node_reboot::conduct(nodes, GRACE, |answers| {
        run::carry_out(plan, answers)
    })?)
}

/// Where the orders of living runs are.
pub(crate) fn orders() -> PathBuf {
    program::paths::state_dir().join("osload/orders")
}
