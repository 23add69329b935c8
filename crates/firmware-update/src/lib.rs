//! The work of rflash: firmware to any number of BMCs, with a result that was read back.
//!
//! The parent owns every node's state ([`State`], a table); a forked child does one blocking step and
//! ends. There is no barrier between phases, and a node that waits for a timer holds no child. What a
//! node needs to go on is in the run's journal before anything rests on it.

mod archive;
mod engine;
pub mod journal;
mod judge;
mod limits;
pub mod listing;
mod manifest;
mod node;
pub mod node_files;
mod plan;
mod rate;
pub mod report;
mod request;
mod said;
pub mod ssh_key;
mod state;
mod step;
mod survey;
#[doc(hidden)]
pub mod testing;
pub mod texts;
pub mod view;
mod waves;
mod work;

pub use archive::{Wrong, read as read_archive};
pub use engine::{Error, Stop, Summary, Worker, run};
pub use judge::{IN_A_ROW, Streak, judge};
pub use limits::Limits;
pub use manifest::{Manifest, Purpose};
pub use node::{Dialect, Node, Slot, Versions};
pub use plan::{Goal, Image, Options, Plan, Refused, Trust, image, read as read_plan};
pub use request::{OPTIONS, Request, classify};
pub use said::{Live, Said};
pub use state::{Event, State, TABLE};
pub use step::{Facts, Kind, Order, Outcome, Power, Seen, Step, Task, Trouble};
pub use survey::survey;
pub use waves::{Counts, Gate, MaxFail, Start, Waves};
pub use work::{Wire, worker};
