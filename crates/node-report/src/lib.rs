//! A node's report, from the wire to the table: who waits (claim), what is safe (spool), who is woken
//! (bell), what is stored (apply); the waiter of `getadapter` and `osload`, the listener of
//! `callbackd`.
//!
//! Once a report is acknowledged it reaches the table, whoever dies: it is a synced file before the
//! acknowledgement, any program of ours applies it, and no step needs the bell.

mod addresses;
mod apply;
mod claim;
mod connection;
mod conversation;
mod desk;
mod destiny;
mod door;
mod exchange;
mod frames;
mod inbox;
mod listener;
mod once;
mod perl_frame;
mod record;
mod service;
mod spool;
mod summon;
mod waiter;

pub use addresses::Addresses;
pub use apply::{Applied, COLUMN, Outcome, Place, TABLE, columns};
pub use claim::{
    Claim, Life, Me, TABLE as CLAIMS, Taken, list as claims, of_others as claims_of_others,
};
pub use frames::{Frame, Frames};
pub use inbox::{BELL, alive, anybody, ring, sweep};
pub use listener::{Listener, Remark, Service};
pub use once::{NewRequest, Speaker, once};
pub use record::{AS_SAID, Content, FORMAT, FileName, LOADS, Report};
pub use service::{Running, confinement, open as open_service};
pub use single_server::{DirError, PrivateDir};
pub use spool::{Spool, StoreError, Unreadable};
pub use summon::{identity, kind, listener, pin, port, reachable};
pub use waiter::{Answer, How, News, Waiter};

/// What can go wrong around a report. No report is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory is not usable.
    #[error(transparent)]
    Directory(#[from] DirError),
    /// The tables are not: busy, above all. What waits stays where it is.
    #[error(transparent)]
    Tables(#[from] xcat_tables::Error),
    /// This host does not say who it is.
    #[error("this host: {0}")]
    Host(String),
    /// Which callbackd is the one.
    #[error(transparent)]
    Server(#[from] single_server::Error),
    /// callbackd's key.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// A report could not be made safe.
    #[error("{0}")]
    Spool(String),
}
