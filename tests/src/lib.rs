//! Support for scenarios over several programs: a private cluster (tables, directories, a site hook
//! that hands its nodes to the test) and the built programs. Threads are fine here: nothing forks but
//! through `Command`.

mod cluster;
pub mod fleet;
pub mod history;
mod host;
pub mod links;
mod node;
mod process;
mod rack;
pub mod sysfs;

pub use cluster::{Boot, Cluster};
pub use host::Host;
pub use node::{Node, adapters_xml, report_xml};
pub use process::{Finished, Running, program};
pub use rack::{Rack, disk};
pub use simulators::{parts, strace};
