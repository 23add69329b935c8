//! The node's side of osload: which disk an image goes to, writing it there, and reading it back.
//!
//! [`agent::run`] is the whole of it. [`survey`](survey::survey) reads what disks there are, [`choose`](choose::choose) decides by the rules
//! of design section 9, [`signature::find`] sees whose a disk may be, [`load`](load::load) makes it the
//! image so that it is never half written and bootable at once. Frames come from a [`supply`]; every one
//! is compared with its digest as it comes and again as it is read back.

pub mod agent;
mod aligned;
pub mod choose;
pub mod device;
mod error;
mod inspect;
pub mod load;
pub mod marker;
pub mod pieces;
pub mod signature;
pub mod supply;
pub mod survey;

mod transfer;

pub use error::Error;
