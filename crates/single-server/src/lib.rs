//! Exactly one server of a kind: one lock, one holder, an epoch that only grows, a published address
//! (design section 10).
//!
//! Every candidate contends for one `flock`. The server itself holds it, in a descriptor that it may
//! hand through fork and exec, so that no death in any order leaves a server without the lock: the
//! kernel gives it on when the last copy is closed, and not before. There is no lease, no time-out
//! and no polling.
//!
//! Three files in a local directory that the caller names and only trusted users can write:
//!
//! | File | What |
//! |---|---|
//! | `NAME.lock` | is locked; names its own identity; never removed or replaced |
//! | `NAME.epoch` | 1024 bytes in two checksummed slots, written in place: works on a full disk, and a torn write loses one slot |
//! | `NAME.address` | `EPOCH ADDRESS`, replaced by rename |
//!
//! Whoever stores state should keep the greatest epoch seen and refuse smaller ones: the lock is
//! never believed alone.

mod board;
mod client;
mod database;
mod engine;
mod epoch;
mod error;
mod event;
mod fifo;
mod flock;
mod held;
mod incarnation;
mod init;
mod kind;
mod lock;
mod private_dir;
mod process;
mod published;
mod service;
mod status;
mod supervisor;
mod waiting;

pub use board::Board;
pub use client::{Watch, current};
pub use engine::{Engine, Instance, LockAt, Seen};
pub use error::Error;
pub use event::{Event, What};
pub use fifo::Fifo;
pub use held::Held;
pub use incarnation::is_address;
pub use kind::Kind;
pub use private_dir::{DirError, PrivateDir, errno, is_fifo};
pub use process::Process;
pub use published::Published;
pub use service::{Service, Standing};
pub use status::{Standing as Stands, Status};
pub use supervisor::{Remark, supervise, supervise_mutilated};
pub use waiting::{Waited, Waiting};

/// This host's name, as others are told it.
pub fn host() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
